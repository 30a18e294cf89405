-- Values of header fields: media types, challenges, credentials, dates and lists (RFC 9110).
local http = require("lest.core").http

describe("http media type", function()
  it("9110-8.3-a is read in any case, with blanks, quoted values and other parameters", function()
    assert.same({ type = "application/pkcs7-mime", params = { ["smime-type"] = "certs-only",
      name = "x.p7c" } },
      http.media_type ' Application/PKCS7-MIME ; SMIME-Type="certs-only"; name=x.p7c\t')
    assert.same({ type = "a/b", params = {} }, http.media_type "a/b")
    assert.same({ type = "a/b", params = {} }, http.media_type "a/b; ;")
    assert.equal('a"; x=y\\', http.media_type([[a/b; c="a\"; x=y\\"]]).params.c)
    assert.equal("", http.media_type('a/b; c=""').params.c)
  end)

  it("refuses what is malformed", function()
    for _, bad in ipairs { "", "a", "a/", "/b", "a/b c", "a/b;c", "a/b;c=", 'a/b;c="d',
      'a/b;c="d"e', "a /b", "a/ b",
      "a/b, c/d", "a/b;c=d e", "a/b;c=d;C=e", "a/b;=d", "a/b\0", "a/b/c", 'a/b;c="\\',
        "a/b; c =d", "a/b; c= d" } do
      assert.is_nil(http.media_type(bad), bad)
    end
    assert.is_nil(http.media_type("a/b" .. (";x%d=y"):rep(17):gsub("%%d",
      function() return "" end)))
  end)
end)

