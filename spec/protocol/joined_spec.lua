-- Secrets that a label's `auth` joins by +: a handshake and what is said over it, and two within a
-- request (peers' rows P15 and S48). Both are proven, of one name, and both are used up. The other
-- end is curl, openssl s_client, or the client of lest.
local core = require "lest.core"
local json = require "lest.json"
local lest_client = require "lest.client"
local process = require "support.process"
local s_client = require "support.s_client"
local srp = require "support.srp"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who, proven = request.principal, {}
    for _, kind in ipairs { "basic", "digest", "bearer", "challenge", "psk", "srp" } do
      local auth = request.auth[kind]
      if auth then table.insert(proven, kind .. " " .. auth.name) end
    end
    local detail = ("%s %s of %s: %s"):format(who.kind, who.name, who.credential.site,
      table.concat(proven, ", "))
    if request.csr.subject.O == "waits" and #request.approvals == 0 then
      return policy.pending { expires = "1h", detail = detail }
    elseif request.csr.subject.O == "refused" then
      return policy.reject "not this one"
    end
    return policy.approve { subject = { { "CN", who.name } }, detail = detail }
  end,
}
]]

local LABELS <const> = { "psk+basic", "psk+challenge", "psk+bearer", "srp+digest", "srp+basic",
  "basic+challenge", "digest+challenge" }

--- The label of an entry: psk_basic of "psk+basic".
local function label_of(entry) return (entry:gsub("%+", "_")) end

local function configuration(text)
  local labels = {}
  for i, entry in ipairs(LABELS) do
    labels[i] = ('%s = { policy = "policy.lua", profile = "device", auth = "%s", '
      .. 'error_bodies = true },'):format(label_of(entry), entry)
  end
  return (text:gsub("labels = {", "labels = {\n" .. table.concat(labels, "\n") .. [[

    either = { policy = "policy.lua", profile = "device", auth = { "basic", "psk+basic" } },
    ]], 1):gsub('listen = { "%[::%]:8443" }',
      'listen = { "[::]:8443", { address = "[::]:8444", psk = true, srp = true } }', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 5000, "
      .. "failures_per_minute = 500 },\n  profiles = {", 1))
end

