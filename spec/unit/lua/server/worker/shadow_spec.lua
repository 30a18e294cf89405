-- A shadow costs the requests of its worker nothing: few wait for it, a busy loop drops them, one
-- that never ends lets others have their turn and then rests; it issues nothing and asks little.
local core = require "lest.core"
local journals = require "lest.policy.journal"
local message = require "lest.server.wire.message"
local policies = require "support.policy"
local policy = require "lest.policy"
local shadow = require "lest.server.worker.shadow"
local task = require "lest.task"

describe("a shadow in its worker", function()
  local said, worker, shadows

  before_each(function()
    said = {}
    worker = { config = { limits = { decision = 10, decision_memory = 1 << 26 } },
      authority = { tell = function(_, packet, channel)
        said[#said + 1] = assert(message.decode(packet, { shadow = true }))
        said[#said].channel = channel
      end } }
    shadows = shadow.new(worker)
    shadows.late_ms = 60000
  end)

  local function request(id, hook, journal)
    return { id = id, channel = "channel", row = { hook = "enroll" }, label = { name = "default",
      number = 1, options = {}, shadow = { hooks = { enroll = hook }, file = "n.lua",
      hash = "00" } },
      decided = { journal = journal or journals.new(), facts = { id = id, time = 7,
        operation = "simpleenroll", label = "default", csr = policies.csr "CN=a",
        principal = { kind = "basic", name = "a" } } } }
  end

  local function turn_until(check)
    local deadline = core.clock.monotonic_ms() + 20000
    while not check() do
      assert(core.clock.monotonic_ms() < deadline, "it takes too long")
      local timer = core.loop.timer(10, function() end)
      core.loop.turn()
      timer:close()
    end
  end

  it("decides in a turn of its own, on the same facts, and tells what it said", function()
    shadows:take(request("r-1", function(seen)
      return policy.approve { subject = { { "CN", seen.principal.name .. seen.time } },
        lifetime = "1d", facts = { site = "x" } }
    end))
    assert.same({}, said)
    turn_until(function() return said[1] end)
    assert.same({ "r-1", "approve", "a7", 86400, "n.lua", "00", "channel" }, { said[1].id,
      said[1].verdict, said[1].subject[1][2], said[1].lifetime, said[1].policy_file,
      said[1].policy_hash, said[1].channel })
    assert.matches("^shadow_spec.lua:%d+$", said[1].rule)
    assert.is_nil(said[1].facts)
    assert.equal(0, shadows.under_way)
  end)

  it("has no more waiting than fits, and none where the loop is busy", function()
    local asked = 0
    local function hook()
      asked = asked + 1
      return policy.reject()
    end
    for i = 1, 100 do shadows:take(request("r-" .. i, hook)) end
    assert.equal(32, #shadows.waiting)
    turn_until(function() return #said == 32 end)
    shadows.late_ms = -1000 -- a timer's clock may be some milliseconds behind
    for i = 1, 10 do shadows:take(request("s-" .. i, hook)) end
    turn_until(function() return not shadows.timer end)
    assert.same({ 0, 32, 32 }, { #shadows.waiting, asked, #said })
  end)

  it("lets others have their turn, ends, and rests", function()
    local turns = 0
    local function tick()
      turns = turns + 1
      if not said[1] then core.loop.timer(1, tick) end
    end
    tick()
    shadows:take(request("r-1", function() while true do end end))
    turn_until(function() return said[1] end)
    assert.equal("error", said[1].verdict)
    assert.is_true(turns > 50, turns .. " turns")
    shadows:take(request("r-2", function() return policy.reject() end))
    assert.same({}, shadows.waiting)
  end)

  it("asks nothing that the policy was told, or that counts, or that it cannot look at", function()
    local journal = journals.new()
    local running = task.start({ quiet = true, context = journal }, function()
      journals.outside("rate", "a 5 60", function() return 3 end)
      journals.outside("http", "GET https://a/1", function() return { status = 200 } end)
    end)
    assert.is_true(running.done and running.ok)
    local asked, got = {}, {}
    local function ask(kind, question)
      return journals.outside(kind, question, function()
        table.insert(asked, question)
        return "new"
      end)
    end
    shadows:take(request("r-1", function()
      got = { ask("rate", "a 5 60"), ask("http", "GET https://a/1").status,
        ask("http", "GET https://a/2"), ask("csv", "devices: a") }
      return policy.reject()
    end, journal))
    turn_until(function() return said[1] end)
    assert.same({ 3, 200, "new", "new" }, got)
    assert.same({ "GET https://a/2", "devices: a" }, asked)
    for _, each in ipairs { { "rate", "b 5 60" }, { "history", "principal" },
      { "http", "POST https://a/1" }, { "other", "x" } } do
      said = {}
      shadows:take(request("r-2", function()
        local caught = pcall(ask, each[1], each[2])
        return policy.reject(tostring(caught))
      end, journal))
      turn_until(function() return said[1] end)
      assert.equal(each[1] .. " " .. each[2], said[1].missing)
    end
    assert.equal(2, #asked)
  end)

  it("goes on where the verdict is none, or more than a message may have", function()
    for i, hook in ipairs { function() return 5 end, function() error "on purpose" end,
      function() return policy.reject { detail = ("x"):rep(8000), "\27" } end,
      function() return policy.approve { san = { "DNS:" .. ("a"):rep(1021) } } end } do
      shadows:take(request("r-" .. i, hook))
      turn_until(function() return shadows.under_way == 0 and not shadows.waiting[1] end)
    end
    assert.same({ "error", "error", "reject" },
      { said[1].verdict, said[2].verdict, said[3].verdict })
  end)
end)
