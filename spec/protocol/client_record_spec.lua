-- A recorded exchange, played again in another process, gives the same error as the first time.
local core = require "lest.core"
local est = require "support.est"
local process = require "support.process"
local shell = require "support.shell"

local http = est.http
local PASSWORD <const> = "tr0ub4dor-and-3"

describe("a client's record", function()
  local world, server, folder, file

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    server = world:serve()
    folder = process.folder()
    file = folder .. "/bug.lua"
  end)
  after_each(function()
    server:stop()
    os.execute("rm -r " .. folder)
  end)

  -- What fn says of a client that records; and the text of the file.
  local function record(options, fn, how)
    local client <close> = world:client(server, options)
    assert(client:record(file, how))
    local result, err = fn(client)
    return err and tostring(err), assert(core.file.read(file)), result
  end

  local function enroll(client)
    return client:enroll({ key = world.key, subject = "CN=device", csrattrs = false,
      challenge_password = PASSWORD })
  end

  local function play()
    server:stop() -- which is not asked
    local result = shell.lest("run", file)
    server = world:serve()
    return result
  end

  -- The last line, without what is of that server alone.
  local function last_of(result)
    return (result.out:match "([^\n]*)\n$" or ""):gsub("localhost:%d+", "localhost")
  end

  local HTML <const> = { ["Content-Type"] = "text/html" }
  local STRANGE <const> = {
    ["another media type"] = { http(200, HTML, "<p>hello</p>") },
    ["a body that is no base64"] = { est.ok("simpleenroll", "x"):gsub("eA==", "e?==") },
    ["an error with a sentence"] = { http(500, HTML, "<p>out of ink</p>") },
    ["a pending request"] = { http(202, { ["Retry-After"] = "7" }) },
    ["a wish for a password"] = { http(401, { ["WWW-Authenticate"] = 'Digest realm="r"' }) },
    ["a redirect elsewhere"] = { http(307, { Location = "https://elsewhere.example/x" }) },
    ["two lengths"] = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" },
    ["bad chunks"] = { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" },
    ["an end too soon"] = { { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", "close" } },
    ["no answer"] = { { "", "close" } },
  }
  for what, answers in pairs(STRANGE) do
    it("plays " .. what, function()
      server:answer(answers[1])
      local said = record({}, enroll)
      local result = play()
      assert.equal((said:gsub("localhost:%d+", "localhost")), last_of(result), result.err)
      assert.not_equal(0, result.code)
    end)
  end

  it("plays a certificate for another key", function()
    local other = world.pki:issue("device3", { by = world.root })
    server:answer(est.issued { other.cert })
    assert.equal(record({}, enroll), last_of(play()))
  end)

  it("plays a challenge, a redirect and chunks to a good end", function()
    server:answer(http(307, { Location = server.url .. "/.well-known/est/simpleenroll?x" }))
    server:answer(http(401, { ["WWW-Authenticate"] = 'Basic realm="r"' }))
    local body = est.issued { world.device.cert }:match "\r\n\r\n(.*)$"
    server:answer(("HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(#body, body))
    server:answer(est.cacerts { world.root.cert })
    local said, text = record({ username = "device", password = PASSWORD }, function(client)
      assert(enroll(client))
      return client:cacerts()
    end)
    assert.is_nil(said)
    assert.truthy(text:find(("%x\\r\\n"):format(#body), 1, true)) -- as it was on the wire
    local result = play()
    assert.equal("simpleenroll: CN=device\ncacerts: 1 certificates\n", result.out)
    assert.equal(0, result.code, result.err)
  end)

  it("goes on with the same client under another name", function()
    server:answer(est.cacerts { world.root.cert }, 2)
    local _, text = record({}, function(client)
      local other <close> = client:with { username = "u", password = "p" }
      return client:cacerts() and other:cacerts()
    end)
    assert.equal(2, select(2, text:gsub('operation = "cacerts"', "")))
  end)

  it("plays what was driven by hand", function()
    server:answer "HTTP/1.1 200 OK\nX: y\n\n"
    local said = record({}, function(client)
      assert(client:connect())
      assert(client:send { path = "/x" })
      return client:receive()
    end)
    assert.equal("by hand: " .. said:gsub("localhost:%d+", "localhost"), last_of(play()))
  end)

  it("has the reason and the chain where there was no request", function()
    local stranger = world.pki:root "stranger3"
    local said, text = record({ trust = stranger.path }, function(client)
      return client:cacerts()
    end)
    local first = world.server.cert:pem():match "\n([^\n]+)\n"
    assert.truthy(text:find(first, 1, true))
    local result = play()
    assert.equal(3, result.code)
    assert.truthy(result.out:find(said:gsub("^cacerts: ", ""), 1, true), result.out)
  end)

  it("takes what a proxy was asked for no request", function()
    server:on_connect { http(403, {}, "no"), "close" }
    local script = folder .. "/ask.lua"
    process.write(script, ([[
      local client = require "lest".client { url = "https://est.example.com", trust = %q }
      assert(client:record(%q))
      print(select(2, client:cacerts()))]]):format(world.root.path, file))
    local said = shell.run(("https_proxy=http://me:%s@127.0.0.1:%d %s"):format(PASSWORD,
      server.port, shell.line("run", script))).out
    assert.matches("does not let the connection through: 403", said)
    assert.is_nil(assert(core.file.read(file)):find(PASSWORD, 1, true))
    local result = play()
    assert.equal(6, result.code, result.out .. result.err)
    assert.truthy(result.out:find("there was no request, as recorded: ", 1, true), result.out)
  end)

  it("has no secret, unless it shall; is for its owner, and plain text", function()
    local function run(how)
      server:answer(http(401, { ["WWW-Authenticate"] = 'Basic realm="r"' }))
      server:answer(http(500, { ["Set-Cookie"] = PASSWORD }, "\27[2J\0\255\"\\"))
      return select(2, record({ username = "device", password = PASSWORD }, enroll, how))
    end
    local basic = core.base64.encode("device:" .. PASSWORD)
    local text = run()
    assert.is_nil(text:find(PASSWORD, 1, true))
    assert.is_nil(text:find(basic, 1, true))
    assert.is_nil(text:find "[^\n\32-\126]")
    local body = text:gsub('[%s",]+', ""):match "Content%-Length:.-\\r\\n\\r\\n(.-)}"
    assert.is_nil((core.base64.decode((body:gsub("\\n", ""))) or ""):find(PASSWORD, 1, true))
    assert.equal("600", shell.capture("stat -c %a " .. file))
    text = run { secrets = true }
    assert.truthy(text:find(basic, 1, true))
    assert.truthy(text:find("SECRETS ARE IN IT", 1, true))
  end)

  it("serves for another client", function()
    server:answer(est.cacerts { world.root.cert })
    record({}, function(client) return client:cacerts() end)
    local pid = process.start({ process.lest, "run", file, "serve" }, folder .. "/ca.pem",
      folder .. "/url")
    process.wait_for(function() return process.read(folder .. "/ca.pem"):find "END CERT" end,
      "the CA", 5)
    local url = assert(core.file.read(folder .. "/url")):match "(https://%S+)"
    for _ = 1, 2 do
      local result = shell.lest("cacerts", url, "--trust", folder .. "/ca.pem", "--json")
      -- The root is no anchor of this client's: it is left out, but it came.
      assert.matches("CN=root", result.out .. result.err)
    end
    process.kill(pid)
  end)

  it("says that it cannot be written, and goes on without", function()
    local client <close> = world:client(server)
    assert.equal("io", select(2, client:record(folder .. "/no/bug.lua")).code)
    assert.is_nil(client.recorder)
    assert(client:record(file))
    os.execute("chmod 500 " .. folder .. "; rm -rf " .. folder)
    server:answer(est.cacerts { world.root.cert })
    assert(client:cacerts())
    assert.is_nil(client.recorder)
    assert.matches("no more is recorded", client.told[1])
    os.execute("mkdir " .. folder)
  end)

  it("takes the place of an earlier one, and of no other file", function()
    local client <close> = world:client(server)
    assert(client:record(file))
    assert(client:record(file))
    process.write(file, "return { mine = true }\n")
    assert.equal("exists", select(2, client:record(file)).code)
    assert.equal("return { mine = true }\n", process.read(file))
    os.remove(file)
  end)

  it("ends when it is full", function()
    local client <close> = world:client(server)
    assert(client:record(file))
    server:answer(http(500, { ["Content-Type"] = "text/plain" }, ("x"):rep(3 * 1024 * 1024)), 4)
    for _ = 1, 4 do client:cacerts() end
    assert.is_true(#core.file.read(file, 20 * 1024 * 1024) < 9 * 1024 * 1024)
    assert.same({ "warning: " .. file .. " is full: no more is recorded" }, client.told)
  end)
end)
