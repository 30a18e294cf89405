-- A configuration is checked whole against its schema, and each mistake is named with its place.
local config = require "lest.server.config.load"
local hooks = require "lest.server.worker.hooks"
local snapshot = require "lest.server.config.snapshot"

local GOOD <const> = [[
return {
  tls = { cert = "server.pem", key = "server.key" },
  ca = { cert = "ca.pem", key = "pkcs11:object=ca" },
  anchors = { own = "ca.pem" },
  profiles = {
    device = { lifetime = "90d", keys = { "ec:P-256" }, san = { "DNS" } },
  },
  labels = {
    default = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" } },
  },
}
]]

local function parse(text)
  return config.parse(text, "/etc/lest/server.lua")
end

local function edited(from, to)
  local text = GOOD:gsub(from, to)
  assert.not_equal(GOOD, text)
  local value, err = parse(text)
  assert.is_nil(value)
  return tostring(err)
end

describe("a configuration", function()
  it("may begin with a byte order mark, as a policy may", function()
    assert(parse("\xef\xbb\xbf" .. GOOD))
    assert(hooks.load("policy.lua", "\xef\xbb\xbfreturn function() end"))
    assert.is_nil((parse("x\xef\xbb\xbf" .. GOOD)))
  end)

  it("has its defaults, seconds for durations and absolute paths", function()
    local value = assert(parse(GOOD))
    assert.equal(7776000, value.profiles.device.lifetime)
    assert.equal("/etc/lest/server.pem", value.tls.cert)
    assert.equal("pkcs11:object=ca", value.ca.key)
    assert.equal("/etc/lest/policy.lua", value.labels.default.policy)
    assert.same({ "own" }, value.labels.default.anchors)
    assert.same({ "default" }, value.labels.default.renews)
    assert.same({ { address = "[::]:8443", psk = false, srp = false } }, value.listen)
    assert.equal("principal", value.profiles.device.names)
    assert.equal(10, value.watchdog)
    assert.equal(65536, value.limits.body_size)
  end)

  it("finds a key beside it, also where its path is written as a URI", function()
    for written, meant in pairs {
      ["server.key"] = "/etc/lest/server.key", ["file:server.key"] = "/etc/lest/server.key",
      ["FILE:x/s.key"] = "/etc/lest/x/s.key", ["file:/x/s.key"] = "file:/x/s.key",
      ["file:///x/s.key"] = "file:///x/s.key", ["pkcs11:object=tls"] = "pkcs11:object=tls",
    } do
      local text = GOOD:gsub('"server.key"', '"' .. written .. '"')
      assert.equal(meant, assert(parse(text)).tls.key)
    end
  end)

  it("takes no text that is not UTF-8: the roles would get another", function()
    assert.matches("ledger: not UTF%-8", edited("anchors =", 'ledger = "l\\xff.db", anchors ='))
    local _, err = config.parse(GOOD, "/etc/l\xffst/server.lua")
    assert.matches("UTF%-8", tostring(err))
  end)

  it("finds the program that knows a passphrase beside it, or along PATH", function()
    local function with(program)
      local text = GOOD:gsub('server.key"', '%0, passphrase_command = { "' .. program
        .. '", "x/y" }')
      return assert(parse(text)).tls.passphrase_command
    end
    assert.same({ "/etc/lest/bin/ask", "x/y" }, with "bin/ask")
    assert.same({ "/bin/ask", "x/y" }, with "/bin/ask")
    assert.same({ "ask", "x/y" }, with "ask")
  end)

  it("survives the way to the roles", function()
    local value = assert(parse(GOOD))
    local back = snapshot.from_json(snapshot.json(value))
    assert.equal(90 * 86400, back.profiles.device.lifetime)
    assert.equal("integer", math.type(back.limits.connections))
  end)

  it("names the line and the right word of a mistake", function()
    local message = edited("lifetime", "lifetme")
    assert.matches("server.lua:6: profiles.device.lifetme: unknown, did you mean 'lifetime'?",
      message)
    assert.matches("profiles.device.lifetime: is missing", message)
  end)

  it("checks values and the names that parts have for each other", function()
    assert.matches("server.lua:6: profiles.device.lifetime: '90 days' is no duration",
      edited("90d", "90 days"))
    assert.matches("'DSN' is not one of DNS, .* did you mean 'DNS'?", edited('"DNS"', '"DSN"'))
    assert.matches("'devise' is not in profiles, did you mean 'device'?",
      edited('profile = "device"', 'profile = "devise"'))
    assert.matches("must have 'default'", edited("default =", "other ="))
    assert.matches("tls.key: must be a string, not a number",
      edited('key = "server.key"', "key = 5"))
    assert.matches('anchors: must be a table, as { own = "ca.pem" }, not a string',
      edited('{ own = "ca.pem" }', '"ca.pem"'))
    assert.matches('anchors%[1%]: must have a name, as { own = "ca.pem" }',
      edited('own = "ca.pem"', '"ca.pem"'))
    assert.matches('tls.min_version: must be a string: write "1.3"',
      edited('key = "server.key"', 'key = "server.key", min_version = 1.3'))
    assert.matches("listen%[1%]: 'localhost' is no address",
      edited("tls =", 'listen = "localhost", tls ='))
    assert.matches("labels.cacerts", edited("default =",
      'cacerts = { policy = "x", profile = "device" }, default ='))
    assert.matches("authority_user: must not be the same", edited("tls =",
      'user = "a", authority_user = "a", tls ='))
  end)

  it("finds what could never be issued before a device asks for it", function()
    for wrong, message in pairs {
      ['keys = { "ec:P-385" }'] = "keys%[1%]: 'ec:P%-385' is no kind of key here, did you mean",
      ['keys = { "secp384r1" }'] = "'secp384r1' is no kind of key here, did you mean 'ec:P%-384'",
      ['keys = { "ec:prime256v1" }'] = "is no kind of key here: write 'ec:P%-256'",
      ['keys = { "rsa:1024" }'] = "'rsa:1024' is no RSA key of 2048",
      ['keys = { "rsa:4096..2048" }'] = "'rsa:4096..2048' is no RSA key",
      ['keys = "ed25519", eku = { "clientauth" }'] = "eku%[1%]: .*, did you mean 'clientAuth'?",
      ['keys = "ed25519", key_usage = { "keyCertSign" }'] = "key_usage%[1%]: 'keyCertSign' is not",
      ['keys = "ed25519", subject = { "CM" }'] = "subject%[1%]: 'CM' is no attribute of a name",
    } do
      assert.matches(message, edited('keys = { "ec:P%-256" }', wrong))
    end
    local good = GOOD:gsub('keys = { "ec:P%-256" }', 'keys = { "ec:P-521", "rsa:2048..4096", '
      .. '"Ed25519" }, eku = { "serverAuth", "1.3.6.1.4.1.311.20.2.2" }, '
      .. 'subject = { "CN", "2.5.4.97", "serialNumber" }, key_usage = { "keyAgreement" }')
    assert(parse(good))
  end)

  it("forgives no certificate that has expired unless told, and where one is taken", function()
    assert.equal(0, parse(GOOD).labels.default.expired_grace)
    local with = 'auth = { "certificate", "basic" }, expired_grace = "7d"'
    local good = GOOD:gsub('auth = { "certificate", "basic" }', with)
    assert.equal(604800, assert(parse(good)).labels.default.expired_grace)
    assert.matches("labels.default.expired_grace: is for client certificates, and 'auth' takes no",
      edited('auth = { "certificate", "basic" }', 'auth = "basic", expired_grace = "7d"'))
    assert.matches("expired_grace", edited('auth = { "certificate", "basic" }',
      (with:gsub("7d", "366d"))))
  end)

  it("takes fullcmc where somebody signs its answers, for no CA that is elsewhere", function()
    local auth = 'auth = { "certificate", "basic" }'
    local with = auth .. ", fullcmc = true"
    assert.matches("labels.default.fullcmc: needs `cmc`", edited(auth, with))
    local signer = 'tls = { cert = "server.pem", key = "server.key" },'
    local good = GOOD:gsub(auth, with):gsub("tls = {",
      'cmc = { cert = "cmc.pem", key = "cmc.key" }, tls = {', 1)
    for _, option in ipairs { 'confirm = "1h"', "cmc_sha1 = true" } do
      assert.matches("is for a label with `fullcmc = true`", edited(auth, auth .. ", " .. option))
    end
    assert.equal(true, assert(parse(good)).labels.default.fullcmc)
    assert.matches("/cmc.key$", parse(good).cmc.key)
    assert.truthy(GOOD:find(signer, 1, true))
    local away = [[  cas = { away = { backend = "command", cert = "ca.pem",
      command = { "/bin/true" } } }, labels =]]
    local elsewhere = good:gsub("  labels =", away, 1):gsub("fullcmc = true", '%0, ca = "away"')
    local _, err = parse(elsewhere)
    assert.matches("labels.default.fullcmc: is not for a CA that is elsewhere", tostring(err))
  end)

  it("takes JSON Web Tokens of one issuer, by signatures alone", function()
    local with = [[auth = { "certificate", "bearer" },
      bearer = { jwks = "keys/jwks.json", issuer = "https://idp.example", audience = "lest" }]]
    local function wrong(from, to)
      return edited('auth = { "certificate", "basic" }', (with:gsub(from, to)))
    end
    local bearer = assert(parse((GOOD:gsub('auth = { "certificate", "basic" }', with))))
      .labels.default.bearer
    assert.matches("^/.*/keys/jwks.json$", bearer.jwks)
    bearer.jwks = nil
    assert.same({ issuer = "https://idp.example", audience = { "lest" }, leeway = 60,
      algorithms = { "RS256", "ES256" }, name_claim = "sub" }, bearer)
    assert.matches("labels.default.bearer.audience: is missing", wrong(', audience = "lest"', ""))
    assert.matches("labels.default.bearer.audience", wrong('audience = "lest"', "audience = {}"))
    assert.matches("bearer.issuer: is missing", wrong('issuer = "https://idp.example", ', ""))
    assert.matches("bearer.audiance: unknown, did you mean 'audience'%?",
      wrong('audience = "lest"', 'audience = "lest", audiance = "x"'))
    for _, name in ipairs { "none", "HS256", "EdDSA", "RS1" } do
      assert.matches("bearer.algorithms%[1%]: '" .. name .. "' is not one of RS256",
        wrong('audience = "lest"', 'audience = "lest", algorithms = "' .. name .. '"'))
    end
    assert.matches("bearer.leeway", wrong('audience = "lest"', 'audience = "lest", leeway = "11m"'))
    assert.matches("labels.default.bearer: is for \"bearer\", which 'auth' does not take",
      wrong('"certificate", "bearer"', '"certificate"'))
  end)

  it("takes an address of keys, which proves what it is", function()
    local function with(jwks, more)
      return GOOD:gsub('auth = { "certificate", "basic" }', ([[auth = { "certificate", "bearer" },
        bearer = { jwks = %q, issuer = "https://idp.example", audience = "lest" %s }]]):format(jwks,
        more or ""))
    end
    local function problem(...)
      local _, err = parse((with(...)))
      return tostring(err)
    end
    local taken = assert(parse((with "https://idp.example/jwks")))
    local bearer = taken.labels.default.bearer
    assert.same({ "https://idp.example/jwks", "system", 86400 },
      { bearer.jwks, bearer.jwks_trust, bearer.jwks_keep })
    assert.is_true(snapshot.has_backend(taken))
    bearer = assert(parse((with("https://[::1]:6443/keys?v=1",
      [[, jwks_trust = "ca.pem", jwks_token_file = "token", jwks_keep = "1h"]]))))
      .labels.default.bearer
    assert.matches("^/.*/ca.pem$", bearer.jwks_trust)
    assert.matches("^/.*/token$", bearer.jwks_token_file)
    for _, jwks in ipairs { "http://idp.example/jwks", "https://user:secret@idp.example/jwks",
      "https:///jwks", "https://idp.example/#jwks", "ftp://idp.example", "https://a b/" } do
      assert.matches("bearer.jwks: .* is not an address of https, as https://idp.example/jwks.json",
        problem(jwks))
    end
    assert.matches("bearer.jwks_trust: is for keys at an address, and 'jwks' is a file",
      problem("jwks.json", [[, jwks_trust = "ca.pem"]]))
    assert.matches("bearer.jwks_keep", problem("https://idp.example/jwks", [[, jwks_keep = "1s"]]))
    assert.matches("jwks_thrust: unknown, did you mean 'jwks_trust'%?",
      problem("https://idp.example/jwks", [[, jwks_thrust = "ca.pem"]]))
    assert.is_false(snapshot.has_backend(assert(parse((with "jwks.json")))))
  end)

  it("finds a label that nobody could use", function()
    local message <const> =
      "labels.default.auth: needs a client certificate, and there are no anchors for one"
    for _, kinds in ipairs { '"certificate"', '"certificate+basic"' } do
      local auth = "auth = " .. kinds
      assert.matches(message, edited('auth = { "certificate", "basic" }', auth .. ", anchors = {}"))
      assert.matches(message, edited('anchors = .-auth = { "certificate", "basic" }',
        function(text) return text:gsub('anchors = .-},', "", 1):gsub("auth = .*", auth) end))
    end
    assert(parse((GOOD:gsub("auth = ", "anchors = {}, auth = "))))
  end)

  it("takes addresses of plain HTTP, which are no others' as well", function()
    local value = assert(parse((GOOD:gsub("tls =", 'listen_http = "0.0.0.0:80", tls =', 1))))
    assert.same({ { address = "0.0.0.0:80" } }, value.listen_http)
    assert.same({}, assert(parse(GOOD)).listen_http)
    for wrong, message in pairs {
      ['listen_http = "[::]:8443"'] = "listen_http: '%[::%]:8443' is an address of 'listen' as",
      ['listen_http = "127.0.0.1:9", metrics = "127.0.0.1:9"'] = "metrics: is an address of 'lis",
      ['listen_http = "http://h:80"'] = "is no address",
      ['listen = { "0.0.0.0:1", "0.0.0.0:2", "0.0.0.0:3", "0.0.0.0:4", "0.0.0.0:5", "0.0.0.0:6", '
        .. '"0.0.0.0:7", "0.0.0.0:8", "0.0.0.0:9" }, listen_http = { "0.0.0.0:11", "0.0.0.0:12", '
        .. '"0.0.0.0:13", "0.0.0.0:14", "0.0.0.0:15", "0.0.0.0:16", "0.0.0.0:17", "0.0.0.0:18" }']
        = "listen_http: there are more than 16",
      ['public_url = "https://h"'] = "public_url: .*RFC 5280 8",
      ['cas = { ca = { cert = "c.pem", key = "c.key" } }'] = "cas.ca: has the name",
    } do
      assert.matches(message, edited("tls =", wrong .. ", tls ="))
    end
  end)

  it("takes the networks of balancers, which are not everybody's", function()
    local function load(text) return parse((GOOD:gsub('listen = [^\n]*\n', "", 1):gsub("tls =",
      text .. ", tls =", 1))) end
    local value = assert(load('listen = { { address = "[::]:8443", proxy = "192.0.2.0/24" }, '
      .. '{ address = "[::]:8444", psk = true, proxy = { "192.0.2.1", "2001:db8::/32" } } }, '
      .. 'listen_http = { { address = "[::]:80", proxy = { "10.0.0.0/8" } }, "[::]:81" }'))
    assert.same({ "192.0.2.0/24" }, value.listen[1].proxy)
    assert.same({ "192.0.2.1", "2001:db8::/32" }, value.listen[2].proxy)
    assert.same({ "10.0.0.0/8" }, value.listen_http[1].proxy)
    assert.is_nil(value.listen_http[2].proxy)
    for wrong, message in pairs {
      ['"10.1.2.3/8"'] = "listen%[1%]%.proxy%[1%]: '10.1.2.3/8' has bits behind its prefix",
      ['{ "0.0.0.0/0" }'] = "listen%[1%]%.proxy%[1%]: '0.0.0.0/0' is everybody",
      ['{ "10.0.0.0/8", "::/0" }'] = "listen%[1%]%.proxy%[2%]: '::/0' is everybody",
      ["{}"] = "listen%[1%]%.proxy: too few entries",
      ['{ "balancer.example.com" }'] = "'balancer.example.com' is no network",
      ["true"] = "listen%[1%]%.proxy%[1%]: must be a network",
      ["{ 10 }"] = "listen%[1%]%.proxy%[1%]: ",
      [('{ "%s" }'):format(("10.0.0.1\", \""):rep(16) .. "10.0.0.1")]
        = "listen%[1%]%.proxy: too many entries",
      ['"10.0.0.0/8", proxies = {}'] = "listen%[1%]%.proxies: unknown.*proxy",
    } do
      local none, err = load(('listen = { { address = "[::]:8443", proxy = %s } }'):format(wrong))
      assert.is_nil(none)
      assert.matches(message, tostring(err))
    end
  end)

  it("takes them on the command line, behind the address", function()
    local function listen(text)
      return config.parse(GOOD, "/etc/lest/server.lua", { listen = { text } })
    end
    assert.same({ "10.0.0.0/8", "192.0.2.1" },
      assert(listen "[::]:8443,proxy=10.0.0.0/8,proxy=192.0.2.1").listen[1].proxy)
    assert.is_true(assert(listen "[::]:8443,psk,proxy=10.0.0.0/8").listen[1].psk)
    for wrong, message in pairs {
      ["[::]:8443,proxy"] = "must be a network", ["[::]:8443,proxy=x"] = "'x' is no network",
      ["[::]:8443,psk=yes"] = "psk: ", ["[::]:8443,other=1"] = "unknown",
    } do
      local none, err = listen(wrong)
      assert.is_nil(none)
      assert.matches(message, tostring(err))
    end
  end)

  it("finds limits that a worker could not take", function()
    local function limit(text)
      return edited("tls =", "limits = { " .. text .. " }, tls =")
    end
    assert.matches("limits.header_size: 1 is out of range %(256 to ", limit "header_size = 1")
    assert.matches("limits.body_size: 4096MiB is out of range", limit 'body_size = "4096MiB"')
    assert.matches("limits.connections: 99999999999 is out of range",
      limit "connections = 99999999999")
    assert.matches("limits.idle: 100000h is out of range %(1s to ", limit 'idle = "100000h"')
    assert.matches("watchdog: 48h is out of range", edited("tls =", 'watchdog = "48h", tls ='))
    local server = require("lest.core").server
    for name, range in pairs(server.limits()) do
      assert.is_true(range.min <= range.default and range.default <= range.max, name)
    end
  end)

  it("finds CSR attributes that cannot be sent", function()
    local function attributes(text)
      return edited("auth = ", "csrattrs = { " .. text .. " }, auth = ")
    end
    assert.matches("csrattrs: unknown option 'kye', did you mean 'key'?",
      attributes '{ kye = "ec:P-256" }')
    assert.matches("csrattrs: 'challengePasword' is no object identifier",
      attributes '"challengePasword"')
    assert.matches("csrattrs: a digest needs a key", attributes '{ digest = "sha384" }')
    assert(parse((GOOD:gsub("auth = ",
      'csrattrs = { { digest = "sha384" }, { key = "ec:P-384" } }, auth = '))))
  end)

  it("blames the command line for what the command line says", function()
    local value, err = config.parse(GOOD, "/etc/lest/server.lua", { listen = { "foo" } })
    assert.is_nil(value)
    assert.matches("^%-%-listen: 'foo' is no address", tostring(err))
  end)

  it("is a Lua file that returns a table and keeps its hands off globals", function()
    assert.matches("server.lua:1:", tostring(select(2, parse "return {")))
    assert.matches("must return a table", tostring(select(2, parse "return 5")))
    assert.matches("'x' is assigned as a global", tostring(select(2, parse "x = 1 return {}")))
    assert.matches("cannot be read", tostring(select(2, config.load "/nonexistent/server.lua")))
  end)
end)
