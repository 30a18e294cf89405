-- Events outlive whatever dies: each certificate that was issued is told to a real service at least
-- once, and nothing is told that was not issued.
local disks = require "support.disk"
local fleet = require "support.fleet"
local json = require "lest.json"
local monitor = require "support.monitor"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"
local task = require "lest.task"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return { enroll = function(request)
  lest.sleep(0.05)
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }
]]
local SILENT <const> = 'policy = "policy.lua"'
local NO_HOOK <const> = "no policy of the label has this hook any more"
local COUNT <const>, KILLS <const> = 120, 12

describe("events", function()
  local server, service, hearing

  before_each(function()
    service = raw_server.start { plain = true }
    hearing = ([[policies = { "policy.lua", { file = "notify.lua",
        options = { url = "%s/", timeout = 1 } } }]]):format(service.url)
    server = support.make { policy = POLICY,
      files = { ["notify.lua"] = process.read "policies/notify.lua" },
      config = monitor.config 'workers = 2, drain = "2s", limits = { decision = "2s" }' }
  end)
  after_each(function()
    server:stop()
    service:stop()
  end)

  local function hear(is_hearing)
    server:edit_config(function(text)
      local at, last = text:find(is_hearing and SILENT or hearing, 1, true)
      return text:sub(1, at - 1) .. (is_hearing and hearing or SILENT) .. text:sub(last + 1)
    end)
  end

  local function waiting()
    return math.tointeger(tonumber(server:sql "SELECT count(*) FROM outbox"))
  end

  local function reload(is_hearing)
    hear(is_hearing)
    process.must { server.lest, "policy", "reload", "--config", server.dir .. "/server.lua" }
  end

  --- Everything that was issued is told, and nothing else; but for a subject.
  local function expect_all(quiet)
    process.wait_for(function() return waiting() == 0 end, "an empty outbox", 60)
    local told, issued = {}, {}
    for _, request in ipairs(service:requests()) do
      told[json.decode(request.body).id] = true
    end
    for serial in server:sql(("SELECT serial FROM certificates WHERE subject <> '%s'")
      :format(quiet or "")):gmatch "%x+" do
      issued["issued-" .. serial] = true
    end
    assert.is_true(next(issued) ~= nil)
    assert.same(issued, told)
  end

  local function kill_one()
    local pids = {}
    for _, role in ipairs { "worker", "authority" } do
      for _, pid in ipairs(server:pids(role)) do table.insert(pids, pid) end
    end
    if pids[1] then process.kill(pids[math.random(#pids)], "KILL") end
  end

  it("reach their service whichever process is killed, and when", function()
    hear(true)
    server:run()
    service:answer(raw_server.http(204), 5000)
    local devices = fleet.new(server, COUNT)
    local running = devices:start(8)
    for _ = 1, KILLS do
      task.sleep(0.05 + math.random() / 5)
      kill_one()
    end
    devices:wait_answers(COUNT // 2)
    process.kill(server.pid, "KILL")
    process.wait_for(function() return not process.alive(server.pid) end, "its end", 30)
    server:run()
    running:wait()
    devices:check()
    for _ = 1, 3 do
      kill_one()
      task.sleep(0.2)
    end
    expect_all()
  end)

  it("wait for a service that is away, over a restart and a reload without the hook", function()
    hear(true)
    server:run()
    for i = 1, 3 do server:enroll("a-" .. i) end
    process.wait_for(function()
      return server:sql "SELECT min(tries) FROM outbox WHERE problem <> ''" >= "1"
    end, "a try", 30)
    process.wait_for(function()
      return monitor.samples(server).lest_outbox_events == 3
    end, "the metric", 30)
    process.kill(server.pid)
    process.wait_for(function() return not process.alive(server.pid) end, "its end", 30)
    server:run()
    assert.equal(3, waiting())
    reload(false)
    task.sleep(1) -- a worker of the generation before may still accept
    server:enroll "quiet"
    assert.equal(3, waiting())
    process.wait_for(function()
      return server:logged "events wait for a hook that no policy has"[1]
    end, "the warning", 30)
    local warned = server:logged "events wait for a hook that no policy has"
    assert.same({ 1, "warning", "default", server.dir .. "/notify.lua", 3 }, { #warned,
      warned[1].level, warned[1].label, warned[1].policy, math.tointeger(warned[1].count) })
    local function outbox(command, word)
      return process.must { server.lest, "outbox", command, word, "--config",
        server.dir .. "/server.lua" }
    end
    local rows
    process.wait_for(function()
      rows = json.decode(outbox("list", "--json"))
      return rows[1].problem == NO_HOOK and rows[2].problem == NO_HOOK
        and rows[3].problem == NO_HOOK
    end, "the problem of each", 30)
    assert.equal(("%s: is due again (%s)\n"):format(rows[1].id, NO_HOOK),
      outbox("retry", rows[1].id))
    reload(true)
    service:answer(raw_server.http(204), 1000)
    expect_all "CN=quiet"
  end)

  it("are told again where the ledger could not take that they were heard", function()
    hear(true)
    local disk <close>, why = disks.under(server)
    if not disk then return pending(why) end
    server:run()
    for i = 1, 3 do server:enroll("f-" .. i) end
    disk:fill()
    service:answer(raw_server.http(204), 1000)
    task.sleep(3)
    disk:free()
    expect_all()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
  end)
end)