describe("http challenges", function()
  local function schemes(value)
    local names = {}
    for i, challenge in ipairs(http.challenges(value)) do names[i] = challenge.scheme end
    return names
  end

  it("9110-11.6.1-b are found in one or more headers, with commas in quoted strings", function()
    local list = http.challenges 'Basic realm="a, b", Digest realm="c", nonce="d", qop="auth"'
    assert.equal(2, #list)
    assert.same({ scheme = "Basic", params = { realm = "a, b" } }, list[1])
    assert.same({ scheme = "Digest", params = { realm = "c", nonce = "d", qop = "auth" } }, list[2])
    assert.same({ "Foo", "Bar" }, schemes { "Foo x=y", "Bar" })
  end)

  it("have a token68, parameters or nothing", function()
    local list = http.challenges(
      'Negotiate YII=, NTLM, Bearer , Basic realm = "x" , charset="UTF-8",,, Foo')
    assert.equal(5, #list)
    assert.equal("YII=", list[1].token68)
    assert.same({}, list[2].params)
    assert.same({ realm = "x", charset = "UTF-8" }, list[4].params)
    assert.same({ 'a"b' }, { http.challenges([[X y="a\"b"]])[1].params.y })
    assert.same({ "Newauth", "Basic" },
      schemes [[Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"]])
  end)

  it("that are malformed end the list, what came before stands", function()
    assert.same({ "Basic" }, schemes 'Basic realm="x", Digest realm="y')
    assert.same({ "Basic" }, schemes 'Basic realm="x", "quoted"')
    for _, bad in ipairs { '"', "=", 'Basic realm="x" y', "Basic a=b a=c", "Basic realm=x,realm=y",
      "Basic\0", "Basic ===", "Basic a b" } do
      assert.same({}, schemes(bad), bad)
    end
    assert.same({}, schemes "")
    assert.same({}, schemes {})
  end)
end)

describe("http credentials", function()
  it("are one scheme with a token68 or parameters", function()
    assert.same({ scheme = "Bearer", token68 = "a.b-c", params = {} },
      http.credentials "Bearer a.b-c")
    local digest = http.credentials 'Digest username="u", qop=auth, nc=00000001, uri="/a,b"'
    assert.same({ username = "u", qop = "auth", nc = "00000001", uri = "/a,b" }, digest.params)
    for _, bad in ipairs { "", ", Basic x", "Basic YTpi, Basic YTpj", "Basic YTpi,",
      "Basic a b" } do
      assert.is_nil(http.credentials(bad), bad)
    end
  end)

  it("7617-2-c of Basic split at the first colon, either side may be empty", function()
    local base64 = require("lest.core").base64.encode
    for _, case in ipairs { { "test:123£", "test", "123£" }, { "a:b:c", "a", "b:c" }, { ":pw", "",
      "pw" }, { "u:", "u", "" },
      { ":", "", "" }, { "Aladdin:open sesame", "Aladdin", "open sesame" } } do
      local user, password = http.basic("Basic " .. base64(case[1]))
      assert.equal(case[2], user)
      assert.equal(case[3], password)
    end
    assert.equal("test", (http.basic "bASIC  dGVzdDoxMjPCow=="))
  end)

  it("7617-2-c refuses control characters; S46 refuses bad base64", function()
    local base64 = require("lest.core").base64.encode
    for _, bad in ipairs { "a\0:b", "a:b\n", "a:\x7f", "nocolon", "" } do
      local user, err = http.basic("Basic " .. base64(bad))
      assert.is_nil(user)
      assert.equal("malformed", err.code)
    end
    for _, bad in ipairs { "Basic", "Basic ", "Basic !", "Basic YTp", "Basic YTpi YTpi",
      "Basic YT pi", "Basic YTpi=",
      "Bearer YTpi", "YTpi", 'Basic x="y"', "", "BasicYTpi", "Basic _-8=", "Basic Og=" } do
      assert.is_nil(http.basic(bad), bad)
    end
  end)
end)

describe("http dates", function()
  it("9110-10.2.3-a are read in all three forms", function()
    for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994", " Sun, 06 Nov 1994 08:49:37 GMT " } do
      assert.equal(784111777, http.date(text, 784111777), text)
    end
    assert.equal(0, http.date "Thu, 01 Jan 1970 00:00:00 GMT")
    assert.equal(951782400, http.date "Tue, 29 Feb 2000 00:00:00 GMT")
    assert.equal(253402300799, http.date "Fri, 31 Dec 9999 23:59:59 GMT")
    assert.equal(1483228800, http.date "Sat, 31 Dec 2016 23:59:60 GMT")
    assert.equal(784111777 + 10 * 86400, http.date "Wed Nov 16 08:49:37 1994")
  end)

  it("of two-digit years are at most 50 years ahead", function()
    local in_2026 = 1767225600
    assert.equal(http.date "Mon, 01 Jan 2076 00:00:00 GMT",
      http.date("Monday, 01-Jan-76 00:00:00 GMT", in_2026))
    assert.equal(http.date "Sat, 01 Jan 1977 00:00:00 GMT",
      http.date("Saturday, 01-Jan-77 00:00:00 GMT", in_2026))
    assert.equal(http.date "Thu, 01 Jan 2026 00:00:00 GMT",
      http.date("Thursday, 01-Jan-26 00:00:00 GMT", in_2026))
  end)

  it("that are malformed are none", function()
    for _, bad in ipairs { "", "now", "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 31 Feb 1994 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT",
      "sun, 06 nov 1994 08:49:37 gmt", "06 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1900 00:00:00 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMT x", "Sun Nov 6 08:49:37 1994", "1994-11-06T08:49:37Z",
        "Sun, 06 Nov -994 08:49:37 GMT" } do
      assert.is_nil(http.date(bad), bad)
    end
  end)

  it("are written as IMF-fixdate", function()
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", http.format_date(784111777))
    assert.equal("Thu, 01 Jan 1970 00:00:00 GMT", http.format_date(-1))
    assert.equal("Fri, 31 Dec 9999 23:59:59 GMT", http.format_date(math.maxinteger))
    for s = 0, 4000000000, 98765431 do assert.equal(s, http.date(http.format_date(s))) end
  end)

  it("9110-10.2.3-a Retry-After is seconds or a date, and nothing else", function()
    local now = 784111777
    assert.equal(120, http.retry_after("120", now))
    assert.equal(0, http.retry_after("0", now))
    assert.equal(60, http.retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now))
    assert.equal(0, http.retry_after("Sun, 06 Nov 1994 08:48:37 GMT", now))
    assert.equal(2147483647, http.retry_after("99999999999", now))
    for _, bad in ipairs { "", "-1", "1.5", "soon", "1 2", "0x10", "99999999999999999999" } do
      assert.is_nil(http.retry_after(bad, now), bad)
    end
  end)
end)

describe("http lists", function()
  it("split at commas outside quotes and skip empty elements", function()
    assert.same({ "a", '"b, c"', "d e" }, http.list ',a, "b, c" ,, d e,')
    assert.same({ '"a\\", b"', "c" }, http.list '"a\\", b", c')
    assert.same({ 'a "b, c' }, http.list 'a "b, c')
    assert.same({}, http.list " , ,")
  end)
end)

describe("http response", function()
  it("has a status line with its second blank, the headers and an empty line", function()
    assert.equal("HTTP/1.1 202 Accepted\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
      http.response_head(202, { { "Retry-After", "60" }, { "Content-Length", "0" } }))
    assert.equal("HTTP/1.1 299 \r\n\r\n", http.response_head(299, {}))
    assert.equal("Not Found", http.reason(404))
  end)

  it("refuses names and values that would end their line", function()
    for _, header in ipairs { { "A", "b\r\nC: d" }, { "A", "b\n" }, { "A", "b\0" }, { "A\r\nB",
      "c" }, { "A:", "b" },
      { "", "b" }, { "A B", "c" }, { "A", "\x1b[0m" } } do
      local bytes, err = http.response_head(200, { header })
      assert.is_nil(bytes)
      assert.equal("malformed", err.code)
    end
  end)
end)
