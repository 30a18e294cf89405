-- `lest policy replay` decides what a server has recorded again: with its own policies, and with
-- another one; answers of HTTP come from the record, and nothing is issued, changed or asked.
local json = require "lest.json"
local process = require "support.process"
local recorded = require "support.recorded"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"

local function of_inventory(request)
  local res, err = lest.http.get("INVENTORY/" .. request.principal.name, { trust = "CA" })
  if not res then return policy.unavailable { "the inventory is away", detail = err } end
  if res.status ~= 200 then return policy.reject "not in the inventory" end
  return policy.approve { subject = { { "CN", assert(res:json()).host } } }
end

local function is_listed(request) return request.principal.name:find "^listed" end

return {
  enroll = policy.first {
    policy.when(is_listed, of_inventory),
    policy.own_name(),
  },
  reenroll = policy.renew {},
}
]]

-- One that looks at what was proven besides, at what the ledger knows of the certificate, and at
-- the time.
local BOTH <const> = [[
local policy = require "lest.policy"
return function(request)
  local auth, device = request.auth, request.device
  if auth.basic.name ~= "both" or auth.certificate.name ~= "device001" or device ~= "device001" then
    return policy.reject "who is this?"
  end
  return policy.approve { subject = { { "CN", "at-" .. request.time } } }
end
]]

