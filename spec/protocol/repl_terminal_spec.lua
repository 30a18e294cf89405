-- The desk at a terminal, beside a real server: what is typed to take an exchange apart, and what
-- the person there sees of it.
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local terminals = require "support.terminal"

local SECRET <const> = "a password that nobody sees"

describe("lest repl at a terminal", function()
  local server, folder, desk

  setup(function()
    server = support.start()
    folder = process.folder()
    process.write(folder .. "/secret", SECRET)
    process.must { server.lest, "credential", "add", "pump-1", "--config",
      server.dir .. "/server.lua", "--reusable", "--password-file", folder .. "/secret" }
  end)
  teardown(function()
    server:stop()
    os.execute("rm -r " .. folder)
  end)
  before_each(function()
    desk = terminals.start(shell.line "repl")
    desk:expect "> "
    desk:type(("root, folder = %q, %q\n"):format(server.root, folder), "> ")
    desk:type(("client = lest.client { url = %q, trust = root, username = 'pump-1',\n"):format(
      server.url), ">> ")
    desk:type("password = io.open(folder .. '/secret'):read 'l' }\n", "> ")
    desk:type("key = lest.key.generate 'ec:P-256'\n", "> ")
  end)
  after_each(function() desk:close() end)

  it("traces an enrollment, decoded and without its secret", function()
    desk:type("client.trace = true\n", "> ")
    desk:type("cert = assert(client:enroll { key = key, subject = 'CN=pump-1' })\n",
      "POST /.well-known/est/simpleenroll")
    desk:expect "401 Unauthorized"
    desk:expect "CN=pump-1"
    desk:expect "200 OK"
    desk:type("cert.subj\t.CN\n", '"pump-1"')
    assert.is_nil(desk:shown():find(SECRET, 1, true))
    assert.is_nil(desk:shown():find(core.base64.encode("pump-1:" .. SECRET), 1, true))
  end)

  it("drives a connection by hand, with a request that is wrong on purpose", function()
    desk:type("bad = lest.csr.build { key = key, subject = 'CN=pump-1', raw = {\n", ">> ")
    desk:type("sign_with = lest.key.generate 'ec:P-256' } }\n", "> ")
    desk:type("assert(client:connect()).tls.version\n", '"TLSv1.3"')
    desk:type("assert(client:send { operation = 'simpleenroll', password = true,\n", ">> ")
    desk:type("body = lest.base64.encode(bad) })\n", "> ")
    desk:type("answer = assert(client:receive())\n", "> ")
    desk:type("answer.status\n", "400")
    desk:type("answer.body\n", "is not right")
  end)

  it("says why a certificate does not verify", function()
    desk:type("cert = assert(client:enroll { key = key, subject = 'CN=pump-1' })\n", "> ")
    desk:type("store = lest.store.new { anchors = assert(client:cacerts()) }\n", "> ")
    desk:type("cert:explain(store)\n", "CN=pump-1 is trusted")
    desk:type("cert:expl\t(store, { purpose = 'server' })\n", "allows clientAuth, not serverAuth")
  end)

  it("records an exchange, which another process plays", function()
    desk:type("assert(client:record(folder .. '/bug.lua'))\n", "> ")
    desk:type("client:enroll { key = key, subject = 'CN=pump-2' }\n",
      "ask for the subject CN=pump-1 and nothing else")
    desk:leave "\4"
    assert.is_nil(process.read(folder .. "/bug.lua"):find(SECRET, 1, true))
    local played = shell.lest("run", folder .. "/bug.lua")
    assert.matches("ask for the subject CN=pump%-1 and nothing else", played.out .. played.err)
  end)

  it("shows what is written of a thing, and where a mistake is", function()
    desk:type("help(client.enroll)\n", "enroll")
    desk:type("source(client.enroll)\n", "lest/client.lua:")
    desk:type("lest.csr.build { key = key, subjekt = 'CN=x' }\n", "did you mean 'subject'?")
  end)
end)
