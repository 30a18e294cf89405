-- Paths of EST are read strictly: operations, labels and what is neither (RFC 7030 3.2.2).
local est = require("lest.core").est

local function routes(target, operation, label)
  local route, status, sentence = est.route(target)
  assert.is_table(route, target .. " -> " .. tostring(status) .. " " .. tostring(sentence))
  assert.equal(operation, route.operation)
  assert.equal(label, route.label)
end

local function unknown(targets)
  for _, target in ipairs(targets) do
    local route, status, sentence = est.route(target)
    assert.is_nil(route, target)
    assert.equal(404, status)
    assert.is_true(#sentence > 10)
  end
end

local function in_label(text)
  return "/.well-known/est/" .. text .. "/cacerts"
end

describe("est paths", function()
  it("7030-3.2.2-a 7030-3.2.2-b 7030-3.2.2-c 7030-3.2.2-d 7030-3.2.2-g name an operation",
    function()
    for _, name in ipairs { "cacerts", "simpleenroll", "simplereenroll", "csrattrs",
      "serverkeygen" } do
      routes("/.well-known/est/" .. name, name)
      routes("/.well-known/est/factory/" .. name, name, "factory")
    end
  end)

  it("S34 S35 are not matched by prefix, and short ones are no crash", function()
    unknown { "", "/", "//", "/.", "/..", "/.well-known", "/.well-known/", "/.well-known/est",
      "/.well-known/est/",
      "/.well-known/estX/cacerts", "/.well-knownX/est/cacerts", "/est/cacerts", "/cacerts",
      "/x/est/cacerts",
      "/.well-known/est/factory", "/.well-known/est/factory/", "/.well-known//cacerts", "cacerts",
      "?", "/?",
      ".well-known/est/cacerts", "*", "https://h/.well-known/est/cacerts", "\0", "/\0" }
  end)

  it("7030-3.2.2-m unknown operations and more segments are 404", function()
    unknown { "/.well-known/est/nosuch", "/.well-known/est/cacertsXYZ", "/.well-known/est/xcacerts",
      "/.well-known/est/a/b/cacerts", "/.well-known/est/a/b/c/d/e/f/cacerts",
      "/.well-known/est/a/nosuch",
      "/.well-known/est/cacerts/x", "/.well-known/est/serverkeygen/return" }
  end)

  it("7030-3.2.2-n are case-sensitive and percent-decoded once", function()
    routes("/.well-known/est/%63acerts", "cacerts")
    routes("/%2Ewell%2dknown/%65st/cacert%73", "cacerts")
    unknown { "/.well-known/est/CACERTS", "/.well-known/EST/cacerts", "/.Well-Known/est/cacerts",
      "/.well-known/est/%2563acerts", "/.well-known/est/%43acerts" }
    routes(in_label "%66actory", "cacerts", "factory")
    routes(in_label "%2566actory", "cacerts", "%2566actory")
    routes(in_label "a%2bb%c3%a9", "cacerts", "a%2Bb%C3%A9")
  end)

  it("7030-3.2.2-n refuses dot segments, also encoded, and never resolves them", function()
    unknown { "/.well-known/est/../est/cacerts", "/.well-known/est/%2e%2e/cacerts",
      "/.well-known/est/./cacerts",
      "/.well-known/est/%2E/cacerts", "/.well-known/est/.%2e/cacerts",
      "/../.well-known/est/cacerts",
      "/x/../.well-known/est/cacerts", "/.well-known/est/factory/../cacerts",
      "/.well-known/est/cacerts/..",
      "/.well-known/est/cacerts/.", "/.well-known/est/.." }
    routes(in_label "...", "cacerts", "...")
    routes(in_label ".hidden", "cacerts", ".hidden")
  end)

  it("refuses what another reader could take for a slash, an end or a line", function()
    for _, bad in ipairs { "a%2Fb", "a%2fb", "%2f", "a%5Cb", "a\\b", "a%00", "%00", "a\0", "a%0a",
      "a%0D", "a%7f", "a%1b",
      "a b", "a#b", "a<b", 'a"b', "a%", "a%4", "a%zz", "%", "a[b]", "a|b", "a^b", "a`b", "a{b}",
        "\xc3\xa9" } do
      unknown { in_label(bad) }
      assert.is_nil(est.label_check(bad))
    end
    unknown { "/.well-known/est%2Fcacerts", "/.well-known%2Fest/cacerts",
      "/.well-known/est/factory%2Fcacerts" }
  end)

  it("S33 trailing slashes and empty segments are 404", function()
    unknown { "/.well-known/est/cacerts/", "//.well-known/est/cacerts", "/.well-known/est//cacerts",
      "/.well-known//est/cacerts", "/.well-known/est/factory//cacerts",
        "/.well-known/est/factory/cacerts/" }
  end)

  it("7030-3.2.2-o S36 ignores the query", function()
    for _, query in ipairs { "?", "?x=1", "?/../x", "??", "?/simpleenroll", "?a%2Fb", "?#" } do
      routes("/.well-known/est/cacerts" .. query, "cacerts")
      routes("/.well-known/est/a/cacerts" .. query, "cacerts", "a")
    end
    unknown { "/.well-known/est?/cacerts", "/.well-known/est/cacerts/?x",
      "/.well-known/est/a%3Fcacerts" }
  end)

  it("S31 labels have 1 to 128 characters", function()
    routes(in_label(("a"):rep(128)), "cacerts", ("a"):rep(128))
    unknown { in_label(("a"):rep(129)), in_label(("a"):rep(5000)), in_label(("%61"):rep(129)) }
    routes(in_label(("%61"):rep(128)), "cacerts", ("a"):rep(128))
    routes(in_label "mycacerts", "cacerts", "mycacerts")
    routes(in_label "cacerts2", "cacerts", "cacerts2")
  end)

  it("S32 labels hold every pchar", function()
    local all = "abyzABYZ0189-._~!$&'()*+,;=:@"
    routes(in_label(all), "cacerts", all)
    assert.is_true(est.label_check(all))
    assert.is_true(est.label_check "a%20b")
  end)

  it("7030-3.2.2-i no label equals an operation of EST or of its extensions", function()
    local names = { "cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen",
      "csrattrs", "pal", "eecerts",
      "crls", "symmetrickeys", "firmware", "tamp", "crts", "sen", "sren", "att", "skg", "skc",
      "requestvoucher",
      "voucher_status", "requestauditlog", "enrollstatus" }
    local reserved = {}
    for _, name in ipairs(est.reserved_names) do reserved[name] = true end
    for _, name in ipairs(names) do
      assert.is_true(reserved[name], name)
      for _, text in ipairs { name, name:upper() } do
        local ok, err = est.label_check(text)
        assert.is_nil(ok)
        assert.equal("config", err.code)
        assert.matches(text, err.message, 1, true)
        unknown { in_label(text), in_label("%" .. ("%02x"):format(text:byte()) .. text:sub(2)) }
      end
    end
  end)

  it("labels are configured in the form they are compared in", function()
    assert.is_true(est.label_check "factory")
    assert.is_true(est.label_check(("a"):rep(128)))
    for label, words in pairs { [""] = "at least one", [("a"):rep(129)] = "longer", ["."] = "dot",
      [".."] = "dot",
      ["%2e"] = "dot", ["a/b"] = "character", ["%66"] = "written 'f'", ["a%2b"] = "written 'a%%2B'",
      ["a b"] = "character", ["a\n"] = "character" } do
      local ok, err = est.label_check(label)
      assert.is_nil(ok, label)
      assert.equal("config", err.code)
      assert.matches(words, err.message)
    end
  end)
end)

describe("est operations", function()
  it("have a method, and types as they are sent", function()
    assert.equal("GET", est.operations.cacerts.method)
    assert.equal("application/pkcs10", est.operations.simpleenroll.request_type)
    assert.equal("application/pkcs7-mime", est.operations.cacerts.response_type)
    assert.equal("application/pkcs7-mime; smime-type=certs-only",
      est.operations.simplereenroll.response_type)
    assert.equal("application/csrattrs", est.operations.csrattrs.response_type)
    assert.is_nil(est.operations.csrattrs.request_type)
    assert.is_true(est.operations.cacerts.offered)
    assert.is_true(est.operations.fullcmc.offered)
    assert.equal("application/pkcs7-mime; smime-type=CMC-request",
      est.operations.fullcmc.request_type)
  end)

  it("9110-15.5.6-a 9110-9.1-a 9110-9.1-b know methods allowed, known and unknown", function()
    for _, case in ipairs { { "cacerts", "GET", true }, { "cacerts", "HEAD", true }, { "csrattrs",
      "HEAD", true },
      { "cacerts", "POST", nil, 405, "GET, HEAD" }, { "simpleenroll", "POST", true },
      { "simpleenroll", "GET", nil, 405, "POST" }, { "simpleenroll", "HEAD", nil, 405, "POST" },
      { "simplereenroll", "PUT", nil, 405, "POST" }, { "cacerts", "OPTIONS", nil, 405,
        "GET, HEAD" },
      { "cacerts", "FOO", nil, 501, "GET, HEAD" }, { "cacerts", "get", nil, 501, "GET, HEAD" },
      { "simpleenroll", "", nil, 501, "POST" } } do
      assert.same({ n = select("#", table.unpack(case, 3)), table.unpack(case, 3) },
        table.pack(est.method_check(case[1], case[2])))
    end
    assert.has_error(function() est.method_check("nosuch", "GET") end)
  end)
end)

describe("est media types", function()
  local function check(...)
    local ok, status, sentence = est.request_media_check(...)
    if ok then return 200 end
    assert.is_true(#sentence > 10)
    return status
  end

  it("9110-8.3-a S14 fit in any case and with parameters", function()
    for _, value in ipairs { "application/pkcs10", "Application/PKCS10",
      "application/pkcs10; charset=utf-8",
      ' application/pkcs10 ;name="a b.p10" ', "application/x-pkcs10", "APPLICATION/X-PKCS10",
      "application/pkcs10; smime-type=whatever" } do
      assert.equal(200, check("simpleenroll", value), value)
    end
  end)

  it("9110-15.5.16-a S13 that are wrong, missing or malformed are 415", function()
    for _, value in ipairs { "", "text/plain", "application/pkcs10xyz", "application/pkcs7-mime",
      "application/pkcs",
      "application/pkcs10, application/pkcs10", "application", "application/pkcs10; a",
      "x-application/pkcs10",
      "application/x-www-form-urlencoded", "application/x-x-pkcs10", "application/pkcs10\0" } do
      assert.equal(415, check("simplereenroll", value), value)
    end
    assert.equal(415, check("simpleenroll", nil))
    assert.equal(200, check("cacerts", nil))
    assert.equal(200, check("csrattrs", "text/plain"))
  end)

  it("9110-8.4-a content codings are 415", function()
    assert.equal(415, check("simpleenroll", "application/pkcs10", "gzip"))
    assert.equal(415, check("simpleenroll", "application/pkcs10", ""))
    assert.equal(200, check("simpleenroll", "application/pkcs10", "Identity"))
  end)

  it("5273-4.1-a 7030-3.2.4-c CMC requests say so or say nothing", function()
    assert.equal(200, check("fullcmc", "application/pkcs7-mime; smime-type=CMC-request"))
    assert.equal(200, check("fullcmc", 'application/x-pkcs7-mime; smime-type="cmc-Request"'))
    assert.equal(200, check("fullcmc", "application/pkcs7-mime"))
    assert.equal(415, check("fullcmc", "application/pkcs7-mime; smime-type=certs-only"))
  end)

  it("7030-3.2.4-a of responses have smime-type certs-only or none", function()
    for value, fits in pairs { ["application/pkcs7-mime"] = true,
      ["application/pkcs7-mime; smime-type=certs-only"] = true,
      ['Application/X-PKCS7-MIME; SMIME-Type="Certs-Only"; name=x'] = true, ["text/html"] = false,
      ["application/pkcs7-mime; smime-type=CMC-response"] = false,
      ["application/pkcs7-signature"] = false,
      [""] = false } do
      assert.equal(fits, est.response_media_fits("cacerts", value), value)
    end
    assert.is_false(est.response_media_fits("cacerts", nil))
    assert.is_true(est.response_media_fits("csrattrs", "application/csrattrs"))
    assert.same({ type = "application/pkcs10", params = {} }, est.media_type "application/pkcs10")
  end)
end)