describe("lest policy replay", function()
  local server, inventory

  setup(function()
    server, inventory = recorded.start { policy = POLICY, both = BOTH }
    recorded.ask_inventory(server, inventory, "pump-7")
    server:enroll "device001"
    server:enroll "device002"
    recorded.renew(server)
    recorded.show_both(server)
    inventory:stop()
  end)
  teardown(function()
    server:stop()
  end)

  local function replay(...)
    local words = { server.lest, "policy", "replay", "--config", server.dir .. "/server.lua", ... }
    return process.run(words)
  end

  local function replayed(...)
    local code, out, err = replay("--json", ...)
    assert.equal("", err)
    return code, assert(json.decode(out))
  end

  -- The policy, with some words of it replaced.
  local function other(name, edit)
    local text = process.read(server.dir .. "/policy.lua")
    return server:file(name, assert(edit(text)))
  end

  it("finds no difference where the policy decides as it did, and needs no inventory", function()
    local before = server:sql "SELECT count(*), max(seq) FROM requests"
    local code, out, err = replay()
    assert.same({ 0, "6 as before, 0 otherwise, 0 not decided again\n", "" }, { code, out, err })
    assert.equal(before, server:sql "SELECT count(*), max(seq) FROM requests")
    assert.equal(0, (replay(other("same.lua", function(text) return text end))))
  end)

  it("says who would get another verdict or other names, by rule and reason", function()
    local next_lua = other("next.lua", function(text)
      return (text:gsub('return policy.reject "not in', 'return policy.pending "not yet in')
        :gsub("policy.own_name%(%)", [[
          function(request)
            return policy.approve { subject = { { "CN", "n-" .. request.principal.name } } }
          end]]))
    end)
    local code, out, err = replay(next_lua)
    assert.equal("", err)
    assert.equal(1, code)
    assert.matches("^      2  other names  by next.lua:%d+\n"
      .. " +%S+  [%d-]+ [%d:]+ UTC  device002  CN=device002 %-> CN=n%-device002\n", out)
    assert.matches("\n      1  reject %-> pending  by when at next.lua:%d+: "
      .. "\"not yet in the inventory\"\n +%S+ .* listed8  was: not in the inventory\n", out)
    assert.matches("2 as before, 3 otherwise, 0 not decided again\n$", out)
    local result
    code, result = replayed(next_lua)
    assert.equal(1, code)
    assert.same({ 2, 3, 0 }, { result.same, result.different, result.not_decided })
    assert.equal("CN=n-device002", result.differences[1].examples[1].after.subject)
  end)

  it("counts what it cannot decide, since the record does not say", function()
    local code, result = replayed(other("more.lua", function(text)
      return (text:gsub('/" %.%. request', '/v2/" .. request'))
    end))
    assert.equal(0, code)
    assert.same({ 3, 2 }, { result.same, result.not_decided })
    local left = result.left_out[1]
    assert.equal("not decidable", left.kind)
    assert.matches("^the record has no answer to http GET https://.*/v2/%*", left.why)
  end)

  it("decides rows of an older version that asked nothing outside", function()
    local copy = server.folder .. "/old.db"
    process.must { "cp", server:ledger(), copy }
    process.must { "sh", "-c", 'cp "$1-wal" "$2-wal" || true', "sh", server:ledger(), copy }
    process.must { "sqlite3", copy, "UPDATE requests SET asked_at = NULL, trace = NULL,"
      .. " rule = NULL, stated = NULL, outside = NULL" }
    local code, result = replayed("--ledger", copy)
    assert.equal(0, code)
    assert.same({ 4, 0, 2 }, { result.same, result.different, result.not_decided })
    assert.matches("an older version wrote the row", result.left_out[1].why)
  end)

  it("names corrupt rows and goes on", function()
    local copy = server.folder .. "/corrupt.db"
    process.must { "cp", server:ledger(), copy }
    process.must { "sh", "-c", 'cp "$1-wal" "$2-wal" || true', "sh", server:ledger(), copy }
    for i, change in ipairs { "csr = x'00'", "principal = '{'", "outside = '[[['",
      "headers = CAST(x'ff' AS TEXT)", "stated = '{\"subject\":7}'" } do
      process.must { "sqlite3", copy, ("UPDATE requests SET %s WHERE seq = (SELECT min(seq) + %d "
        .. "FROM requests)"):format(change, i - 1) }
    end
    local code, result = replayed("--ledger", copy)
    assert.equal(0, code)
    assert.same({ 1, 5 }, { result.same, result.not_decided })
    for _, group in ipairs(result.left_out) do
      assert.equal("corrupt", group.kind)
      assert.is_string(group.examples[1].id)
    end
  end)

  it("takes a time, a label, and any number of processes", function()
    assert.equal(6, select(2, replayed("--since", "1d", "--jobs", "3")).same)
    assert.equal(0, select(2, replayed("--until", "1d")).same)
    assert.equal(5, select(2, replayed("--label", "default", "--jobs", "1")).same)
  end)

  it("tells a terminal how far it is, and nobody else", function()
    local line = process.line { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua" }
    local out = process.must("script -qec " .. process.quote(line) .. " /dev/null")
    assert.matches("\r\27%[K%d of 6 rows", out)
    assert.is_nil(select(2, replay()):find "rows")
  end)

  it("says what is wrong, with another code than that of a difference", function()
    for problem, words in pairs {
      ["there is no label 'defualt', did you mean 'default'"] = { "--label", "defualt" },
      ["the policy cannot be read"] = { server.folder .. "/none.lua" },
      ["undeclared global 'x'"] = { server:file("bad.lua", "return x") },
      ["none.db"] = { "--ledger", server.folder .. "/none.db" },
    } do
      local code, out, err = replay(table.unpack(words))
      assert.same({ 2, "" }, { code, out }, err)
      assert.matches("^lest policy replay: .*" .. problem:gsub("%p", "%%%0"), err)
    end
  end)

  it("gives no policy a way to the ledger, to root's rights or into the result", function()
    local code, result = replayed(server:file("hostile.lua", ([[
      local policy = require "lest.policy"
      print '{"tally":{}}'
      io.write '{"tally":{}}\n'
      io.stdout:write '{"tally":{}}\n'
      local uid = io.open("/proc/self/status"):read "a":match "Uid:%s+(%d+)"
      local file = io.open("LEDGER", "r+")
      local assigned = pcall(load "some_global = 1")
      return { enroll = function()
        io.read "a"
        io.stdin:read "a"
        return policy.pending(("uid %s, ledger %s, global %s"):format(uid, file, assigned))
      end }
    ]]):gsub("LEDGER", server:ledger())))
    assert.same({ 1, 5 }, { code, result.different })
    local reason = result.differences[1].reason
    if process.capture "id -u":find "^0" then
      assert.matches("^uid [1-9]%d*, ledger nil, global false$", reason)
    else
      assert.matches(", global false$", reason)
    end
  end)
end)
