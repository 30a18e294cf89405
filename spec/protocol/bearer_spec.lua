-- A Bearer token (RFC 6750) at the server: what it asks for, whom it believes, and that the token
-- is kept nowhere.
local core = require "lest.core"
local json = require "lest.json"
local lest_client = require "lest.client"
local process = require "support.process"
local raw_client = require "support.raw_client"
local shell = require "support.shell"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who, auth = request.principal, request.auth
    if not auth.certificate and not policy.principal { kind = "bearer" } (request) then
      return policy.reject "no token"
    end
    return policy.approve { subject = { { "CN", who.name } },
      detail = ("%s %s %s of %s, %s"):format(who.kind, who.name, auth.bearer.name,
        who.credential.site, auth.certificate and "with a certificate" or "alone") }
  end,
}
]]

local function configuration(text)
  return (text:gsub("labels = {", [[labels = {
    mixed = { policy = "policy.lua", profile = "device",
      auth = { "basic", "digest", "bearer", "certificate" } },
    both = { policy = "policy.lua", profile = "device", auth = "certificate+bearer" },
    ]], 1):gsub('auth = { "certificate", "basic" }', 'auth = { "bearer" }', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 300 },\n  profiles = {", 1))
end

describe("a Bearer token", function()
  local server, client

  setup(function()
    server = support.start { policy = POLICY, config = configuration }
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function made(name, ...)
    return server:credential(name, { "--kind", "bearer", "--set", "site=Ulm", ... })
  end

  --- What is answered to a CSR with these values of Authorization.
  local function post(label, values, how)
    local query = how and how.query or ""
    return server:ask(client, label .. "/simpleenroll" .. query, values, how)
  end

  local function challenges(response)
    return raw_client.values(response, "www-authenticate")
  end

  local ASKED <const>, REFUSED <const> = 'Bearer realm="lest"',
    'Bearer realm="lest", error="invalid_token"'

  it("S44 is asked for, and said to be invalid where one was sent", function()
    local response = post("", {})
    assert.equal(401, response.status)
    assert.same({ ASKED }, challenges(response))
    response = post("", { "Bearer " .. ("a"):rep(52) })
    assert.equal(401, response.status)
    assert.same({ REFUSED }, challenges(response))
    -- What was sent of another scheme is no token.
    assert.same({ ASKED }, challenges(post("", { support.basic("device", "secret") })))
  end)

  it("is asked for beside others, a field each", function()
    local schemes = {}
    for i, value in ipairs(challenges(post("/mixed", {}))) do schemes[i] = value:match "^%a+" end
    assert.same({ "Basic", "Digest", "Digest", "Bearer" }, schemes)
    local values = challenges(post("/mixed", { support.basic("device", "secret") }))
    assert.equal(ASKED, values[4])
    assert.equal(REFUSED, challenges(post("/mixed", { "Bearer x" }))[4])
  end)

  it("S44 proves who asks, to policy and ledger, wherever it is taken", function()
    local token = made("device001", "--reusable")
    assert.matches("^[%w._~+/-]+$", token)
    assert.is_true(#token >= 43)
    for label, scheme in pairs { [""] = "Bearer", ["/mixed"] = "bEARER  " } do
      local response = post(label, { scheme .. " " .. token })
      assert.equal(200, response.status, response.body)
      assert.equal("bearer device001 device001 of Ulm, alone",
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal("bearer|device001", server:sql(
        "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    end
  end)

  it("S44 is taken only as RFC 6750 2.1 has it, and once in a request", function()
    local token = made("strict", "--reusable")
    for _, value in ipairs { "Bearer", "Bearer ", "Bearer=" .. token, token, "Bearer:" .. token,
      "Bearer \"" .. token .. "\"", "Bearer " .. token .. ",", "Bearer " .. token .. " x",
      "Bearer " .. token .. "=", "Bearer =" .. token, "Bearer token=" .. token,
      "Bearer " .. token .. ", Bearer " .. token, "Bearer " .. token:upper(),
      "Bearer " .. token:sub(1, -2), "Bearer " .. token .. "\xe4", "Bearer " .. ("a"):rep(1025),
      "Token " .. token, "Basic " .. core.base64.encode("strict:" .. token) } do
      assert.equal(401, post("", { value }).status, value)
    end
    for _, values in ipairs { { "Bearer " .. token, "Bearer " .. token },
      { "Bearer " .. token, support.basic("strict", token) } } do
      assert.equal(400, post("", values).status)
    end
    -- RFC 6750 2.2 and 2.3, and a cookie: not here.
    local form <const> = "application/x-www-form-urlencoded"
    for _, how in ipairs { { query = "?access_token=" .. token },
      { media = form, body = "access_token=" .. token },
      { header = "Cookie: access_token=" .. token } } do
      local response = post("", {}, how)
      assert.equal(401, response.status)
      assert.same({ ASKED }, challenges(response))
    end
    assert.equal(200, post("", { "Bearer " .. token }).status)
  end)

  it("is of its kind alone", function()
    local token, basic = made("kinds", "--reusable"), server:credential "kinds"
    local digest = server:credential("kinds", { "--kind", "digest", "--realm", "lest" })
    assert.equal(401, post("/mixed", { support.basic("kinds", token) }).status)
    assert.equal(401, post("/mixed", { "Bearer " .. basic }).status)
    assert.equal(401, post("/mixed", { "Bearer " .. digest }).status)
  end)

  it("is used up for one key, ends with its time and with its removal", function()
    local key = assert(core.key.generate "ec:P-256")
    local once = made "once"
    assert.equal(200, post("", { "Bearer " .. once }, { key = key }).status)
    assert.equal(200, post("", { "Bearer " .. once }, { key = key }).status)
    local response = post("", { "Bearer " .. once })
    assert.equal(401, response.status)
    assert.same({ REFUSED }, challenges(response))
    assert.matches("used up", response.headers["x-reason"])
    local short = made("short", "--reusable", "--expires", "1s")
    process.wait_for(function()
      response = post("", { "Bearer " .. short })
      -- One that ends while it is judged is refused with fewer words.
      return response.status == 401
        and response.headers["x-reason"]:find("the time of the secret is over", 1, true)
    end, "the end of the token's time", 20)
    local gone, other = made("gone", "--reusable"), made("stays", "--reusable")
    assert.equal(200, post("", { "Bearer " .. gone }).status)
    process.must { server.lest, "credential", "remove", "gone", "--config",
      server.dir .. "/server.lua" }
    response = post("", { "Bearer " .. gone })
    assert.equal(401, response.status)
    assert.matches("not accepted", response.headers["x-reason"])
    assert.equal(200, post("", { "Bearer " .. other }).status)
  end)

  it("is one of its name's, and uses no other one up", function()
    local first, second = made "two", made "two"
    assert.equal(200, post("", { "Bearer " .. first }).status)
    assert.equal(401, post("", { "Bearer " .. first }).status)
    assert.equal("unused|used", server:sql([[SELECT group_concat(state, '|') FROM
      (SELECT state FROM credentials WHERE name = 'two' ORDER BY state)]]))
    assert.equal(200, post("", { "Bearer " .. second }).status)
  end)

  it("counts beside a certificate where a label wants both", function()
    local token = made("twofold", "--reusable")
    assert.equal(403, post("/both", { "Bearer " .. token }).status)
    local status, body = server:post("/simpleenroll", server:csr "twofold", "--oauth2-bearer",
      token)
    assert.equal(200, status, body)
    server:save(body, "twofold")
    local function both(...)
      return (server:post("/both/simpleenroll", server:csr("twofold", { reuse = true }), "--cert",
        server.folder .. "/twofold.pem", "--key", server.folder .. "/twofold.key", ...))
    end
    assert.equal(401, both())
    assert.equal(401, both("--oauth2-bearer", "x"))
    assert.equal(200, both("--oauth2-bearer", token))
    assert.equal("certificate twofold twofold of Ulm, with a certificate",
      (server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"))
  end)

  it("is made here alone, and shown once", function()
    process.write(server.folder .. "/chosen", ("x"):rep(60) .. "\n")
    process.write(server.folder .. "/many.csv", "name,password\nmany,correct horse\n")
    local function add(...)
      local words = { server.lest, "credential", "add", "--kind", "bearer", "--config",
        server.dir .. "/server.lua", ... }
      local code, out, err = process.run(words)
      return code, out .. err
    end
    local code, said = add("chosen", "--password-file", server.folder .. "/chosen")
    assert.equal(2, code)
    assert.matches("a Bearer token is made here", said)
    code, said = add("--from", server.folder .. "/many.csv")
    assert.equal(2, code)
    assert.matches("a Bearer token is made here", said)
    assert.equal("0",
      server:sql "SELECT count(*) FROM credentials WHERE name IN ('chosen', 'many')")
    local token = made "kept"
    local kept = server:sql "SELECT hash FROM credentials WHERE name = 'kept'"
    assert.equal(core.secret.sha256(token), kept)
    local listed = process.must { server.lest, "credential", "show", "kept", "--json", "--config",
      server.dir .. "/server.lua" }
    assert.matches('"bearer"', listed)
    assert.is_nil(listed:find(token, 1, true))
    assert.is_nil(listed:find(kept, 1, true))
  end)

  it("is in no log and no record, whatever comes of it", function()
    local token, wrong = made("hidden", "--reusable"), ("w"):rep(52)
    assert.equal(200, post("", { "Bearer " .. token }).status)
    assert.equal(401, post("", { "Bearer " .. wrong }).status)
    assert.equal(401, post("", { "Bearer " .. token .. " x" }).status)
    assert.equal(401, post("", {}, { query = "?access_token=" .. token }).status)
    process.wait_for(function()
      return server:sql "SELECT count(*) FROM refusals" ~= "0"
    end, "the refusals' rows", 5)
    local log, dump = process.read(server.folder .. "/log"),
      process.must { "sqlite3", "-readonly", server:ledger(), ".timeout 10000", ".dump" }
    for _, secret in ipairs { token, wrong } do
      assert.is_nil(log:find(secret, 1, true))
      assert.is_nil(dump:find(secret, 1, true))
    end
  end)

  it("is decided again as it was", function()
    assert.equal(200, post("", { "Bearer " .. made "again" }).status)
    local result = json.decode((process.must { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua", "--json" }))
    assert.same({ tonumber(server:sql "SELECT count(*) FROM requests"), 0, 0 },
      { result.same, result.different, result.not_decided })
  end)

  it("is sent by curl, by the client and by its command", function()
    local status, body = server:post("/mixed/simpleenroll", server:csr "curl", "--oauth2-bearer",
      made "curl")
    assert.equal(200, status, body)
    server:save(body, "curl")
    server:verify "curl.pem"
    for label, options in pairs { mixed = { label = "mixed" }, default = { preemptive = true } } do
      options.url, options.trust = "localhost:" .. server.port, server.root
      options.bearer = made(label)
      local est <close> = lest_client(options)
      local cert = assert(est:enroll { subject = "CN=" .. label,
        key = assert(core.key.generate "ec:P-256") })
      assert.equal(label, cert.subject.CN)
    end
    local folder, token = server.folder, made "device007"
    process.write(folder .. "/token", token .. "\n")
    local result = shell.run(shell.line("enroll", "localhost:" .. server.port, "--trust",
      server.root, "--bearer-file", folder .. "/token", "--subject", "CN=device007", "--new-key",
      "ec:P-256", "--key-out", folder .. "/device007.key", "--out", folder .. "/device007.pem",
      "--trace"))
    assert.equal(0, result.code, result.err)
    assert.matches("Authorization: Bearer %*%*%*", result.err)
    assert.is_nil(result.err:find(token, 1, true))
    server:verify "device007.pem"
  end)
end)

describe("guesses of Bearer tokens", function()
  it("are limited for a network, and keep no good one out", function()
    local server <close> = support.start { policy = POLICY, config = function(text)
      return (configuration(text):gsub("address_failures_per_minute = 300",
        "address_failures_per_minute = 3", 1))
    end }
    local token = server:credential("device", { "--kind", "bearer", "--reusable" })
    local function with(text)
      return (server:post("/simpleenroll", server:csr "device", "--oauth2-bearer", text))
    end
    for _ = 1, 3 do assert.equal(401, with(("g"):rep(52))) end
    assert.equal(429, with(("g"):rep(52)))
    assert.equal(200, with(token))
    assert.equal(429, with(("h"):rep(52)))
  end)
end)
