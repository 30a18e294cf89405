-- `lest repl --request` puts a recorded decision on the desk: what the policy saw and was told, the
-- decision again by the policy of now or an edited one, and each rule of it.
local core = require "lest.core"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"
local terminals = require "support.terminal"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
local words = require "words"

local options = policy.options { prefix = { type = "string", default = "x-" } }

local function of_inventory(request)
  local res, err = lest.http.get("INVENTORY/" .. request.principal.name, { trust = "CA" })
  if not res then return policy.unavailable { "the inventory is away", detail = err } end
  return policy.approve { subject = { { "CN", options.prefix .. assert(res:json()).host } },
    lifetime = "1d" }
end

return { enroll = policy.first {
  policy.when(policy.principal { name = "listed*" }, of_inventory),
  policy.when(policy.principal { name = "odd*" }, function(request)
    return policy.approve { subject = request.csr.subject }
  end),
  policy.reject(words.REFUSED),
} }
]]
local WORDS <const> = 'return { REFUSED = "not for you" }'
local ESCAPE <const> = "\27]0;evil\7\27[2J"

describe("lest repl --request", function()
  local server, inventory, ids

  setup(function()
    server = support.make { config = function(text)
      return (text:gsub('names = "principal"', 'names = "policy"'):gsub('policy = "policy.lua"',
        'policy = { file = "policy.lua", options = { prefix = "pump-" } }', 1))
    end }
    inventory = raw_server.start {
      cert = server.dir .. "/server.pem", key = server.dir .. "/server.key",
    }
    process.write(server.dir .. "/policy.lua",
      (POLICY:gsub("INVENTORY", inventory.url):gsub("CA\"", server.dir .. '/ca.pem"')))
    process.write(server.dir .. "/words.lua", WORDS)
    server:run()
    ids = {}
    inventory:answer(raw_server.http(200, {}, '{ "host": "7" }'))
    local function enroll(name, options, ...)
      local code = server:post("/simpleenroll", server:csr(name, options), "--user",
        name .. ":" .. server:credential(name), ...)
      ids[name] = server:sql(("SELECT id FROM requests WHERE principal_name = '%s'"):format(name))
      return code
    end
    assert.equal(200, enroll "listed7")
    inventory:stop()
    assert.equal(403, enroll "guest")
    assert.equal(403, enroll("evil", { subject = "/CN=" .. ESCAPE }))
    process.must { "sh", "-c", "chmod -R a+rX " .. server.folder }
  end)
  teardown(function() server:stop() end)

  local function words(...)
    return { server.lest, "repl", "--config", server.dir .. "/server.lua", "--request", ... }
  end

  -- What statements show of a decision; they all succeed.
  local function shown(what, ...)
    local all = words(what)
    for _, code in ipairs { ... } do table.move({ "-e", code }, 1, 2, #all + 1, all) end
    local code, out, err = process.run(all)
    assert.same({ 0, "" }, { code, err }, out)
    return out
  end

  -- With another text of the policy on disk.
  local function with_policy(change, fn)
    local path = server.dir .. "/policy.lua"
    local before = process.read(path)
    process.write(path, change(before))
    local ok, problem = pcall(fn)
    process.write(path, before)
    if not ok then error(problem, 0) end
  end

  it("has the request as the policy saw it, what was decided, and what was answered", function()
    local out = shown("listed7", "request.principal.name, request.device, request.headers.host",
      "request.id, request.csr.subject.CN", "recorded.verdict, recorded.rule",
      "recorded.outcome.profile, recorded.outcome.lifetime, recorded.steps[3].saw",
      "#outside, outside[1].kind, outside[1].answer.status, outside[1].answer.body", "verdict")
    assert.equal(('"listed7"\n"listed7"\n"localhost:%d"\n"%s"\n"listed7"\n"approve"\n'
      .. '"when at policy.lua:%d"\n"device"\n86400\n"listed7"\n1\n"http"\n200\n'
      .. '"{ \\"host\\": \\"7\\" }"\nnil\n'):format(server.port, ids.listed7, 14), out)
    assert.matches("^lest.request {\n.*  principal = lest.request.principal {\n", shown("listed7",
      "request"))
  end)

  it("says in its own name that there is no such decision", function()
    local code, out, err = process.run(words "nothere")
    assert.same({ 1, "" }, { code, out })
    assert.matches("^lest repl: there is no request[^\n]*'nothere'[^\n]*\n$", err)
  end)

  it("decides again by the policy as it is on disk, and says what differs", function()
    assert.matches("^approve by when at policy.lua:14\n  CN=pump%-7; profile device, 1d\n"
      .. " +%S+ [um]s  approve      first at policy.lua:13\n"
      .. ".*? principal at policy.lua:14: listed7\n"
      .. ".*\nas recorded\n\"approve\"\nnil\n$", shown("listed7", "decide()",
      "verdict.verdict, verdict.reason"))
    with_policy(function(text) return (text:gsub('lifetime = "1d"', 'lifetime = "2d"')) end,
      function()
        assert.matches("profile device, 2d\n.*\notherwise than recorded: other lifetime; it was: "
          .. "approve by when at policy.lua:14\n$", shown("listed7", "decide()"))
      end)
    -- What it requires beside it is read anew, too, also between two decisions.
    with_policy(function(text) return text end, function()
      local rewrite = [[for name, change in pairs {
        ["words.lua"] = { "not for you", "another word" },
        ["policy.lua"] = { "words.REFUSED", "words.REFUSED .. '!'" } } do
        local path = %q .. "/" .. name
        local file = assert(io.open(path)) local text = file:read "a" file:close()
        local from, to = text:find(change[1], 1, true)
        file = assert(io.open(path, "w"))
        file:write(text:sub(1, from - 1), change[2], text:sub(to + 1)) file:close()
      end]]
      for _, name in ipairs { "words.lua", "policy.lua" } do
        process.must { "chmod", "666", server.dir .. "/" .. name } -- as root it runs as another
      end
      local out = shown("guest", "decide()", (rewrite:format(server.dir):gsub("%s+", " ")),
        "decide()")
      process.write(server.dir .. "/words.lua", WORDS)
      assert.matches("^reject by policy.reject: not for you\n.*\nas recorded\n"
        .. "reject by policy.reject: another word!\n.*\nthe same verdict as recorded; it was: "
        .. "reject by policy.reject: not for you\n$", out)
    end)
  end)

  it("names what the record has no answer to, as an error", function()
    with_policy(function(text) return (text:gsub("request.principal.name, {", '"v2", {')) end,
      function()
        local code, out, err = process.run(words("listed7", "-e", "decide()"))
        assert.equal(1, code)
        assert.matches("^error: first at policy.lua:13: not decidable: .*\n"
          .. ".* error +policy.lua:6\n", out)
        assert.matches("^error: not decidable: the record has no answer to http GET "
          .. "https://localhost:%d+/v2", err)
        assert.is_nil(out:find("as recorded", 1, true))
      end)
    local other = server.dir .. "/v2.lua"
    process.write(other, (process.read(server.dir .. "/policy.lua")
      :gsub("request.principal.name, {", '"v2", {')))
    local code, out = process.run(words("listed7", "-e", ("policy.load %q decide()"):format(other),
      "-e", "decide()", "-e", "policy.load()", "-e", "decide()"))
    assert.equal(1, code)
    assert.matches("\nas recorded\n$", out) -- what was missing before is nothing to it
  end)

  it("steps through it, by another policy too", function()
    local out = shown("listed7", "step()", "step()", "step()", "verdict", "step()", "step()",
      "step()", "verdict.rule")
    assert.matches("^parked before the rule first at policy.lua:13\n"
      .. "parked before the rule when at policy.lua:14\n"
      .. " +test principal at policy.lua:14: yes, saw listed7 %(%d+ us%)\n"
      .. "parked before the rule policy.lua:%d\nnil\n"
      .. "parked before it asks GET https://localhost:%d+/listed7\n"
      .. " +http GET https://localhost:%d+/listed7: answered %(%d+ us%)\n"
      .. " +rule policy.lua:%d: approve.*parked with its verdict approve by when at policy.lua:14\n"
      .. 'approve by when at policy.lua:14\n  CN=pump%-7; .*\nas recorded\n'
      .. '"when at policy.lua:14"\n$', out)
    local other = server.dir .. "/other.lua"
    process.write(other, (process.read(server.dir .. "/policy.lua"):gsub('"listed%*"', '"pump*"')))
    out = shown("listed7", "step() step()", ("policy.load %q"):format(other), "resume()",
      "policy.load()", "decide()")
    assert.matches("parked before the rule first at other.lua:13\n.*reject by policy.reject: not "
      .. "for you\notherwise than recorded: approve %-> reject; it was: approve by when at "
      .. "policy.lua:14\n"
      .. "approve by when at policy.lua:14\n", out)
    out = shown("listed7", "resume()")
    assert.matches("\nas recorded\n$", out)
    local code, _, err = process.run(words("listed7", "-e", "step()", "-e",
      ("policy.load %q"):format(server.dir .. "/none.lua"), "-e", "resume()"))
    assert.equal(1, code)
    assert.matches("the policy cannot be read", err)
    code, out = process.run(words("listed7", "--policy", other, "-e", "decide()"))
    assert.equal(0, code)
    assert.matches("\notherwise than recorded: approve %-> reject", out)
  end)

  it("finds it by its id, a serial or a name, and in a copy of the ledger", function()
    local serial = server:sql "SELECT serial FROM requests WHERE principal_name = 'listed7'"
    for _, what in ipairs { ids.listed7, serial, "listed7" } do
      assert.equal('"' .. ids.listed7 .. '"\n', shown(what, "request.id"))
    end
    local copy = server.folder .. "/copies/copy.sqlite"
    process.must { "mkdir", "-m", "777", server.folder .. "/copies" } -- by the owner
    process.must { server.lest, "ledger", "backup", copy, "--config", server.dir .. "/server.lua" }
    local code, out = process.run(words(ids.guest, "--ledger", copy, "-e", "recorded.reason"))
    assert.same({ 0, '"not for you"\n' }, { code, out })
    local err
    code, out, err = process.run(words("nobody", "-e", "request"))
    assert.same({ 1, "" }, { code, out })
    assert.matches("there is no request, certificate or name 'nobody'", err)
    for _, wrong in ipairs { { "--attach" }, { "--write" } } do
      assert.equal(2, (process.run(words("listed7", table.unpack(wrong)))))
    end
    assert.equal(2, (process.run { server.lest, "repl", "--policy", "x.lua", "-e", "1" }))
  end)

  it("takes the last decision about a name, also one that approved", function()
    local secret = server:credential "odd1"
    local function enroll(subject)
      return (server:post("/simpleenroll", server:csr("odd1", { subject = subject }), "--user",
        "odd1:" .. secret))
    end
    assert.equal(400, enroll "/CN=odd1/O=y")
    assert.equal(200, enroll "/CN=odd1")
    assert.equal('"approve"\n', shown("odd1", "recorded.outcome.verdict"))
    local refused = server:sql [[SELECT id FROM requests WHERE principal_name = 'odd1'
      AND serial IS NULL]]
    local out = shown(refused, "recorded.verdict, recorded.outcome.verdict", "decide()")
    assert.matches('^"approve"\n"reject"\napprove by .*\n  the profile device: reject: ', out)
    assert.matches("\nas recorded\n$", out)
  end)

  it("shows nothing that a terminal would obey", function()
    with_policy(function(text)
      return (text:gsub('"odd%*"', '"evil"'):gsub("words.REFUSED", "words.REFUSED .. '\27[2J'"))
    end, function()
      local out = shown("evil", "request", "request.csr", "recorded", "decide()", "verdict",
        "step()", "resume()", "request.csr.subject")
      assert.matches("otherwise than recorded: reject %-> approve", out)
      assert.is_nil(out:find("\27", 1, true))
      assert.is_nil(out:find("\7", 1, true))
      out = shown("guest", "decide()", "step()", "resume()", "verdict.reason")
      assert.is_nil(out:find("\27", 1, true))
    end)
  end)

  it("runs as `user`, closed as a worker is, and what is typed has its own globals", function()
    local uid = shown("guest", 'io.open "/proc/self/status":read "a":match "Uid:%s*(%d+)"')
    assert.equal(core.process.uid == 0, uid ~= '"0"\n' and core.process.uid == 0)
    with_policy(function(text)
      return (text:gsub("policy.reject%(words.REFUSED%)", [[function()
        return policy.reject(rawget(_G, "request") and "seen" or "unseen")
      end]]))
    end, function()
      assert.matches("^reject by policy.lua:%d+: unseen\n.*\n7\n$",
        shown("guest", "mine = 7", "decide()", "mine"))
    end)
    with_policy(function(text)
      return (text:gsub("policy.reject%(words.REFUSED%)", "function() _G.leaked = 1 end"))
    end, function()
      assert.matches("global 'leaked' is assigned", shown("guest", "decide()"))
    end)
    with_policy(function(text)
      return (text:gsub("policy.reject%(words.REFUSED%)", "function() os.exit(0) end"))
    end, function()
      assert.matches("error: .*neither a spec nor a policy ends the process.*\nstill\n$",
        shown("guest", "decide()", "print 'still'"))
    end)
    assert.equal(7, (process.run(words("guest", "-e", "os.exit(7)"))))
    local _, _, err = process.run(words("guest", "-e", "request.id = 1"))
    assert.matches("request is read%-only", err)
  end)

  it("is a script from a pipe, whose first error is the exit code", function()
    local line = {}
    for i, word in ipairs(words "guest") do line[i] = process.quote(word) end
    local function piped(text)
      return process.run { "sh", "-c", ("printf '%%s\\n' %s | %s"):format(process.quote(text),
        table.concat(line, " ")) }
    end
    local code, out = piped "local all = #recorded.steps\nall > 3\ndecide()"
    assert.equal(0, code)
    assert.matches("^true\nreject by policy.reject", out)
    assert.equal(1, (piped "decide()\nrequest.nonsense"))
  end)

  it("says what is wrong with a row that cannot be read", function()
    for column, value in pairs { csr = "x'00'", principal = "'{\27[2J'", trace = "'nonsense'" } do
      local copy = server.folder .. "/broken.sqlite"
      server:change("VACUUM INTO '" .. copy .. "'")
      process.must { "sqlite3", copy, ("UPDATE requests SET %s = %s WHERE id = '%s'"):format(column,
        value, ids.guest) }
      local code, out, err = process.run(words("guest", "--ledger", copy, "-e", "decide()"))
      os.remove(copy)
      assert.same({ 1, "" }, { code, out }, column)
      local told = ("lest repl: the request %s: corrupt: its "):format(ids.guest)
      assert.equal(told, err:sub(1, #told), column)
      assert.is_nil(err:find("\27", 1, true))
    end
  end)

  it("is a prompt at a terminal, with completion and help", function()
    local line = {}
    for i, word in ipairs(words "guest") do line[i] = process.quote(word) end
    local terminal <close> = terminals.start(table.concat(line, " "))
    terminal:expect(("on the desk: the request %s of guest (label default): reject."):format(
      ids.guest))
    terminal:expect "desk> "
    terminal:type("request.princ\t.nam\t\n", '"guest"')
    terminal:type("dec\t()\n", "as recorded")
    terminal:type("step()\n", "parked before the rule first at policy.lua:13")
    terminal:type("res\t()\n", "as recorded")
    terminal:type("help(decide)\n", "decide()")
    terminal:expect "the policy as it is on disk now"
    terminal:type("help(policy.load)\n", "Decide by another file from now on")
    terminal:type("help(request)\n", "lest.request")
    terminal:type("help(recorded)\n", "A decision on the desk")
    terminal:type("help(verdict)\n", "A decision on the desk")
    terminal:type("help(outside)\n", "answered to the policy from outside then")
    terminal:type("recorded.outc\t.verdict\n", '"reject"')
    terminal:type(":help\n", "A recorded decision is on the desk")
    terminal:leave "\4"
  end)
end)
