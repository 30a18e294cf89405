-- Methods, media types, sizes and codings over HTTP, with curl as the client (RFC 9110, 9112).
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

describe("the server's HTTP", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  it("9110-15.5.6-a says 405 with Allow", function()
    local status, _, headers = server:curl "/simpleenroll"
    assert.equal(405, status)
    assert.equal("POST", headers.allow)
    status, _, headers = server:curl("/cacerts", "-X", "POST", "-d", "x")
    assert.equal(405, status)
    assert.equal("GET, HEAD", headers.allow)
  end)

  it("9110-9.1-a answers HEAD with the headers of GET", function()
    local status, body, headers = server:curl("/cacerts", "--head")
    local _, full = server:curl "/cacerts"
    assert.equal(200, status)
    assert.equal(#full, tonumber(headers["content-length"]))
    assert.matches("\r\n\r\n$", body) -- curl writes the head as the body, and nothing after it
  end)

  it("9110-9.1-b knows no other method", function()
    assert.equal(501, (server:curl("/cacerts", "-X", "FOO")))
  end)

  it("9110-15.5.16-a 9110-8.3-a takes application/pkcs10 in any case, with parameters, no other",
    function()
      local csr = server:csr "media"
      local function post(media_type)
        return (server:curl("/simpleenroll", "--data-binary", "@" .. csr, "--user", "a:wrong", "-H",
          "Content-Type:" .. media_type))
      end
      for _, good in ipairs { "application/pkcs10", "Application/PKCS10",
        "application/pkcs10; charset=utf-8",
        'application/pkcs10 ; name="x;y"', "application/x-pkcs10" } do
        assert.equal(401, post(good), good)
      end
      for _, bad in ipairs { "", "text/plain", "application/pkcs10xyz", "application/pkcs7-mime",
        "application/pkcs10, text/plain" } do
        assert.equal(415, post(bad), bad)
      end
    end)

  it("9110-15.5.14-a refuses a large body before reading it", function()
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    -- Not a byte of it is there yet.
    local answer = assert(connection:request(raw_client.http("POST", "/simpleenroll",
      { "Content-Type: application/pkcs10", "Authorization: Basic YTpi",
        "Content-Length: 5000000" })))
    assert.equal(413, answer.status)
  end)

  it("9112-6.1-a decodes chunked bodies", function()
    local secret = server:credential "chunked"
    local status = server:post("/simpleenroll", server:csr "chunked", "--user", "chunked:"
      .. secret, "-H",
      "Transfer-Encoding: chunked")
    assert.equal(200, status)
  end)

  it("9110-8.4-a refuses a coded body", function()
    assert.equal(415, (server:post("/simpleenroll", server:csr "coded", "--user", "a:b", "-H",
      "Content-Encoding: gzip")))
  end)

  it("9110-10.1.1-a answers at once when it expects no body", function()
    local status = server:post("/simpleenroll", server:csr "expect", "-H", "Expect: 100-continue",
      "--expect100-timeout", "15", "--max-time", "5")
    assert.equal(401, status)
  end)

  it("keeps the connection for further requests", function()
    local url = server.url .. "/.well-known/est/cacerts"
    assert.equal("200 1\n200 0\n", process.must { "curl", "-sS", "--max-time", "20", "--cacert",
      server.dir .. "/ca.pem", "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", url,
      "-o", "/dev/null", url })
  end)

  it("puts a request id in every answer", function()
    local _, _, headers = server:curl "/cacerts"
    assert.matches("^[%w_-]+%-%x+$", headers["x-request-id"])
    assert.is_not_nil(headers.date)
  end)

  it("believes no header about who asks, or what the request is called", function()
    local before = #server:logged "request"
    local _, _, headers = server:curl("/cacerts", "-H", "X-Forwarded-For: 192.0.2.7", "-H",
      "X-Real-IP: 192.0.2.7", "-H", "Forwarded: for=192.0.2.7", "-H", "X-Request-Id: mine")
    assert.not_equal("mine", headers["x-request-id"])
    local lines = server:logged "request"
    assert.equal(before + 1, #lines)
    assert.equal(headers["x-request-id"], lines[#lines].id)
    assert.matches("^127%.0%.0%.1", lines[#lines].address)
  end)
end)
