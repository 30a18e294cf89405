-- How certificates name a server, and below what.
local public = require "lest.server.config.public"

describe("public_url", function()
  it("is an http URL of a host, perhaps with a port and a path", function()
    for written, meant in pairs {
      ["http://pki.example.com"] = true, ["http://pki.example.com:8080"] = true,
      ["http://192.0.2.1:80"] = true, ["http://[2001:db8::1]"] = true,
      ["http://[2001:db8::1]:8080/a/b-c_d.e~f"] = true, ["http://p"] = true,
      ["http://pki.example.com/"] = "http://pki.example.com",
      ["http://pki.example.com/est/"] = "http://pki.example.com/est",
    } do
      assert.equal(meant == true and written or meant, public.accept(written))
    end
  end)

  it("is nothing that two readers could read differently", function()
    for _, wrong in ipairs { "", "pki.example.com", "http://", "http:///a", "http://:80",
      "http://h:", "http://h:0", "http://h:65536", "http://h:x", "http://u@h", "http://h/a b",
      "http://h/a?b", "http://h/a#b", "http://h/%41", "http://h//a", "http://h/../a",
      "http://h/./a", "http://h/a//", "http://-h", "http://h-", "http://a..b", "http://*.h",
      "http://a-.b", "http://1.2.3", "http://1.2.3.256", "http://[h]", "http://[1]",
      "http://[::g]", "http://[1::2::3]", "http://[::1", "http://::1", "ftp://h", "http://h\\a",
      "http://h_x", "http://h/\n", "http://h/é", "http://" .. ("a"):rep(254) } do
      local accepted, problem = public.accept(wrong)
      assert.is_nil(accepted, wrong)
      assert.matches("is no base of URLs", problem)
    end
    assert.is_nil((public.accept(5)))
  end)

  it("is not of https, which would want a certificate verified first", function()
    for _, wrong in ipairs { "https://pki.example.com", "HTTPS://pki.example.com/" } do
      local accepted, problem = public.accept(wrong)
      assert.is_nil(accepted)
      assert.matches("RFC 5280 8", problem)
    end
  end)
end)

describe("the base of public URLs", function()
  local function base(listen_http, san, public_url)
    local plain = {}
    for i, address in ipairs(listen_http) do plain[i] = { address = address } end
    return public.base({ listen_http = plain, public_url = public_url }, san or {})
  end

  it("is what the configuration says", function()
    assert.equal("http://p", base({ "[::]:8080" }, { "DNS:h.example" }, "http://p"))
    assert.equal("http://p", base({}, nil, "http://p"))
  end)

  it("is else the first host of the server's certificate, and the first port", function()
    for expected, given in pairs {
      ["http://h.example:8080"] = { { "[::]:8080", "0.0.0.0:80" }, { "DNS:h.example", "DNS:b" } },
      ["http://h.example"] = { { "0.0.0.0:80" }, { "IP:192.0.2.1", "DNS:*.h", "DNS:h.example" } },
      ["http://192.0.2.1:8080"] = { { "0.0.0.0:8080" }, { "DNS:*.example", "IP:192.0.2.1" } },
      ["http://[2001:db8::1]:8080"] = { { "[::]:8080" }, { "IP:2001:db8::1" } },
    } do
      assert.equal(expected, base(given[1], given[2]))
    end
  end)

  it("is the first name of a certificate that the server renews by itself", function()
    for expected, names in pairs {
      ["http://est.example"] = { "192.0.2.1", "est.example", "b.example" },
      ["http://192.0.2.1"] = { "192.0.2.1" }, ["http://[2001:db8::1]"] = { "2001:db8::1" },
    } do
      local config = { listen_http = { { address = "[::]:80" } },
        tls = { auto = { names = names } } }
      assert.equal(expected, public.base(config, public.names(config)))
    end
  end)

  it("is none without an address, a port or a host", function()
    assert.is_nil(base({}, { "DNS:h" }))
    assert.is_nil(base({ "0.0.0.0:0" }, { "DNS:h" }))
    assert.is_nil(base({ "0.0.0.0:80" }, { "email:a@b" }))
    assert.is_nil(base { "0.0.0.0:80" })
  end)
end)

describe("what a certificate names", function()
  it("is what the profile says, else what the server offers, and nothing without that", function()
    local issuer = { id = "0123456789abcdef0123" }
    local profile = { crl_urls = {}, ocsp_urls = {}, ca_issuer_urls = { "http://x/" } }
    assert.same({ "http://x/" }, public.urls(profile, "http://p", issuer).ca_issuer_urls)
    profile.ca_issuer_urls = {}
    assert.same({}, public.urls(profile, "http://p", issuer).ca_issuer_urls)
    profile.ca_issuer_urls, profile.crl_urls = nil, nil
    assert.same({ "http://p/ca/0123456789abcdef.cer" },
      public.urls(profile, "http://p", issuer).ca_issuer_urls)
    assert.same({}, public.urls(profile, "http://p", issuer).crl_urls)
    issuer.has_crl = true
    assert.same({ "http://p/crl/0123456789abcdef.crl" },
      public.urls(profile, "http://p", issuer).crl_urls)
    assert.same({}, public.urls(profile, nil, issuer).ca_issuer_urls)
    assert.same({}, public.urls(profile, "http://p", issuer).ocsp_urls)
    profile.ocsp_urls = nil
    assert.same({ "http://p/ocsp" }, public.urls(profile, "http://p", issuer).ocsp_urls)
  end)
end)
