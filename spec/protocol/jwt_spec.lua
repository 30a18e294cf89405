-- A JSON Web Token (RFC 7519) as a Bearer token: whom the authority believes, and whom not.
local core = require "lest.core"
local json = require "lest.json"
local jwt = require "support.jwt"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who = request.principal
    local pod = who.claims["kubernetes.io"]
    assert(not pod or not pcall(function() pod.pod.name = "another" end), "it can be written")
    return policy.approve { subject = { { "CN", "device" } },
      detail = ("%s %s %s by %s in %s"):format(who.kind, who.name, request.auth.bearer.name,
        who.claims.iss, pod and pod.pod.name) }
  end,
}
]]

-- A certificate comes first, and the token beside it has its claims all the same.
local BOTH <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  local claims = request.auth.bearer.claims
  assert(request.principal.kind == "certificate" and not next(request.principal.claims))
  return policy.approve { subject = { { "CN", "device" } },
    detail = request.principal.name .. " beside " .. claims.groups[1] }
end }
]]

local ISSUER <const> = "https://idp.example/a"

local function configuration(text)
  return (text:gsub("labels = {", [[labels = {
    named = { policy = "policy.lua", profile = "device", auth = "bearer", bearer = {
      jwks = "jwks.json", issuer = "https://idp.example/a", audience = { "lest", "est" },
      algorithms = { "ES256", "RS384", "PS256" }, name_claim = "device", leeway = "0s" } },
    opaque = { policy = "policy.lua", profile = "device", auth = "bearer" },
    both = { policy = "both.lua", profile = "device", auth = "certificate+bearer",
      bearer = { jwks = "jwks.json", issuer = "https://idp.example/a", audience = "lest" } },
    mixed = { policy = "policy.lua", profile = "device", auth = { "bearer", "challenge" },
      bearer = { jwks = "jwks.json", issuer = "https://idp.example/a", audience = "lest" } },
    ]], 1):gsub('auth = { "certificate", "basic" }', [[auth = "bearer", bearer = {
      jwks = "jwks.json", issuer = "https://idp.example/a", audience = "lest" } ]], 1)
    :gsub('names = "principal"', 'names = "policy"', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 3000 },\n  profiles = {", 1))
end

describe("a JSON Web Token", function()
  local server, client, ec, rsa, stranger, file

  setup(function()
    ec, rsa = jwt.key("ec:P-256", "ec-1"), jwt.key("rsa:2048", "rsa-1")
    stranger = jwt.key("ec:P-256", "ec-1")
    server = support.start { policy = POLICY, config = configuration,
      files = { ["jwks.json"] = jwt.set { ec, rsa }, ["both.lua"] = BOTH } }
    file = server.dir .. "/jwks.json"
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  --- Claims that are right, but for `change`; false takes one away.
  local function claims(change)
    local now = os.time()
    local all = { iss = ISSUER, aud = "lest", sub = "pump-1", iat = now, nbf = now,
      exp = now + 600 }
    for name, value in pairs(change or {}) do
      if value == false then all[name] = nil else all[name] = value end
    end
    return all
  end

  local function post(label, token, key)
    return server:ask(client, label .. "/simpleenroll", { "Bearer " .. token }, { key = key })
  end

  local function taken(token, label)
    local response = post(label or "", token)
    assert.equal(200, response.status, response.headers["x-reason"])
  end

  local function refused(token, reason, label)
    local response = post(label or "", token)
    assert.equal(401, response.status, reason)
    assert.equal(reason, response.headers["x-reason"])
    assert.equal('Bearer realm="lest", error="invalid_token"',
      response.headers["www-authenticate"])
  end

  local function replace(text)
    process.write(file .. ".new", text)
    assert(os.rename(file .. ".new", file))
  end

  local SIGNATURE <const> = "the signature of the token is not right"
  local UNKNOWN <const> = "the token is signed with a key that is not known here"
  local ALGORITHM <const> = "the token is of an algorithm that is not taken"

  it("proves who asks, and what its claims say, to policy and ledger", function()
    for _, key in ipairs { ec, rsa } do
      taken(key:sign(claims { ["kubernetes.io"] = { pod = { name = "pump-abc" } } }))
      assert.equal("bearer pump-1 pump-1 by https://idp.example/a in pump-abc",
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal("bearer|jwt(https://idp.example/a):pump-1", server:sql(
        "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    end
    assert.equal("pump-abc", server:sql([[SELECT json_extract(principal,
      '$.claims."kubernetes.io".pod.name') FROM requests ORDER BY seq DESC LIMIT 1]]))
  end)

  it("may be for several, be of a type, and name the principal by another claim", function()
    taken(ec:sign(claims { aud = { "others", "lest" } }))
    for _, kind in ipairs { "JWT", "jwt", "at+jwt", "application/at+jwt" } do
      taken(ec:sign(claims(), { typ = kind }))
    end
    taken(ec:sign(claims { device = "d-1", sub = false, aud = "est" }), "/named")
    assert.equal("jwt(https://idp.example/a):d-1", (server:sql
      "SELECT principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    refused(ec:sign(claims()), "the token has no 'device' that is a name", "/named")
    refused(ec:sign(claims { device = 7 }), "the token has no 'device' that is a name", "/named")
  end)

  it("is taken within the leeway of the clocks, and no longer", function()
    local now = os.time()
    taken(ec:sign(claims { exp = now - 30 }))
    taken(ec:sign(claims { nbf = now + 30, iat = now + 30 }))
    taken(ec:sign(claims { iat = false, nbf = false }))
    taken(ec:sign(claims { exp = now + 0.5 }))
    local over, early = "the token's time is over", "the token's time has not begun"
    refused(ec:sign(claims { exp = now - 61 }), over)
    refused(ec:sign(claims { exp = -1 }), over)
    refused(ec:sign(claims { nbf = now + 120 }), early)
    refused(ec:sign(claims { iat = now + 120 }), early)
    refused(ec:sign(claims { device = "x", exp = now }), over, "/named")
    local wrong <const> = "the times of the token are no numbers, or it has no end"
    refused(ec:sign(claims { exp = false }), wrong)
    refused(ec:sign(claims { exp = tostring(now + 600) }), wrong)
    refused(ec:sign(claims { nbf = {} }), wrong)
    refused(ec:sign(claims { iat = "now" }), wrong)
  end)

  it("is of another issuer or audience", function()
    for _, issuer in ipairs { "https://idp.example/b", "https://idp.example/a/", false,
      { ISSUER } } do
      refused(ec:sign(claims { iss = issuer }), "the token is of another issuer")
    end
    for _, audience in ipairs { "LEST", "lest ", "", false, { "x", { "lest" } }, { lest = "lest" },
      {}, true } do
      refused(ec:sign(claims { aud = audience }), "the token is for another audience")
    end
  end)

  it("is signed by a stranger, or not at all", function()
    refused(stranger:sign(claims()), SIGNATURE)
    local token = ec:sign(claims())
    local head, body, signature = token:match "^([^.]+)%.([^.]+)%.([^.]+)$"
    refused(("%s.%s.%s"):format(head, jwt.base64url(json.line(claims { sub = "root" })), signature),
      SIGNATURE)
    refused(("%s.%s.%s"):format(head, body, signature:sub(1, -3)), SIGNATURE)
    refused(("%s.%s.%s"):format(head, body, jwt.base64url(("\0"):rep(64))), SIGNATURE)
    for _, alg in ipairs { "none", "None", "NONE", "nOnE" } do
      local none = jwt.base64url(json.line { alg = alg, kid = "ec-1" })
      refused(("%s.%s."):format(none, body), "a part of the token is empty")
      refused(("%s.%s.%s"):format(none, body, signature), ALGORITHM)
    end
    refused(head .. "." .. body, "the token does not have three parts")
  end)

  it("has a MAC, made with a public key for a secret", function()
    for _, secret in ipairs { process.read(file), json.line(ec:jwk()), json.line(rsa:jwk()),
      rsa:jwk().n, ec.key:public_der(), rsa.key:public_der() } do
      for _, kid in ipairs { "ec-1", "rsa-1" } do
        refused(jwt.mac(claims(), secret, kid), ALGORITHM)
      end
    end
  end)

  it("is of another algorithm than the key's or the label's", function()
    refused(rsa:sign(claims(), { alg = "RS384" }), ALGORITHM)
    refused(rsa:sign(claims(), { alg = "PS256" }), ALGORITHM)
    refused(ec:sign(claims(), { alg = "RS256", kid = "ec-1" }), UNKNOWN)
    refused(rsa:sign(claims(), { alg = "ES256", kid = "rsa-1" }), UNKNOWN)
    -- The label takes it, and the key says that it is for RS256.
    refused(rsa:sign(claims { device = "x" }, { alg = "PS256" }), UNKNOWN, "/named")
    for _, alg in ipairs { 1, { "ES256" }, "es256", "EdDSA" } do
      refused(ec:sign(claims(), { alg = alg }), ALGORITHM)
    end
  end)

  it("names its key, where that is not plain", function()
    for _, kid in ipairs { "ec-2", "", "../../../etc/passwd", "ec-1\0", "EC-1",
      "' OR 1=1 --" } do
      refused(ec:sign(claims(), { kid = kid }), UNKNOWN)
    end
    refused(ec:sign(claims(), { kid = 1 }), "the token does not name its key by a text")
    -- One key is for ES256.
    taken(ec:sign(claims(), { kid = false }))
    local second = jwt.key("ec:P-256", "ec-2")
    replace(jwt.set { ec, second, rsa })
    local several <const> = "the token names no key, and there are several"
    refused(ec:sign(claims(), { kid = false }), several)
    refused(second:sign(claims(), { kid = false }), several)
    taken(second:sign(claims()))
    replace(jwt.set { ec, second:jwk { kid = "ec-1" }, rsa })
    refused(ec:sign(claims()), "several keys have the name that the token has")
    replace(jwt.set { ec, rsa })
  end)

  it("brings no key and no place of one along", function()
    for name, value in pairs { jwk = stranger:jwk(), jku = "https://localhost:1/jwks",
      x5u = "https://localhost:1/", x5c = { "AAAA" } } do
      refused(stranger:sign(claims(), { [name] = value }), SIGNATURE)
    end
  end)

  it("is no plain one", function()
    for name, value in pairs { crit = { "exp" }, b64 = false, enc = "A128GCM", zip = "DEF",
      cty = "JWT" } do
      local header = { alg = "ES256", kid = "ec-1", [name] = value }
      refused(ec:sign(claims(), json.line(header)),
        ("the header of the token has '%s', which is not taken"):format(name))
    end
    for _, kind in ipairs { "dpop+jwt", "logout+jwt", "", 7 } do
      refused(ec:sign(claims(), { typ = kind }), "the token is of another type")
    end
    local part <const> = jwt.base64url "{}"
    refused(table.concat({ part, part, part, part, part }, "."), "the token is encrypted")
    local object <const>, said <const> = "the header of the token is no object in JSON",
      "the claims of the token are no object in JSON"
    for _, header in ipairs { "[]x", '"x"', "7", "null", "", '{"alg":"ES256"',
      '{"alg":"ES256","kid":"ec-1"} ,', '{"alg":"none","alg":"ES256","kid":"ec-1"}' } do
      if header ~= "" then refused(ec:sign(claims(), header), object) end
    end
    for _, body in ipairs { '"x"', "7", "null", "true", "not JSON",
      json.line(claims()):gsub('"sub"', '"sub":"root","sub"', 1), json.line(claims()) .. "x",
      ("["):rep(100) .. ("]"):rep(100) } do
      refused(ec:sign(body), said)
    end
    refused(ec:sign("[]"), "the token is of another issuer")
    local function nested(levels)
      return (json.line(claims()):gsub("}$", ',"x":' .. ("["):rep(levels) .. ("]"):rep(levels)
        .. "}"))
    end
    taken(ec:sign(nested(31)))
    for _, levels in ipairs { 32, 61, 63 } do
      refused(ec:sign(nested(levels)), "the claims of the token are nested too deep")
    end
  end)

  it("has a form that is not taken", function()
    local good = ec:sign(claims())
    local head, body, signature = good:match "^([^.]+)%.([^.]+)%.([^.]+)$"
    local base64url <const> = "a part of the token is not base64url"
    refused(("%s.%s.%s"):format(head .. "=", body, signature), "the Authorization header is not "
      .. "Bearer with a token")
    for _, wrong in ipairs { head .. "+", head .. "/", head .. "AAAAA" } do
      local response = post("", ("%s.%s.%s"):format(wrong, body, signature))
      assert.equal(401, response.status)
    end
    refused(("%s.%s.%s"):format(head, body:sub(1, -2) .. "~", signature), base64url)
    refused(("%s..%s"):format(head, signature), "a part of the token is empty")
    refused("..", "a part of the token is empty")
    refused(good .. ".", "the token does not have three parts")
    refused(good .. ".x.y", "the token is encrypted")
  end)

  it("may be large, and not too large", function()
    local token = ec:sign(claims { pad = ("x"):rep(5600) })
    assert.is_true(#token > 7500 and #token <= 8192)
    taken(token)
    refused(ec:sign(claims { pad = ("x"):rep(6000) }), "the credentials are not accepted")
    -- Where no JSON Web Tokens are taken, a token is as short as those of the ledger.
    refused(token, "the credentials are not accepted", "/opaque")
    refused(ec:sign(claims()), "the credentials are not accepted", "/opaque")
  end)

  it("is of a name that is a text", function()
    for _, sub in ipairs { "", 7, false, ("n"):rep(256), "a\nb", "a\0b", { "x" } } do
      refused(ec:sign(claims { sub = sub }), "the token has no 'sub' that is a name")
    end
    taken(ec:sign(claims { sub = "system:serviceaccount:plant:pump" }))
    taken(ec:sign(claims { sub = "Größe 12" }))
  end)

  it("is nobody else: no user, no certificate's holder", function()
    local key = assert(core.key.generate "ec:P-256")
    local opaque = server:credential("pump-1", { "--kind", "bearer", "--reusable" })
    for _, token in ipairs { opaque, ec:sign(claims()),
      ec:sign(claims { sub = "own:CN=device" }) } do
      assert.equal(200, post("", token, key).status)
    end
    local by <const> = "jwt(https://idp.example/a):"
    assert.equal(by .. "own:CN=device|" .. by .. "pump-1|pump-1",
      server:sql(([[SELECT group_concat(name, '|') FROM (SELECT DISTINCT principal_name AS name
        FROM certificates WHERE key_hash = '%s' ORDER BY name)]]):format(
        core.secret.sha256(key:public_der()))))
  end)

  it("is the one credential of a request", function()
    local secret = server:credential("device", { "--kind", "challenge" })
    local body = assert(core.csr.build { subject = "CN=device", challenge_password = secret,
      key = assert(core.key.generate "ec:P-256") }):der()
    local response = server:ask(client, "/mixed/simpleenroll", { "Bearer " .. ec:sign(claims()) },
      { body = core.base64.encode(body) })
    assert.equal(200, response.status, response.headers["x-reason"])
    assert.equal("unused", (server:sql "SELECT state FROM credentials WHERE name = 'device'"))
  end)

  it("is good for no longer than its key is in the file", function()
    local token, new = ec:sign(claims()), jwt.key("ec:P-256", "ec-new")
    taken(token)
    replace(jwt.set { new })
    refused(token, UNKNOWN)
    taken(new:sign(claims()))
    assert.equal(file, server:logged("jwks read")[1].file)
    replace(jwt.set { ec, rsa })
    taken(token)
  end)

  it("is verified with the keys of before, where the file is broken", function()
    local token = ec:sign(claims())
    local before = #server:logged "jwks kept as they were"
    for text, problem in pairs {
      ["{"] = "a string is missing", ["[]"] = "it is no JWK Set", ['{"keys":{}}'] = "no key for",
      ['{"keys":[]}'] = "no key for", ['{"keys":[7]}'] = "key 1 is no JWK",
      [jwt.set { ec:jwk { d = "AAAA" } }] = "key 1 is a secret",
      [jwt.set { ec, { kty = "oct", k = "AAAA" } }] = "key 2 is a secret",
      [jwt.set { ec, ec:jwk { y = ec:jwk().x } }] = "key 2 is not taken: the JWK cannot be read",
      [jwt.set { ec, rsa:jwk { n = rsa:jwk().n .. "=" } }] = "key 2 is not taken: the JWK is not",
      [jwt.set { ec:jwk { use = "enc" } }] = "no key for",
      [jwt.set { ec:jwk { key_ops = { "sign" } } }] = "no key for",
      [jwt.set { { kty = "OKP", crv = "Ed25519", x = "AAAA" } }] = "no key for",
      [jwt.set { { kty = "RSA", e = "AQAB", n = jwt.base64url("\xff" .. ("x"):rep(127)) } }] =
        "an RSA key has 2048 to 8192 bits",
      [json.line { keys = { ec:jwk(), ec:jwk { kid = 7 } } }] = "a wrong kid",
      ['{"keys":[],"keys":[]}'] = "comes twice",
      [("x"):rep(256 * 1024 + 1)] = "more than the 262144 bytes",
    } do
      replace(text)
      taken(token)
      taken(token)
      before = before + 1
      local logged = server:logged "jwks kept as they were"
      assert.equal(before, #logged, problem)
      assert(logged[#logged].message:find(problem, 1, true), logged[#logged].message)
    end
    assert(os.remove(file))
    taken(token)
    taken(token)
    assert.equal(before + 1, #server:logged "jwks kept as they were")
    replace(jwt.set { ec, { kty = "OKP", crv = "Ed25519", x = "AAAA" }, rsa:jwk { use = "enc" } })
    taken(token)
    refused(rsa:sign(claims()), UNKNOWN)
    replace(jwt.set { ec, rsa })
    taken(token)
  end)

  it("is in no log and no record, whatever comes of it", function()
    local good, bad = ec:sign(claims()), stranger:sign(claims { sub = "hidden" })
    taken(good)
    refused(bad, SIGNATURE)
    process.wait_for(function()
      return server:sql "SELECT count(*) FROM refusals" ~= "0"
    end, "the refusals' rows", 5)
    local log, dump = process.read(server.folder .. "/log"),
      process.must { "sqlite3", "-readonly", server:ledger(), ".timeout 10000", ".dump" }
    for _, token in ipairs { good, bad } do
      for part in token:gmatch "[^.]+" do
        assert.is_nil(log:find(part, 1, true))
        assert.is_nil(dump:find(part, 1, true))
      end
    end
  end)

  it("counts beside a certificate where a label wants both", function()
    local status, body = server:post("/simpleenroll", server:csr "twofold", "--oauth2-bearer",
      ec:sign(claims()))
    assert.equal(200, status, body)
    server:save(body, "twofold")
    local function both(token)
      return (server:post("/both/simpleenroll", server:csr("twofold", { reuse = true }), "--cert",
        server.folder .. "/twofold.pem", "--key", server.folder .. "/twofold.key",
        "--oauth2-bearer", token))
    end
    assert.equal(401, both(stranger:sign(claims())))
    assert.equal(200, both(ec:sign(claims { groups = { "pumps" } })))
    assert.equal("device beside pumps",
      (server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"))
  end)

  it("is decided again as it was, and explained with its claims", function()
    taken(ec:sign(claims { ["kubernetes.io"] = { pod = { name = "pump-xyz" } },
      groups = { "a", "b" } }))
    local result = json.decode((process.must { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua", "--json" }))
    assert.same({ tonumber(server:sql "SELECT count(*) FROM requests"), 0, 0 },
      { result.same, result.different, result.not_decided })
    local id = server:sql "SELECT id FROM requests ORDER BY seq DESC LIMIT 1"
    local words = { server.lest, "explain", id, "--config", server.dir .. "/server.lua" }
    assert.matches("claims[^\n]*pump%-xyz", process.must(words))
    table.insert(words, "--json")
    local said = json.decode((process.must(words)))
    assert.same({ "a", "b" }, said.request.principal.claims.groups)
  end)

  it("is pinned with its claims", function()
    taken(ec:sign(claims { ["kubernetes.io"] = { pod = { name = "pump-pin" } } }))
    local id = server:sql "SELECT id FROM requests ORDER BY seq DESC LIMIT 1"
    local text = process.must { server.lest, "policy", "pin", id, "--config",
      server.dir .. "/server.lua" }
    assert.matches('testing.bearer%(?{ name = "pump%-1", claims = {', text)
    assert.matches("pump%-pin", text)
    process.write(server.dir .. "/pin_spec.lua", text)
    assert.equal(0, (process.run({ server.lest, "policy", "test", "pin_spec.lua" },
      { dir = server.dir })), text)
  end)

  it("is sent by curl", function()
    local status, body = server:post("/simpleenroll", server:csr "curl", "--oauth2-bearer",
      rsa:sign(claims()))
    assert.equal(200, status, body)
    server:save(body, "curl")
    server:verify "curl.pem"
  end)
end)

describe("JSON Web Tokens that are not right", function()
  it("are limited for a network, and keep no good one out", function()
    local key, stranger = jwt.key("ec:P-256", "k"), jwt.key("ec:P-256", "k")
    local server <close> = support.start { policy = POLICY, config = function(text)
      return (configuration(text):gsub("address_failures_per_minute = 3000",
        "address_failures_per_minute = 3", 1))
    end, files = { ["jwks.json"] = jwt.set { key }, ["both.lua"] = BOTH } }
    local claims <const> = { iss = ISSUER, aud = "lest", sub = "pump", exp = os.time() + 600 }
    local function with(token)
      return (server:post("/simpleenroll", server:csr "device", "--oauth2-bearer", token))
    end
    local bad, good = stranger:sign(claims), key:sign(claims)
    for _ = 1, 3 do assert.equal(401, with(bad)) end
    assert.equal(429, with(bad))
    assert.equal(200, with(good))
    assert.equal(429, with(bad))
  end)
end)

describe("a file of keys", function()
  local function checked(text, change)
    local server <close> = support.make { policy = POLICY, config = configuration,
      files = { ["jwks.json"] = text, ["both.lua"] = BOTH } }
    if change then change(server.dir .. "/jwks.json") end
    local code, out, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
      "--check", "--listen", "127.0.0.1:0" }
    return code, out .. err
  end

  it("must be there and right when a server starts", function()
    local code, said = checked '{"keys":[]}'
    assert.equal(2, code)
    assert.matches("labels%.%w+%.bearer%.jwks: [^\n]*/jwks%.json: it has no key for signatures",
      said)
    code, said = checked("{}", os.remove)
    assert.equal(2, code)
    assert.matches("labels%.%w+%.bearer%.jwks: .*/jwks%.json: ", said)
  end)

  it("is warned of where others can write it", function()
    local text = jwt.set { jwt.key("ec:P-256") }
    local code, said = checked(text)
    assert.equal(0, code, said)
    assert.is_nil(said:find("jwks", 1, true))
    code, said = checked(text, function(file) process.must { "chmod", "666", file } end)
    assert.equal(0, code, said)
    assert.matches("labels%.%w+%.bearer%.jwks[^\n]*others can write .*/jwks%.json .its mode is 666",
      said)
  end)
end)
