-- URLs are read strictly and resolved as RFC 3986 says, however long they are.
local url = require "lest.url"

describe("a URL", function()
  it("is read into its parts", function()
    local u = assert(url.parse "HTTPS://Est.Example.com:8443/a/b?c=d#e")
    assert.same({ "https", "est.example.com", 8443, "/a/b", "c=d" },
      { u.scheme, u.host, u.port, u.path, u.query })
    assert.equal("https://est.example.com:8443/a/b?c=d", tostring(u))
    assert.equal("https://est.example.com:8443", u:origin())
  end)

  it("has the port of its scheme and the path / by default", function()
    assert.equal(443, url.parse "https://h".port)
    assert.equal(80, url.parse "http://h".port)
    assert.equal("https://h/", tostring(url.parse "https://h:443"))
    assert.equal("https://h/?q", tostring(url.parse "https://h?q"))
    assert.equal("https://[::1]:8443/x", tostring(url.parse "https://[::1]:8443/x"))
    assert.equal("::1", url.parse "https://[::1]".host)
    assert.equal("b\u{fc}cher.example", url.parse "https://b\u{fc}cher.example/".host)
  end)

  it("is refused with a sentence that says why", function()
    for text, why in pairs {
      [""] = "empty", ["est.example.com"] = "https://", ["ftp://h/"] = "scheme",
      ["https://"] = "no host",
      ["https://u:p@h/"] = "user name", ["https://h:0/"] = "port", ["https://h:65536/"] = "port",
      ["https://h:1x/"] = "port", ["https://h/a b"] = "character", ["https://h/\n"] = "character",
      ["https://h/%zz"] = "hex", ["https://h/%4"] = "hex", ["https://h/\u{fc}"] = "encoded",
      ["https://a..b/"] = "host",
      ["https://[::1/"] = "host", ["https://h\\@evil/"] = "character",
      ["https://:443/"] = "no host",
      ["https://a_b[1]/"] = "port", ["https://[v1.x]/"] = "host",
    } do
      local parsed, problem = url.parse(text)
      assert.is_nil(parsed, text)
      assert.matches(why, problem, 1, true)
    end
  end)

  it("is not repeated with its password", function()
    for _, text in ipairs { "https://u:secret@h/", "https://u:secret@x@h/", "https://u:secret/@h",
      "https://u:secret @h" } do
      local _, problem = url.parse(text)
      assert.not_matches("secret", problem, 1, true)
      assert.matches("'https://***@h", problem, 1, true)
    end
  end)

  it("is repeated without what a terminal would obey or not show", function()
    local base = assert(url.parse "https://h/a")
    for text, shown in pairs { ["/a\u{202e}b"] = "/a\\u{202e}b'", ["/\27[2J"] = "/\\x1b[2J'",
      ["/\x9bm"] = "/\\x9bm'" } do
      local resolved, problem = url.resolve(base, text)
      assert.is_nil(resolved)
      assert.matches(shown, problem, 1, true)
    end
  end)

  it("is refused at once, however long it is", function()
    local before = os.clock()
    for _, text in ipairs { "x" .. ("/"):rep(200000), "x//" .. ("@"):rep(200000) .. " " } do
      assert.is_nil((url.parse(text)))
    end
    assert.is_true(os.clock() - before < 5)
  end)

  it("resolves a reference", function()
    local base = assert(url.parse "https://h:8443/.well-known/est/cacerts?x")
    for reference, expected in pairs {
      ["/x"] = "https://h:8443/x", ["x"] = "https://h:8443/.well-known/est/x",
      ["../../y"] = "https://h:8443/y", ["../../../../y"] = "https://h:8443/y",
      ["?z"] = "https://h:8443/.well-known/est/cacerts?z",
      [""] = "https://h:8443/.well-known/est/cacerts?x", ["//other/a"] = "https://other/a",
      ["http://h/a"] = "http://h/a", ["./a/."] = "https://h:8443/.well-known/est/a/",
      ["label/cacerts#f"] = "https://h:8443/.well-known/est/label/cacerts",
    } do
      assert.equal(expected, tostring(url.resolve(base, reference)))
    end
    assert.is_nil(url.resolve(base, "javascript:alert"))
    assert.is_nil(url.resolve(base, "/a\r\nb"))
  end)

  it("segment is escaped and read back", function()
    assert.equal("a%2Fb%20%25%00%C3%BC-._~", url.escape "a/b %\0\u{fc}-._~")
    assert.equal("a/b %\0\u{fc}", url.unescape(url.escape "a/b %\0\u{fc}"))
    for _, wrong in ipairs { "%", "%4", "%zz", "%4z" } do assert.is_nil(url.unescape(wrong)) end
  end)
end)
