-- Requests that somebody carries to the server, and answers that come back: lest agent export, lest
-- forward, lest agent import. The agents here reach no server.
local agents = require "support.agent"
local carried_text = require "lest.client.carried_text"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local NOWHERE <const> = "https://192.0.2.1:9" -- TEST-NET-1: a device without a network

local POLICY <const> = [[
local policy = require "lest.policy"
local function decide(request)
  if request.csr.subject.CN == "waits" and #request.approvals == 0 then
    return policy.pending { "an operator looks", retry_after = "1s" }
  elseif request.csr.subject.CN == "nobody" then
    return policy.reject "not this one"
  end
  return policy.approve { subject = request.csr.subject, san = request.csr.san }
end
return { enroll = decide, reenroll = policy.renew {} }]]

describe("a request that is carried", function()
  local server

  setup(function()
    server = agents.server { policy = POLICY, edit = function(text)
      return (text:gsub("%-%- fullcmc = true", 'fullcmc = true, lost_answer = "30d"', 1)
        :gsub('"certificate", "basic" }', '"certificate", "basic", "challenge" }', 1)
        :gsub("labels = {", [[labels = { confirmed = { policy = "policy.lua", profile = "device",
          fullcmc = true, confirm = "1h", auth = { "challenge" } },]]))
    end }
  end)
  teardown(function() server:stop() end)
  after_each(temporary.clean)

  local serial = 0

  --- An agent far away from the server, with a secret of both, and nothing done yet.
  local function device(more, options)
    serial = serial + 1
    local name = options and options.name or ("far%d"):format(serial)
    local fields = { url = ("%q"):format(NOWHERE), challenge_file = '"secret"', username = "nil",
      password_file = "nil", subject = ('"CN=%s"'):format(name), timeout = '"2s"' }
    for key, value in pairs(more or {}) do fields[key] = value end
    local it = agents.new(server, fields)
    process.write(it:file "secret", server:credential(name, { "--kind", "challenge" }))
    it.subject = "CN=" .. name
    return it
  end

  local function export(it, ...)
    return shell.lest("agent", "export", it:file "stick", it:file "agent.lua", ...)
  end

  --- Where there is a network.
  local function forward(it, ...)
    return shell.lest("forward", it:file "stick", "--to", server.url, "--trust", server.root, ...)
  end

  local function import(it, file)
    return shell.lest("agent", "import", file or it:file "stick.answer", it:file "agent.lua")
  end

  local function carry(it, ...)
    local said = export(it, ...)
    assert.equal(0, said.code, said.err)
    said = forward(it)
    assert.equal(0, said.code, said.err)
    return import(it)
  end

  local function certificates(it)
    return math.tointeger(tonumber((server:sql(
      ("SELECT count(*) FROM certificates WHERE subject = '%s'"):format(it.subject)))))
  end

  --- A device with a certificate that it got so.
  local function enrolled(more)
    local it = device(more)
    local said = carry(it)
    assert.equal(0, said.code, said.err)
    return it
  end

  it("5272-6.2-a gets the first certificate by a secret that is not in the file, and renews",
    function()
      local it = device { files = '{ { path = "whole.pem", content = "combined" } }' }
      local said = export(it)
      assert.equal(0, said.code, said.err)
      assert.matches("1 request", said.err)
      local text = process.read(it:file "stick")
      assert.is_nil(text:find(process.read(it:file "secret"):match "%S+", 1, true))
      assert.is_nil(text:find("PRIVATE", 1, true))
      assert.matches("URL: https://192%.0%.2%.1:9/%.well%-known/est/fullcmc\n", text)
      assert.matches("; carried away at 20", shell.lest("agent", "status", it:file "agent.lua").out)
      assert.is_string(it:status().carried_at)
      assert.matches("PKIData", shell.lest("inspect", it:file "stick").out)
      said = forward(it)
      assert.equal(0, said.code, said.err)
      assert.matches("dev9: success", said.err)
      said = import(it)
      assert.equal(0, said.code, said.err)
      local first = it:cert()
      assert.equal(it.subject, tostring(first.subject))
      assert.matches("PRIVATE KEY", process.read(it:file "whole.pem"))
      assert.same({ "ok", 0 }, { it:status().state, it:status().code })
      assert.is_nil(it:status().carried_at)
      assert.equal(0, process.run { "openssl", "verify", "-CAfile", it:state "anchors.pem",
        it:state "cert.pem" })
      said = export(it)
      assert.equal(0, said.code)
      assert.matches("nothing is due", said.err)
      assert.equal(0, carry(it, "--identity", "dev9").code)
      local second = it:cert()
      assert.not_equal(first.public_key.der, second.public_key.der)
      assert.equal(first.serial, server:sql("SELECT renews FROM certificates WHERE serial = '"
        .. second.serial .. "'"))
    end)

  it("is the same when the stick was lost, and gets one certificate however often it is carried",
    function()
      local it = device()
      assert.equal(0, export(it).code)
      local first = process.read(it:file "stick")
      assert.equal(0, forward(it).code)
      os.remove(it:file "stick")
      os.remove(it:file "stick.answer")
      assert.equal(0, export(it).code)
      assert.equal(first, process.read(it:file "stick"))
      assert.equal(0, forward(it).code)
      assert.equal(0, forward(it).code)
      assert.equal(0, import(it).code)
      assert.equal(1, certificates(it))
      local said = import(it)
      assert.same({ 0, true }, { said.code, said.err:find("in use already", 1, true) ~= nil })
    end)

  it("goes by curl alone", function()
    local it = device()
    assert.equal(0, export(it).code)
    local status, body = server:curl("/fullcmc", "--data-binary", "@" .. it:file "stick", "-H",
      "Content-Type: application/pkcs7-mime; smime-type=CMC-request")
    assert.equal(200, status)
    process.write(it:file "saved", body)
    local said = import(it, it:file "saved")
    assert.equal(0, said.code, said.err)
    assert.equal(it.subject, tostring(it:cert().subject))
  end)

  it("5272-6.13-b waits for an operator, and is carried again as it was", function()
    local it = device({}, { name = "waits" })
    local said = carry(it)
    assert.equal(5, said.code, said.err)
    assert.matches("an operator looks", said.err)
    assert.same({ "pending", true }, { it:status().state, it:status().carried_at ~= nil })
    process.must { server.lest, "pending", "approve", (server:sql "SELECT id FROM pending"),
      "--config", server.dir .. "/server.lua" }
    assert.equal(0, carry(it).code)
    assert.equal("CN=waits", tostring(it:cert().subject))
  end)

  it("5272-6.1-a says why the server has refused it, and loses nothing", function()
    local it = device({}, { name = "nobody" })
    local said = carry(it)
    assert.equal(7, said.code)
    assert.matches("badRequest: not this one", said.err)
    assert.same({ "failing", 8 }, { it:status().state, it:status().code })
    it = enrolled()
    local before = it:cert()
    process.must { server.lest, "cert", "revoke", before.serial, "--reason", "superseded",
      "--config", server.dir .. "/server.lua" }
    said = carry(it, "--identity", "dev9")
    assert.is_true(said.code ~= 0)
    assert.matches("revoked", said.err)
    assert.equal(before, it:cert())
  end)

  it("5272-6.6-a 5272-4.2-c takes no answer to another request, nor a changed one", function()
    local it, other = enrolled(), device()
    assert.equal(0, export(other).code)
    assert.equal(0, forward(other).code)
    assert.equal(0, export(it, "--identity", "dev9").code)
    assert.equal(0, forward(it).code)
    local said = import(it, other:file "stick.answer")
    assert.equal(1, said.code)
    assert.matches("no answer in it to what was carried away", said.err)
    local good = process.read(it:file "stick.answer")
    process.write(it:file "cut", good:sub(1, -40))
    said = import(it, it:file "cut")
    assert.equal(1, said.code)
    assert.matches("END line", said.err)
    assert.equal("ok", it:status().state)
    -- An answer that says who it is for, and whose signature is of other bytes.
    local der = carried_text.answers(good).messages[1]:der()
    local text = good:match "^.-%-%-%-%-%-END PKCS7%-%-%-%-%-\n"
    local at = #der - 10
    local forged = der:sub(1, at - 1) .. string.char(der:byte(at) ~ 1) .. der:sub(at + 1)
    process.write(it:file "forged", text .. carried_text.answer("dev9", "success", forged))
    said = import(it, it:file "forged")
    assert.equal(3, said.code, said.err)
    assert.matches("not believed", said.err)
    assert.same({ "ok", 0 }, { it:status().state, it:status().failures })
    -- The right one still works.
    assert.equal(0, import(it).code)
    said = import(it, it:file "stick")
    assert.equal(1, said.code)
    assert.matches("a request in it, and no answer", said.err)
  end)

  it("learns no anchor that its own do not vouch for", function()
    local it = enrolled()
    local before = process.read(it:state "anchors.pem")
    assert.equal(0, export(it, "--identity", "dev9").code)
    assert.equal(0, forward(it).code)
    local key = core.key.generate "ec:P-256"
    local stranger = it:file "stranger.pem"
    assert(key:save(it:file "stranger.key"))
    process.must { "openssl", "req", "-x509", "-new", "-key", it:file "stranger.key", "-subj",
      "/CN=stranger", "-days", "30000", "-out", stranger }
    local bag = process.must { "openssl", "crl2pkcs7", "-nocrl", "-certfile", stranger }
    process.write(it:file "stick.answer", bag .. process.read(it:file "stick.answer"))
    assert.equal(0, import(it).code)
    assert.equal(before, process.read(it:state "anchors.pem"))
  end)

  it("follows no link that a stranger has put on the stick", function()
    local it = device()
    process.write(it:file "victim", "untouched")
    process.must { "ln", "-s", "victim", it:file "stick" }
    local said = export(it)
    assert.equal(2, said.code)
    assert.matches("is a link, which is not replaced", said.err)
    assert(os.remove(it:file "stick"))
    assert.equal(0, export(it).code)
    process.must { "ln", "-s", "victim", it:file "stick.answer" }
    said = forward(it)
    assert.equal(2, said.code)
    assert.matches("is a link, which is not replaced", said.err)
    assert.equal("untouched", process.read(it:file "victim"))
  end)

  it("says what cannot be carried: a password, no anchors, what is to be confirmed", function()
    local it = device { challenge_file = "nil", username = '"x"', password_file = '"secret"' }
    local said = export(it)
    assert.equal(2, said.code)
    assert.matches("nothing that it has holds without a connection", said.err)
    assert.is_false(process.exists(it:file "stick"))
    it = device { trust = "nil", fingerprint = ("%q"):format(("ab"):rep(32)) }
    said = export(it)
    assert.equal(2, said.code)
    assert.matches("anchors of its own", said.err)
    it = device { label = '"confirmed"' }
    said = carry(it)
    assert.equal(7, said.code)
    assert.matches("confirm", said.err)
    said = export(it, "--identity", "dev8")
    assert.equal(2, said.code)
    assert.matches("no identity 'dev8'", said.err)
  end)

  it("waits for no agent that works in the folder, nor for a clock that cannot be right", function()
    local it = enrolled()
    local pid = it:start()
    process.wait_for(function()
      return process.logged(it:file "log", "agent started")[1]
    end, "the agent", 60)
    local said = export(it, "--identity", "dev9")
    assert.equal(5, said.code)
    assert.matches("another agent works in .*: stop it", said.err)
    it:stop()
    assert.is_false(process.alive(pid))
    if LEST_PREFIX:find "asan" then return end
    process.write(it:file "offset", tostring(-20 * 365 * 86400))
    local early = ("env CLOCK_OFFSET=%s LD_PRELOAD=%s/fixture/clock.so "):format(it:file "offset",
      LEST_PREFIX)
    said = shell.run(early .. shell.line("agent", "export", it:file "stick", it:file "agent.lua"))
    assert.equal(5, said.code, said.err)
    assert.matches("clock says 20.*cannot be", said.err)
    assert.equal(0, export(it, "--identity", "dev9").code)
    assert.equal(0, forward(it).code)
    said = shell.run(early .. shell.line("agent", "import", it:file "stick.answer",
      it:file "agent.lua"))
    assert.is_true(said.code ~= 0)
    assert.matches("clock says 20", said.err)
    assert.equal(0, import(it).code)
  end)

  it("says of a server what it cannot have an answer from", function()
    local it = device { label = '"nowhere"' }
    assert.equal(0, export(it).code)
    local said = forward(it)
    assert.equal(1, said.code)
    assert.matches("dev9: .*404", said.err)
    said = shell.lest("forward", it:file "stick", "--to", "https://localhost:1", "--trust",
      server.root)
    assert.equal(6, said.code)
    assert.is_false(process.exists(it:file "stick.answer"))
    process.write(it:file "stick", "no message\n")
    said = forward(it)
    assert.equal(1, said.code)
    assert.matches("no message in it", said.err)
  end)
end)
