-- What is masked of an exchange before anybody who looks on is shown it.
local core = require "lest.core"
local secrets = require "lest.client.secrets"

local PASSWORD <const> = "tr0ub4dor-and-3"

local function csr_with_password()
  return assert(core.csr.build { key = assert(core.key.generate "ec:P-256"), subject = "CN=x",
    challenge_password = PASSWORD })
end

local function hides(text)
  assert.is_nil(text:find(PASSWORD, 1, true))
  return text
end

describe("of an exchange", function()
  it("headers with passwords, cookies and tokens are masked, others kept", function()
    local masked = secrets.headers {
      { "Authorization", "Basic " .. PASSWORD }, { "proxy-authorization", PASSWORD },
      { "Set-Cookie", "id=" .. PASSWORD }, { "X-Auth-Token", PASSWORD }, { "X-Api-Key", PASSWORD },
      { "X-Auth", PASSWORD }, { "X-Passwd", "correct horse" }, { "Content-Type", "text/plain" },
      { "WWW-Authenticate", 'Basic realm="r"' },
    }
    assert.same({ { "Authorization", "Basic ***" }, { "proxy-authorization", "***" },
      { "Set-Cookie", "***" }, { "X-Auth-Token", "***" }, { "X-Api-Key", "***" },
      { "X-Auth", "***" }, { "X-Passwd", "***" }, { "Content-Type", "text/plain" },
      { "WWW-Authenticate", 'Basic realm="r"' } }, masked)
  end)

  it("bytes of a head lose them too, on folded lines and with bare line ends as well", function()
    local text = hides(secrets.answer("HTTP/1.1 200 OK\r\nSet-Cookie: a\r\n  " .. PASSWORD
      .. "\r\nX: kept\nCookie:" .. PASSWORD .. "\r\n\r\nbody"))
    assert.equal("HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\n ***\r\nX: kept\nCookie: ***\r\n\r\nbody",
      text)
  end)

  it("the head of a second request and that behind a 103 lose them too", function()
    local second = "GET / HTTP/1.1\r\nAuthorization: Basic " .. PASSWORD .. "\r\n\r\n"
    for _, first in ipairs { "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" } do
      hides(secrets.request(first .. second))
    end
    hides((secrets.body(second)))
    for _, interim in ipairs { "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
      ("HTTP/1.1 100 Continue\r\n\r\n"):rep(2) } do
      hides(secrets.answer(interim .. "HTTP/1.1 200 OK\r\nSet-Cookie: " .. PASSWORD
        .. "\r\n\r\nx"))
    end
  end)

  it("addresses lose what their query says of secrets, wherever they stand", function()
    local address = "https://h/x?a=b&token=" .. PASSWORD .. "&c=d"
    assert.equal("https://h/x?a=b&token=***&c=d", hides(secrets.address(address)))
    assert.equal("/x?access_token=***", secrets.address("/x?access_token=" .. PASSWORD))
    assert.equal("/x?a=b;c", secrets.address "/x?a=b;c")
    assert.equal("https://h/x?a=b&token=***&c=d",
      secrets.headers({ { "Location", address } })[1][2])
    hides(secrets.request("GET /x?password=" .. PASSWORD .. " HTTP/1.1\r\nHost: h\r\n\r\n"))
    hides(secrets.answer("HTTP/1.1 307 No\r\nLocation: " .. address .. "\r\n\r\n"))
  end)

  it("a CSR loses its challengePassword and no byte more", function()
    local csr = csr_with_password()
    for _, form in ipairs { core.est.body_encode(csr:der()), csr:der(), csr:pem() } do
      local body, masked = secrets.body(form)
      assert.is_true(masked)
      local der = assert(core.est.body_decode(body))
      assert.equal(#csr:der(), #hides(der))
      assert.equal(("*"):rep(#PASSWORD), core.csr.parse(der).challenge_password)
    end
  end)

  it("a CSR without a secret is the same", function()
    local csr = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=x" })
    local body = core.est.body_encode(csr:der())
    assert.same({ body, false }, { secrets.body(body) })
  end)

  it("a broken CSR is cut whole where its secret could still be read", function()
    local body = core.est.body_encode(csr_with_password():der())
    for _, broken in ipairs { body:sub(1, -9), "!" .. body, (body:gsub("\n", "\n#")) } do
      local text, masked = secrets.body(broken)
      assert.same({ "***", true }, { text, masked })
    end
    hides((secrets.body(csr_with_password():der():sub(1, -5))))
    local pem = csr_with_password():pem()
    for _, around in ipairs { "a%s", "ab!%s", "abc\n%s" } do
      assert.same({ "***", true }, { secrets.body(around:format(body)) })
    end
    for _, other in ipairs { pem .. pem, (pem:gsub("END", "EN")), "csr=" .. pem,
      (("\xfb\xff" .. body):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" })) } do
      assert.same({ "***", true }, { secrets.body(other) })
    end
  end)

  it("chunks hide neither a CSR's secret nor a private key", function()
    local body, chunked = core.est.body_encode(csr_with_password():der()), {}
    for at = 1, #body, 7 do
      local piece = body:sub(at, at + 6)
      chunked[#chunked + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
    end
    assert.same({ "***", true }, { secrets.body(table.concat(chunked) .. "0\r\n\r\n") })
    hides(secrets.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n--b\r\n"
      .. "Content-Type: applicati\r\n7\r\non/pkcs\r\n13\r\n8\r\n\r\n" .. PASSWORD
      .. "\r\n0\r\n\r\n"))
  end)

  it("an answer with a private key is stars", function()
    local body = "--b\r\nContent-Type: application/pkcs8\r\n\r\n" .. PASSWORD
    assert.equal(("*"):rep(#body), secrets.answer_body(body, "multipart/mixed; boundary=b"))
    assert.equal(("*"):rep(#PASSWORD), secrets.answer_body(PASSWORD, "application/pkcs8"))
    assert.equal("text", secrets.answer_body("text", "text/plain"))
    hides(secrets.answer("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed\r\n\r\n" .. body))
  end)
end)
