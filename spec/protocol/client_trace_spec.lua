-- What a client tells of its exchanges: TLS and why it was trusted, requests and answers taken
-- apart, failures, and never a secret.
local core = require "lest.core"
local est = require "support.est"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local PASSWORD <const> = "tr0ub4dor-and-3"

describe("a client's trace", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  -- The events of what fn does with a client, and a list of their kinds.
  local function watch(options, fn)
    local events, kinds = {}, {}
    options.trace = function(event)
      events[#events + 1], kinds[#kinds + 1] = event, event.kind
    end
    local client <close> = world:client(server, options)
    local result, err = fn(client)
    return events, table.concat(kinds, " "), result, err
  end

  local function cacerts(client) return client:cacerts() end

  local function tls_of(options, fn)
    local events = watch(options, fn or cacerts)
    for _, event in ipairs(events) do
      if event.kind == "tls" then return event.tls, events end
    end
  end

  it("tells of the connection, TLS, the request and the answer", function()
    server:answer(est.cacerts({ world.root.cert }, { ["X-A"] = "b" }))
    local events, kinds, found = watch({}, cacerts)
    assert(found)
    assert.equal("connect tls request answer", kinds)
    local connect, tls, request, answer = events[1], events[2].tls, events[3], events[4]
    assert.same({ server.port, false }, { connect.port, connect.reused })
    assert.same({ "TLSv1.3", "explicit", "localhost", false, false },
      { tls.version, tls.trust, tls.host, tls.by_cmc_ra, tls.asked })
    assert.equal(world.server.cert, tls.chain[1])
    assert.same({ world.server.cert, world.root.cert }, tls.path)
    assert.same({ "GET", "/.well-known/est/cacerts", "" },
      { request.method, request.target, request.body })
    assert.same({ 200, "b" }, { answer.status, (function()
      for _, header in ipairs(answer.headers) do
        if header[1] == "X-A" then return header[2] end
      end
    end)() })
    assert.is_true(events[1].at <= events[2].at and events[2].at <= answer.at)
  end)

  it("says what is a kept connection", function()
    server:answer(est.cacerts { world.root.cert }, 2)
    local events, kinds = watch({}, function(client)
      client:cacerts()
      return client:cacerts()
    end)
    assert.equal("connect tls request answer connect request answer", kinds)
    assert.is_true(events[5].reused)
  end)

  it("can begin and end between two calls", function()
    server:answer(est.cacerts { world.root.cert }, 3)
    local client <close> = world:client(server)
    local count = 0
    assert(client:cacerts())
    client.trace = function() count = count + 1 end
    assert(client:cacerts())
    client.trace = nil
    assert(client:cacerts())
    assert.equal(3, count)
  end)

  it("has the chain and the reason where the server is not trusted", function()
    local stranger = world.pki:root "stranger"
    local tls, events = tls_of { trust = stranger.path }
    assert.is_nil(tls.version)
    assert.equal(world.server.cert, tls.chain[1])
    assert.is_nil(tls.path)
    assert.matches("not trusted", tls.refused)
    assert.equal("unknown CA", tls.alert_sent)
    assert.equal("failure", events[#events].kind)
    assert.equal("trust", events[#events].error.code)
  end)

  it("has the chain, the path and the names where the name is another", function()
    local other = world.pki:issue("other", { by = world.root, ext = est.server_ext "DNS:other" })
    server:stop()
    server = world:serve { entity = other }
    local tls = tls_of {}
    assert.same({ other.cert, world.root.cert }, tls.path)
    assert.matches("not for localhost: it names DNS:other", tls.refused)
  end)

  it("7030-3.6.1-a says that an RA's certificate stands for another name", function()
    local ra = world.pki:issue("ra", { by = world.root,
      ext = est.server_ext("DNS:other", "1.3.6.1.5.5.7.3.28") })
    server:stop()
    server = world:serve { entity = ra }
    server:answer(est.cacerts { world.root.cert })
    assert.is_true(tls_of({}).by_cmc_ra)
  end)

  it("says that a server asks for a certificate, and what it says of it", function()
    server:stop()
    server = world:serve { ca = world.pki:root("theirs").path }
    local tls = tls_of { cert = world.device.path, key = world.device.key }
    assert.same({ true, true }, { tls.asked, tls.shown })
    server:stop()
    server = world:serve { ca = world.root.path, max = "1.2" }
    server:answer(est.cacerts { world.root.cert })
    tls = tls_of { cert = world.device.path, key = world.device.key }
    assert.same({ true, true, "TLSv1.2" }, { tls.asked, tls.shown, tls.version })
  end)

  it("has the bytes that came in place of an answer, and what it waited for", function()
    server:answer("HTTP/1.1 200 OK\r\nSet-Cookie: " .. PASSWORD .. "\r\nContent-Length: 1\r\n"
      .. "Content-Length: 2\r\n\r\n")
    local events, kinds = watch({}, cacerts)
    assert.equal("connect tls request failure", kinds)
    assert.equal("HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nContent-Length: 1\r\n"
      .. "Content-Length: 2\r\n", events[4].received)
    server:answer { "HTTP/1.1 200 OK\r\n", "stall" }
    events = watch({ timeout = 1 }, cacerts)
    assert.same({ "HTTP/1.1 200 OK\r\n", "timeout" },
      { events[4].received, events[4].error.code })
  end)

  it("has no connection where there is none", function()
    server:stop()
    local events = watch({}, cacerts)
    assert.equal("failure", events[#events].kind)
    for _, event in ipairs(events) do assert.not_equal("tls", event.kind) end
    server = world:serve()
  end)

  it("tells of redirects and challenges, and shows no secret", function()
    server:answer(est.http(307, { Location = "/.well-known/est/csrattrs?token="
      .. PASSWORD .. "&x" }))
    server:answer(est.csrattrs())
    server:answer(est.http(401, { ["WWW-Authenticate"] = 'Basic realm="r"' }))
    server:answer(est.issued({ world.device.cert }, { ["Set-Cookie"] = PASSWORD }))
    local events, kinds = watch({ username = "device", password = PASSWORD }, function(client)
      return client:enroll { key = world.key, subject = "CN=device",
        challenge_password = PASSWORD }
    end)
    assert.equal("connect tls request answer redirect connect request answer connect request "
      .. "answer challenge connect request answer", kinds)
    assert.matches("/csrattrs%?token=%*%*%*&x$", events[5].to)
    assert.same({ "Basic" }, events[12].schemes)
    assert.is_true(events[14].masked)
    local basic = core.base64.encode("device:" .. PASSWORD)
    local function look(value)
      if type(value) == "string" then
        local decoded = core.est.body_decode(value) or ""
        for _, secret in ipairs { PASSWORD, basic } do
          assert.is_nil((value .. decoded):find(secret, 1, true))
        end
      elseif type(value) == "table" and not core.error.is(value) then
        for _, each in pairs(value) do look(each) end
      end
    end
    look(events)
    assert.truthy(server:requests()[4].head:find(basic, 1, true)) -- it was sent
  end)

  it("with true needs a terminal", function()
    local client <close> = world:client(server, { trace = true })
    local screen = require "lest.client.screen"
    local show = screen.show
    screen.show = nil
    assert.has_error(function() client:cacerts() end)
    screen.show = show
  end)

  it("is shown by lest run and in the REPL", function()
    server:answer(est.cacerts { world.root.cert }, 2)
    local code = ("assert(lest.client { url = %q, trust = %q, trace = true }:cacerts())"):format(
      server.url, world.root.path)
    local folder = process.folder()
    process.write(folder .. "/x.lua", 'local lest = require "lest" ' .. code)
    for _, words in ipairs { { "run", folder .. "/x.lua" }, { "repl", "-e", code } } do
      local result = shell.lest(table.unpack(words))
      assert.equal(0, result.code, result.err)
      assert.matches("\n%* trusted: it chains to the anchor CN=root, and has the name localhost\n",
        result.err)
      assert.matches("\n> GET /.well%-known/est/cacerts\n", result.err)
      assert.matches("\n<     Subject +CN=root\n", result.err)
    end
    os.execute("rm -r " .. folder)
  end)

  it("shows no sequence of a terminal, and not too much", function()
    local evil = "\27[2J\194\155\226\128\174"
    server:answer(est.http(500, { ["Content-Type"] = "text/plain", ["X-A"] = ("y"):rep(5000) },
      ("line " .. evil .. "\n"):rep(5000)))
    local result = shell.lest("cacerts", server.url, "--trust", world.root.path, "--trace")
    assert.is_nil(result.err:find "[\27\155]")
    assert.is_nil(result.err:find("\226\128\174", 1, true))
    assert.matches("< %.%.%. 4800 lines more\n", result.err)
    assert.is_true(#result.err < 40000)
  end)
end)

describe("lest enroll --trace against lest serve", function()
  it("shows the exchange, and no password", function()
    local server = support.start { policy = [[
local policy = require "lest.policy"
return { enroll = function(r) return policy.approve { subject = r.csr.subject } end }]] }
    process.write(server.folder .. "/pw", PASSWORD .. "\n")
    process.must { support.lest, "credential", "add", "dev1", "--password-file",
      server.folder .. "/pw", "--config", server.dir .. "/server.lua" }
    local result = shell.lest("enroll", server.url, "--trust", server.root, "--trace",
      "--username", "dev1", "--password-file", server.folder .. "/pw", "--subject", "CN=dev1",
      "--new-key", "ec:P-256", "--key-out", server.folder .. "/k", "--out", server.folder .. "/c")
    assert.equal(0, result.code, result.err)
    assert.matches("%* the server wants Basic", result.err)
    assert.matches("> Authorization: Basic %*%*%*\n", result.err)
    assert.matches(">   Self%-signature  not checked: a secret beside it is masked\n", result.err)
    assert.matches("<     Subject        CN=dev1\n", result.err)
    assert.is_nil(result.err:find(PASSWORD, 1, true))
    assert.is_nil(result.err:find(core.base64.encode("dev1:" .. PASSWORD), 1, true))
    server:stop()
  end)
end)
