-- What anybody may fetch over plain HTTP, and that nothing else is there.
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local function with_plain(text)
  return (text:gsub("labels = {", 'listen_http = { "127.0.0.2:0", "[::1]:0" },'
    .. ' workers = 1,\n  limits = { http_connections = 8, connections = 64, header = "2s" },\n'
    .. "  %0", 1))
end

describe("a certificate", function()
  it("names the CA's over plain HTTP where that is offered, and the server's host", function()
    local port = process.free_port()
    local server <close> = support.start { config = function(text)
      return (text:gsub("labels = {", ('listen_http = "127.0.0.2:%d",\n  %%0'):format(port), 1))
    end }
    local url = process.must { "openssl", "x509", "-noout", "-ext", "authorityInfoAccess", "-in",
      server:enroll "device" }:match "CA Issuers %- URI:(%S+)"
    assert.matches(("^http://localhost:%d/ca/%%x+%%.cer$"):format(port), url)
    local said = server:logged "configuration"
    assert.matches("http://localhost:%d+, which is each reader's own machine",
      said[#said].message)
  end)

  it("names nothing without a port or host to name, and a check says so", function()
    local server <close> = support.make { config = with_plain }
    local code, _, err = process.run { server.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(0, code)
    assert.matches("listen_http.*certificates do not name it", err)
  end)
end)

describe("plain HTTP", function()
  local server, client

  setup(function()
    server = support.start { config = with_plain }
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function curl(path, ...)
    local head = process.folder()
    local _, out = process.run { "curl", "-sS", "--max-time", "20", "-o", head .. "/body", "-D",
      head .. "/head", "-w", "%{http_code}", "http://127.0.0.2:" .. server.plain_port .. path, ... }
    local body = process.exists(head .. "/body") and process.read(head .. "/body") or ""
    local headers = process.exists(head .. "/head") and process.read(head .. "/head") or ""
    os.execute("rm -r " .. head)
    return tonumber(out), body, headers:lower()
  end

  local function connect(options)
    options = options or {}
    options.port, options.host, options.plain = server.plain_port, "127.0.0.2", true
    return assert(client:connect(options))
  end

  local function get(path, ...)
    return table.concat({ "GET " .. path .. " HTTP/1.1", "Host: h", ... }, "\r\n") .. "\r\n\r\n"
  end

  --- The line of the log for a request.
  local function line_of(headers)
    local id = headers:match "x%-request%-id: (%S+)"
    for _, line in ipairs(server:logged "request") do
      if line.id == id then return line end
    end
  end

  it("has the CA's certificate, and so has TLS", function()
    local der = assert(core.cert.load(server.dir .. "/ca.pem")):der()
    local status, body, headers = curl "/ca/ca.cer"
    assert.equal(200, status)
    assert.equal(der, body)
    assert.matches("content%-type: application/pkix%-cert", headers)
    assert.equal(der, process.must { "curl", "-sS", "--cacert", server.root,
      server.url .. "/ca/ca.cer" })
    assert.equal(200, (curl("/ca/ca.cer", "--head")))
    local line = line_of(headers)
    assert.same({ "document", 200, true }, { line.operation, line.status, line.plain })
    assert.equal(404, (curl "/ca/other.cer"))
  end)

  it("serves an address of IPv6, and the absolute form that a proxy sends", function()
    local listening = server:logged("ready")[1].listen_http
    local six = listening:match "%[::1%]:(%d+)"
    assert.equal("200", process.must { "curl", "-gsS", "-o", "/dev/null", "-w", "%{http_code}",
      "http://[::1]:" .. six .. "/ca/ca.cer" })
    local c <close> = connect()
    assert.equal(200, assert(c:request(get "http://h/ca/ca.cer")).status)
    assert.equal(400, assert(c:request(get "https://h/ca/ca.cer")).status)
  end)

  it("has nothing of EST, whoever asks, and looks at no credentials", function()
    local secret = server:credential "plain"
    local csr = server:csr "plain"
    for _, path in ipairs { "/.well-known/est/cacerts", "/.well-known/est/csrattrs",
      "/.well-known/est/default/cacerts", "/healthz", "/metrics", "/", "/ca/", "/ca/../ca/ca.cer",
      "/ca/%2e%2e/ca.cer", "/CA/ca.cer", "/ca/ca.cer/", "//ca/ca.cer" } do
      assert.equal(404, (curl(path, "--path-as-is")), path)
    end
    for _, operation in ipairs { "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc" } do
      local status, body, headers = curl("/.well-known/est/" .. operation, "--user", "plain:"
        .. secret, "--data-binary", "@" .. csr, "-H", "Content-Type: application/pkcs10")
      assert.equal(404, status)
      assert.is_nil(headers:find("www-authenticate", 1, true))
      assert.is_nil(body:find(secret, 1, true))
    end
    assert.equal(200, (curl("/ca/ca.cer", "-H", "Authorization: Bearer sesame-sesame")))
    process.settle(server.pid)
    local log = process.read(server.log_file)
    for _, told in ipairs { secret, core.base64.encode("plain:" .. secret), "sesame-sesame" } do
      assert.is_nil(log:find(told, 1, true))
    end
    -- The secret was not used up, nor was anything recorded.
    assert.equal("0", server:sql "SELECT count(*) FROM requests")
  end)

  it("9110-15.5.6-a says 405 with Allow", function()
    for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE" } do
      local status, _, headers = curl("/ca/ca.cer", "-X", method)
      assert.equal(405, status, method)
      assert.matches("allow: get, head\r\n", headers)
    end
    assert.equal(501, (curl("/ca/ca.cer", "-X", "FOO")))
  end)

  it("ends at once what begins with a ClientHello, in words", function()
    local c <close> = connect()
    c:send(client:hello())
    local answer, how = c:response { timeout = 20000 }
    assert.equal("ok", how)
    assert.equal(400, answer.status)
    assert.matches("no HTTP request", answer.body)
    local _, ended = c:read { timeout = 20000 }
    assert.equal("eof", ended)
    local code = process.run { "openssl", "s_client", "-connect", "127.0.0.2:"
      .. server.plain_port }
    assert.not_equal(0, code)
  end)

  it("answers requests that come together in order", function()
    local c <close> = connect()
    c:send(get "/ca/ca.cer" .. get "/ca/none.cer" .. get "/ca/ca.cer")
    for _, status in ipairs { 200, 404, 200 } do
      assert.equal(status, c:response { timeout = 20000 }.status)
    end
  end)

  it("answers HTTP/1.0 without a Host, as routers fetch CRLs, and closes", function()
    local c <close> = connect()
    c:send "GET /ca/ca.cer HTTP/1.0\r\n\r\n"
    local answer = c:response { timeout = 20000 }
    assert.equal(200, answer.status)
    assert.equal("close", answer.headers.connection)
    assert.same({ "", "eof" }, { c:read { timeout = 20000 } })
  end)

  it("ends a connection that has had its requests", function()
    local c <close> = connect()
    c:send(get("/ca/ca.cer"):rep(150))
    local _, count = c:read { timeout = 20000 }:gsub("HTTP/1%.1 200", "")
    assert.equal(100, count)
  end)

  it("answers who has ended its own side, and ends who is slow", function()
    local c <close> = connect()
    c:send(get "/ca/ca.cer")
    c:fin()
    assert.equal(200, c:response { timeout = 20000 }.status)
    local slow <close> = connect()
    slow:send "GET /ca/ca.cer HTTP/1.1\r\nHo"
    assert.equal(408, slow:response { timeout = 30000 }.status)
  end)

  it("takes a new connection for the oldest, and none of those of TLS", function()
    local held = {}
    for i = 1, 40 do
      held[i] = connect()
      held[i]:send "G"
    end
    assert.equal(200, (server:curl "/cacerts"))
    -- The first ones had to go, the last is there.
    local _, how = held[1]:read { timeout = 20000 }
    assert.not_equal("timeout", how)
    held[40]:send "ET /ca/ca.cer HTTP/1.1\r\nHost: h\r\n\r\n"
    assert.equal(200, held[40]:response { timeout = 20000 }.status)
    for _, c in ipairs(held) do c:close() end
  end)

  it("is at the same socket after a reload, and gone with the configuration", function()
    local c <close> = connect()
    assert.equal(200, assert(c:request(get "/ca/ca.cer")).status)
    local before = server.plain_port
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "the reload", 60)
    assert.matches(":" .. before .. " ", server:logged("ready")[2].listen_http .. " ")
    assert.equal(200, (curl "/ca/ca.cer"))
    server:edit_config(function(text) return (text:gsub("listen_http = [^\n]*,\n", "\n", 1)) end)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 3 end, "the reload", 60)
    process.wait_for(function() return curl "/ca/ca.cer" == 0 end, "the end of plain HTTP", 60)
    assert.is_nil(server:logged("ready")[3].listen_http)
  end)
end)