describe("secrets joined by +", function()
  local server, to

  setup(function()
    server = support.start { policy = POLICY, config = configuration,
      listen = { "127.0.0.1:0", "127.0.0.2:0,psk,srp" } }
    to = { address = "127.0.0.2", port = server.ports[2] }
  end)
  teardown(function() server:stop() end)

  local function made(name, kind, ...)
    return server:credential(name, { "--kind", kind, ... })
  end

  local function shown(name)
    local states = {}
    for _, each in ipairs(json.decode(process.must { server.lest, "credential", "show", name,
      "--json", "--config", server.dir .. "/server.lua" })) do
      states[each.kind] = each
    end
    return states
  end

  local function states(name)
    local all = shown(name)
    for kind, each in pairs(all) do all[kind] = each.state end
    return all
  end

  local function csr(name, options)
    local private = assert(core.key.generate "ec:P-256")
    options = options or {}
    options.key, options.subject = private, options.subject or "CN=" .. name
    return core.base64.encode(assert(core.csr.build(options)):der())
  end

  --- Over a handshake with a key: openssl s_client, with a header by hand.
  local function by_psk(entry, name, key, header, body)
    local head = { ("POST /.well-known/est/%s/simpleenroll HTTP/1.1"):format(label_of(entry)),
      "Host: localhost", "Connection: close", "Content-Type: application/pkcs10",
      "Content-Length: " .. #body, header }
    local out, err = s_client.exchange(to, { "-psk_identity", name, "-psk", key },
      table.concat(head, "\r\n") .. "\r\n\r\n" .. body)
    local status = out:match "^HTTP/1.1 (%d+) "
    if not status then return nil, err end
    return { status = math.tointeger(status), body = out:match "\r\n\r\n(.*)$",
      head = out:match "^(.-)\r\n\r\n" }
  end

  local function by_srp(entry, name, password, body, ...)
    return srp.request(to, { name = name, password = password }, "POST",
      "/" .. label_of(entry) .. "/simpleenroll", body, ...)
  end

  --- Over a handshake with the server's certificate.
  local function post(entry, body, ...)
    return server:post("/" .. label_of(entry) .. "/simpleenroll",
      server:file("joined.csr", body), ...)
  end

  local function authorization(name, secret)
    return "Authorization: " .. support.basic(name, secret)
  end

  local function failures()
    return #server:logged "refusal"
  end

  local function detail()
    return server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"
  end

  it("P15 S48 are both proven: a key of TLS and a password over it", function()
    local key = made("first", "psk", "--set", "site=Ulm")
    local password = made("first", "basic", "--set", "site=Bonn")
    local body = csr "first"
    for header, said in pairs {
      [""] = { 401, "credentials are required" },
      [authorization("first", password .. "x")] = { 401, nil },
      [authorization("nobody", password)] = { 401, nil },
    } do
      local answer = assert(by_psk("psk+basic", "first", key, header ~= "" and header or nil, body))
      assert.equal(said[1], answer.status, header)
      if said[2] then assert.equal(said[2] .. "\n", answer.body) end
    end
    local answer, err = by_psk("psk+basic", "first", key:reverse(),
      authorization("first", password), body)
    assert.is_nil(answer)
    assert.matches("alert", err)
    local status, text = post("psk+basic", body, "--user", "first:" .. password)
    assert.equal(403, status)
    assert.equal("a TLS handshake with a pre-shared key is required\n", text)
    assert.same({ psk = "unused", basic = "unused" }, states "first")

    answer = assert(by_psk("psk+basic", "first", key, authorization("first", password), body))
    assert.equal(200, answer.status, answer.body)
    assert.equal("CN=first", tostring(support.issued(answer.body).subject))
    assert.equal("basic first of Bonn: basic first, psk first", detail())
    assert.same({ psk = "used", basic = "used" }, states "first")
    local again = by_psk("psk+basic", "first", key, authorization("first", password), body)
    assert.equal(answer.body, again.body)
    local other = by_psk("psk+basic", "first", key, authorization("first", password), csr "first")
    assert.equal(401, other.status)
    assert.equal("the one-time secret is used up\n", other.body)
  end)

  it("are no place to guess at one of them without the other", function()
    local password = made("guessed", "basic", "--reusable")
    made("guessed", "psk")
    local counted = #server:logged "refusal"
    for _, secret in ipairs { password, password .. "x" } do
      local status, text = post("psk+basic", csr "guessed", "--user", "guessed:" .. secret)
      assert.same({ 403, "a TLS handshake with a pre-shared key is required\n" }, { status, text })
    end
    assert.equal(counted, failures())
    local status, text = post("basic+challenge", csr "guessed", "--user", "guessed:" .. password)
    assert.same({ 403, "a challengePassword in the CSR is required\n" }, { status, text })
  end)

  it("are of one name", function()
    local key = made("mine", "psk")
    made("mine", "basic")
    local others = made("others", "basic")
    local answer = by_psk("psk+basic", "mine", key, authorization("others", others), csr "mine")
    assert.equal(401, answer.status)
    assert.equal("the credentials are of two names\n", answer.body)
    assert.same({ basic = "unused" }, states "others")
    assert.same({ basic = "unused", psk = "unused" }, states "mine")
    local secret = made("others", "challenge")
    answer = by_psk("psk+challenge", "mine", key, nil,
      csr("others", { challenge_password = secret }))
    assert.equal(403, answer.status)
    assert.equal("the credentials are of two names\n", answer.body)
    assert.equal("unused", states("others").challenge)
  end)

  it("go with commands: a key in a file, and a secret for the CSR in another", function()
    local key_file = server:file("joined.psk", made("device", "psk") .. "\n")
    local secret = made("device", "challenge", "--set", "site=Ulm")
    local wrong = server:file("wrong.secret", secret .. "x\n")
    local right = server:file("right.secret", secret .. "\n")
    local function enroll(file)
      return process.run { server.lest, "enroll",
        ("https://127.0.0.2:%s/.well-known/est/psk_challenge"):format(to.port), "--subject",
        "CN=device", "--new-key", "ec:P-256", "--key-out", os.tmpname() .. ".key",
        "--psk-identity", "device", "--psk-file", key_file,
        table.unpack(file and { "--challenge-file", file } or {}) }
    end
    local code, _, err = enroll(nil)
    assert.not_equal(0, code)
    assert.matches("a challengePassword in the CSR is required", err)
    code, _, err = enroll(wrong)
    assert.not_equal(0, code)
    assert.matches("credentials are not accepted", err)
    assert.same({ psk = "unused", challenge = "unused" }, states "device")
    local out
    code, out, err = enroll(right)
    assert.equal(0, code, err)
    assert.matches("BEGIN CERTIFICATE", out)
    assert.equal("challenge device of Ulm: challenge device, psk device", detail())
    assert.same({ psk = "used", challenge = "used" }, states "device")
  end)

  it("P15 S48 go with curl: --tlsuser and --user, by Basic and by Digest", function()
    for entry, option in pairs { ["srp+basic"] = "--basic", ["srp+digest"] = "--digest" } do
      local kind = entry:match "%+(.*)"
      local name = "curl" .. kind
      local handshake, password = made(name, "srp", "--reusable"), made(name, kind)
      local body = csr(name)
      local function ask(secret)
        return by_srp(entry, name, handshake, body, option, "--user", name .. ":" .. secret)
      end
      assert.equal(401, by_srp(entry, name, handshake, body).status)
      assert.equal(401, ask(password .. "x").status)
      assert.is_nil((by_srp(entry, name, handshake .. "x", body, option, "--user",
        name .. ":" .. password)))
      local answer = assert(ask(password))
      assert.equal(200, answer.status, answer.body)
      assert.equal(("%s %s of nil: %s %s, srp %s"):format(kind, name, kind, name, name), detail())
      assert.same({ srp = "unused", [kind] = "used" }, states(name))
      assert.equal(answer.body, ask(password).body)
    end
  end)

  it("go within one request, without a handshake: a password and the CSR's secret", function()
    for entry, option in pairs { ["basic+challenge"] = "--basic",
      ["digest+challenge"] = "--digest" } do
      local kind = entry:match "^(.-)%+"
      local name = "within" .. kind
      local password, secret = made(name, kind, "--reusable"), made(name, "challenge")
      local function ask(user, challenge)
        return post(entry, csr(name, { challenge_password = challenge }), option, "--user",
          name .. ":" .. user)
      end
      assert.equal(401, (ask(password .. "x", secret)))
      assert.equal(401, (ask(password, secret .. "x")))
      assert.equal("unused", states(name).challenge)
      local status, text = ask(password, secret)
      assert.equal(200, status, text)
      assert.equal("used", states(name).challenge)
      status, text = ask(password, secret)
      assert.same({ 401, "the one-time secret is used up\n" }, { status, text })
    end
  end)

  it("go with the client of lest, by a token", function()
    local key, token = made("tokened", "psk", "--reusable"), made("tokened", "bearer", "--reusable")
    local options = { url = "127.0.0.2:" .. to.port, label = "psk_bearer", psk_identity = "tokened",
      psk = key, bearer = token, notify = function() end }
    local c <close> = lest_client(options)
    local cert = assert(c:enroll { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=tokened" })
    assert.equal("CN=tokened", tostring(cert.subject))
    assert.equal("bearer tokened of nil: bearer tokened, psk tokened", detail())
  end)

  it("are both kept where the policy refuses, and both held where it waits", function()
    local key, password = made("waiting", "psk"), made("waiting", "basic")
    local function ask(body)
      return by_psk("psk+basic", "waiting", key, authorization("waiting", password), body)
    end
    assert.equal(403, ask(csr("waiting", { subject = "O=refused, CN=waiting" })).status)
    assert.same({ psk = "unused", basic = "unused" }, states "waiting")
    local body = csr("waiting", { subject = "O=waits, CN=waiting" })
    assert.equal(202, ask(body).status)
    local held = shown "waiting"
    assert.same({ "reserved", "reserved" }, { held.psk.state, held.basic.state })
    assert.equal(held.psk.bound_until, held.basic.bound_until)
    assert.equal(401, ask(csr "waiting").status)
    process.must { server.lest, "pending", "approve", held.basic.pending_id, "--config",
      server.dir .. "/server.lua" }
    local bound = shown "waiting"
    assert.equal(bound.psk.bound_until, bound.basic.bound_until)
    assert.equal(200, ask(body).status)
    assert.same({ psk = "used", basic = "used" }, states "waiting")
  end)

  it("are one's alone where one is enough: the other is as it was", function()
    local key, password = made("either", "psk"), made("either", "basic")
    local answer = by_psk("either", "either", key, authorization("either", password), csr "either")
    assert.equal(200, answer.status, answer.body)
    assert.same({ psk = "unused", basic = "used" }, states "either")
    assert.equal("basic either of nil: basic either", detail())
  end)

  it("are in the ledger's row, for a replay", function()
    local key, password = made("kept", "psk"), made("kept", "basic")
    assert.equal(200, by_psk("psk+basic", "kept", key, authorization("kept", password),
      csr "kept").status)
    local kept = json.decode(server:sql(
      "SELECT principal FROM requests ORDER BY seq DESC LIMIT 1"))
    local ids = shown "kept"
    assert.same({ ids.basic.id, ids.psk.id }, kept.credentials)
    assert.same({ basic = { name = "kept" }, psk = { name = "kept" } }, kept.auth)
    local result = json.decode((process.must { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua", "--label", "psk_basic", "--json" }))
    assert.is_true(result.same > 0)
    assert.same({ 0, 0 }, { result.different, result.not_decided })
  end)
end)
