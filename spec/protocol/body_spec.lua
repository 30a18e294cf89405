-- Media types and encodings of the bodies (RFC 7030 3.2.4, RFC 8951 3; peers' rows S8 to S14, S25).
local core = require "lest.core"
local der = require "support.der"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"

-- The values of the attribute are not in the order of DER.
local function labels(text)
  return (text:gsub("labels = {", [[labels = {
    oneline = { policy = "policy.lua", profile = "device", auth = { "basic" }, wrap = 0,
      csrattrs = { "challengePassword", { oid = "2.999.1", values = { "\12\1b", "\12\1a" } } } },
    wide = { policy = "policy.lua", profile = "device", auth = { "basic" }, wrap = 76 },
    bare = { policy = "policy.lua", profile = "device", auth = { "basic" },
      transfer_encoding = false,
      csrattrs = { "challengePassword", { oid = "2.999.1", values = { "\12\1b", "\12\1a" } } } },
    ]], 1))
end

describe("bodies", function()
  local server, client, basic

  setup(function()
    server = support.start { config = labels }
    client = raw_client.new()
    basic = "Authorization: " .. support.basic("body", server:credential("body", { "--reusable" }))
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function ask(bytes)
    local c <close> = assert(client:connect { port = server.port })
    return assert(c:request(bytes))
  end

  local function enroll(body, path, ...)
    return ask(http("POST", path or "/simpleenroll", { basic, ... or CSR_TYPE }, body))
  end

  --- A fresh CSR's DER.
  local function fresh(options)
    return assert(core.base64.decode((support.request("body", options))))
  end

  it("7030-4.2-b 7030-3.2.4-a 7030-3.2.4-b 7030-3.2.4-e 7030-4.2.2-f S25 names its media types",
    function()
    assert.equal("application/pkcs7-mime",
      ask(http("GET", "/cacerts")).headers["content-type"])
    assert.equal("application/csrattrs", ask(http("GET", "/bare/csrattrs")).headers["content-type"])
    local answer = enroll(core.base64.encode(fresh()))
    assert.equal(200, answer.status, answer.body)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", answer.headers["content-type"])
    server:enroll "renew"
    local me = { port = server.port, cert = server.folder .. "/renew.pem",
      key = server.folder .. "/renew.key" }
    local c <close> = assert(client:connect(me))
    answer = c:request(http("POST", "/simplereenroll", { CSR_TYPE }, (support.request "renew")))
    assert.equal(200, answer.status, answer.body)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", answer.headers["content-type"])
  end)

  it("9110-8.3-a reads a media type in any case, with parameters and blanks", function()
    for _, good in ipairs { "application/pkcs10", "Application/PKCS10", "application/pkcs10;x=y",
      "application/pkcs10 ;\tName=\"a;b\\\"\" ; charset=UTF-8", "application/x-pkcs10" } do
      assert.equal(200, enroll(core.base64.encode(fresh()), nil, "Content-Type: " .. good).status,
        good)
    end
    for _, bad in ipairs { "", "application", "application/pkcs10 x", "application/pkcs10xyz",
      "application/pkcs10, application/pkcs10", "application/pkcs7-mime", "*/*",
      "application/pkcs10; x=\"y" } do
      assert.equal(415, enroll("MAA=", nil, "Content-Type: " .. bad).status, bad)
    end
    local answer = enroll("MAA=", nil, "X: y")
    assert.same({ 415, "the Content-Type header is missing\n" }, { answer.status, answer.body })
  end)

  it("8951-3-a 8951-3-b sends base64 of DER everywhere", function()
    local csr = core.base64.encode(fresh())
    for path, answer in pairs {
      ["/cacerts"] = ask(http("GET", "/cacerts")),
      ["/oneline/csrattrs"] = ask(http("GET", "/oneline/csrattrs")),
      ["/simpleenroll"] = enroll(csr),
      ["/oneline/simpleenroll"] = enroll(csr, "/oneline/simpleenroll"),
    } do
      assert.equal(200, answer.status, path)
      local bytes = assert(core.base64.decode(answer.body), path)
      assert.equal(1, #der.split(bytes))
      der.check(bytes)
    end
  end)

  it("8951-3.1-b wraps its base64 as the label wants it, and unasked for who says what it is",
    function()
    local known <const> = { "User-Agent: curl/7.88.1" }
    for _, case in ipairs { { "/cacerts", known, 64 }, { "/cacerts", nil, 0 },
      { "/wide/cacerts", known, 76 }, { "/wide/cacerts", nil, 76 },
      { "/oneline/cacerts", known, 0 } } do
      local path, headers, columns = table.unpack(case, 1, 3)
      local body = ask(http("GET", path, headers)).body
      local widest = 0
      for line in body:gmatch "[^\n]+" do widest = math.max(widest, #line) end
      if columns == 0 then
        assert.is_nil(body:find "%s", path)
      else
        assert.equal(columns, widest)
        assert.matches("[^\n]\n$", body)
      end
    end
  end)

  it("8951-3-d says Content-Transfer-Encoding unless the label does not want it", function()
    for _, operation in ipairs { "cacerts", "csrattrs" } do
      local with, without = ask(http("GET", "/oneline/" .. operation)),
        ask(http("GET", "/bare/" .. operation))
      assert.equal("base64", with.headers["content-transfer-encoding"])
      assert.is_nil(without.headers["content-transfer-encoding"])
      assert.equal(with.body, (without.body:gsub("\n", "")))
    end
    local answer = enroll(core.base64.encode(fresh()), "/bare/simpleenroll")
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["content-transfer-encoding"])
  end)

  it("8951-3-c pays no attention to the Content-Transfer-Encoding of a request", function()
    for _, value in ipairs { "base64", "BASE64", "binary", "7bit", "quoted-printable", "garbage",
      "" } do
      local answer = ask(http("POST", "/simpleenroll", { basic, CSR_TYPE,
        "Content-Transfer-Encoding: " .. value }, core.base64.encode(fresh())))
      assert.equal(200, answer.status, value)
    end
  end)

  it("8951-3.1-a reads base64 with blanks and line ends anywhere", function()
    for what, shape in pairs {
      ["one line"] = function(text) return text end,
      ["64 and LF"] = function(text) return (text:gsub(("."):rep(64), "%0\n")) .. "\n" end,
      ["76 and CRLF"] = function(text) return (text:gsub(("."):rep(76), "%0\r\n")) .. "\r\n" end,
      ["70 and LF"] = function(text) return (text:gsub(("."):rep(70), "%0\n")) end,
      ["blanks at the ends"] = function(text) return " \t\r\n" .. text .. "\n \t\n\n" end,
      ["blanks everywhere"] = function(text) return (text:gsub(".", "%0 \t")) end,
      ["a line end inside a quantum"] = function(text)
        return text:sub(1, 2) .. "\n" .. text:sub(3)
      end,
      ["a bare CR"] = function(text) return (text:gsub(("."):rep(64), "%0\r")) end,
    } do
      local answer = enroll(shape(core.base64.encode(fresh())))
      assert.equal(200, answer.status, what .. answer.body)
    end
  end)

  local function complains(answer, what)
    assert.equal(400, answer.status, what)
    assert.matches("^%C+\n$", answer.body)
    assert.matches("^text/plain", answer.headers["content-type"])
  end

  it("4648-3.3-a refuses characters outside of the alphabet", function()
    local text = core.base64.encode(fresh())
    for _, stranger in ipairs { "-", "_", "*", ".", "\0", "\x0b", "\xc2\xa0", "%0A" } do
      complains(enroll(text:sub(1, 40) .. stranger .. text:sub(41)), stranger)
      complains(enroll(text .. stranger), stranger)
    end
  end)

  it("4648-3.2-a is strict about padding", function()
    local text = core.base64.encode(fresh { subject = "CN=body" }):gsub("=+$", "")
    for _, tail in ipairs { "A", "A===", "=", "====", "AA==AA==", "AA=A" } do
      complains(enroll(text:sub(1, #text // 4 * 4) .. tail), tail)
    end
    for _, whole in ipairs { "AAAA=", "AAA", "AA==AA==", "MAA", "=", "====" } do
      complains(enroll(whole), whole)
    end
  end)

  it("8951-3-e S9 S11 takes PEM and DER, and only of a request", function()
    local csr = fresh()
    local armour = "-----%s CERTIFICATE REQUEST-----\n"
    local pem = armour:format "BEGIN" .. core.base64.encode(csr, 64) .. armour:format "END"
    assert.equal(200, enroll(pem).status)
    assert.equal(200, enroll(csr).status)
    complains(enroll((pem:gsub("CERTIFICATE REQUEST", "CERTIFICATE"))))
    complains(enroll(pem .. pem), "two")
    complains(enroll((pem:gsub("\n%-%-%-%-%-END.*$", "\n"))), "no end")
    complains(enroll(csr .. "\0"), "a byte more")
    complains(enroll(csr:sub(1, -2)), "a byte less")
  end)

  it("5967-2.1-c refuses empty, doubled and other bodies", function()
    local csr = fresh()
    local cert = server:enroll "other"
    for what, body in pairs {
      empty = "", blank = " \r\n\t\n", ["an empty SEQUENCE"] = "MAA=", NULL = "BQA=",
      ["two requests"] = core.base64.encode(csr .. csr),
      ["two lines of base64"] = core.base64.encode(csr) .. "\n" .. core.base64.encode(csr),
      ["bytes behind"] = core.base64.encode(csr .. "\x05\x00"),
      certificate = core.base64.encode(assert(core.cert.load(cert)):der()),
      text = core.base64.encode "hello, world", JSON = "{}", HTML = "<html></html>",
    } do
      complains(enroll(body), what)
    end
  end)

  it("5967-2.1-b says clearly that BER is not read", function()
    local content = der.body(fresh())
    complains(enroll(core.base64.encode("\x30\x80" .. content .. "\0\0")), "indefinite length")
    complains(enroll(core.base64.encode("\x30\x83" .. ("\0" .. ("%c%c"):format(#content >> 8,
      #content & 255)) .. content)), "a long length")
  end)

  it("takes no request whose version was changed", function()
    local items = der.split(der.body(fresh()))
    local info = der.body(items[1])
    for _, version in ipairs { 1, 2, 255 } do
      local other = der.seq(der.seq("\2\1" .. string.char(version) .. info:sub(4)), items[2],
        items[3])
      complains(enroll(core.base64.encode(other)), version)
    end
  end)

  it("9110-8.4-a takes no coded body", function()
    for _, coding in ipairs { "gzip", "deflate", "br", "x-gzip", "identity, gzip" } do
      local answer = ask(http("POST", "/simpleenroll", { basic, CSR_TYPE, "Content-Encoding: "
        .. coding }, core.base64.encode(fresh())))
      assert.equal(415, answer.status, coding)
    end
    assert.equal(200, ask(http("POST", "/simpleenroll", { basic, CSR_TYPE,
      "Content-Encoding: identity" }, core.base64.encode(fresh()))).status)
    assert.is_nil(ask(http("GET", "/cacerts", { "Accept-Encoding: gzip" }))
      .headers["content-encoding"])
  end)

  it("takes a body of any content up to its limit, and answers", function()
    for _, size in ipairs { 1, 100, 4096, 65535, 65536 } do
      complains(enroll(("A"):rep(size)), size)
    end
    assert.equal(413, enroll(("A"):rep(65537)).status)
  end)

  it("S29 survives any broken request", function()
    local csr = fresh()
    math.randomseed(42)
    for _ = 1, 60 do
      local at = math.random(#csr)
      local broken = csr:sub(1, at - 1) .. string.char(csr:byte(at) ~ (1 << math.random(0, 7)))
        .. csr:sub(at + 1)
      local status = enroll(core.base64.encode(broken)).status
      assert.is_true(status == 400 or status == 403, status)
    end
    assert.same({}, server:logged "request failed")
    assert.same({}, server:logged "message failed")
  end)
end)
