-- Proof of possession linked to the TLS connection (RFC 7030 3.5, RFC 5929 3, RFC 9266, RFC 7894
-- 3.3) at the server, by hand-made clients of TLS 1.2 and 1.3: what is right, what a hostile one
-- shows instead, what labels and RAs may do.
local core = require "lest.core"
local der = require "support.der"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http

local POLICY <const> = [[
local policy = require "lest.policy"
local function decide(request)
  local csr = request.csr
  local detail = ("bound %s, password %s, linking %s, otp %s, revocation %s"):format(
    request.tls.channel_bound, csr.challenge_password, csr.identity_linking, csr.otp_challenge,
    csr.revocation_challenge)
  if csr.subject.OU == "wait" then return policy.pending { "wait", detail = detail } end
  return policy.approve { subject = csr.subject, san = csr.san, detail = detail }
end
return { enroll = decide, reenroll = decide, serverkeygen = decide, csrattrs = function(request)
  if request.label == "hook" then return { "serialNumber" } end
end }
]]

local function configuration(text)
  text = text:gsub("profiles = {.-\n  },", [[profiles = {
    device = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
      server_keys = { "ec:P-256" } },
    ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
      eku = { "clientAuth", "cmcRA" } } },]], 1)
  local labels = {}
  for name, more in pairs { required = 'channel_binding = "required"', verified = "",
    hook = 'channel_binding = "required"', off = 'channel_binding = "off"',
    chosen = 'channel_binding = "required", csrattrs = { { oid = "1.2.840.113549.1.9.7" }, '
      .. '"estIdentityLinking", "serialNumber" }',
    ra = 'profile = "ra"', secret = 'auth = { "certificate", "challenge" }',
    secret_required = 'auth = { "challenge" }, channel_binding = "required"' } do
    table.insert(labels, ('%s = { policy = "policy.lua", %s %s %s renews = { "ra", "default", '
      .. '"required", "verified" } },'):format(name,
      more:find "profile" and "" or 'profile = "device",',
      more:find "auth" and "" or 'auth = { "certificate", "basic" },',
      more == "" and "" or more .. ","))
  end
  return (text:gsub("labels = {", "labels = {\n" .. table.concat(labels, "\n"), 1))
end

describe("the channel binding", function()
  local server, client, secret

  setup(function()
    server = support.start { policy = POLICY, config = configuration }
    client = raw_client.new()
    secret = server:credential("device", { "--reusable" })
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function connect(version, identity)
    local base = identity and server.folder .. "/" .. identity
    return assert(client:connect { port = server.port, min = version, max = version,
      cert = base and base .. ".pem", key = base and base .. ".key" })
  end

  --- Base64 of what a connection is bound by, as its peer sees it.
  local function binding_of(c)
    local facts = c:facts()
    return core.base64.encode(facts.version == "TLSv1.3" and facts.exporter or facts.finished)
  end

  --- POST a CSR; what it says besides its subject is in options.
  local function post(c, path, options, headers)
    headers = headers or { "Authorization: " .. support.basic("device", secret) }
    local body = support.request("device", options)
    return assert(c:request(http("POST", path, { "Content-Type: application/pkcs10",
      table.unpack(headers) }, body)))
  end

  local function detail()
    return server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"
  end

  --- Enroll at a label once, for a certificate to show: NAME.pem and NAME.key.
  local function identity(label, name)
    local status, body = server:post("/" .. label .. "/simpleenroll", server:csr(name), "--user",
      "device:" .. secret)
    assert.equal(200, status, body)
    server:save(body, name)
    return name
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it(("S61 7030-3.3-e 7030-3.5-c 7030-3.5-f 7030-3.5-h 9266-2-a 5929-3.1-c is taken where it is "
      .. "right, on %s"):format(version), function()
      for _, field in ipairs { "challenge_password", "identity_linking" } do
        for _, label in ipairs { "/required", "/verified" } do
          local c <close> = connect(version)
          local value = binding_of(c)
          assert.equal(version == "1.3" and 44 or 16, #value)
          local answer = post(c, label .. "/simpleenroll", { [field] = value })
          assert.equal(200, answer.status, answer.body)
          assert.matches("^bound true", detail())
          local tls = server:sql "SELECT tls FROM requests ORDER BY seq DESC LIMIT 1"
          assert.matches('"channel_bound":true', tls)
        end
      end
    end)

    it(("S62 S69 7030-3.5-c 7030-3.5-k 7894-3.3-a 9266-2-b is refused where another, on %s")
      :format(version), function()
      local c <close> = connect(version)
      local other <close> = connect(version)
      local facts, right = c:facts(), binding_of(c)
      local wrong = { binding_of(other), right:sub(1, -2), right:sub(1, 4), right .. "=",
        right .. "\n", " " .. right, right:lower(), "", ("A"):rep(#right), "a password",
        right .. right,
        (right:gsub("^.", right:sub(1, 1) == "A" and "B" or "A")),
        core.base64.encode(facts.peer_finished),
        core.base64.encode(version == "1.3" and facts.finished or facts.exporter),
        ((version == "1.3" and facts.exporter or facts.finished):gsub("[^ -~]", "?")) }
      for field, name in pairs { challenge_password = "challengePassword",
        identity_linking = "estIdentityLinking" } do
        for i, value in ipairs(wrong) do
          local answer = post(c, "/verified/simpleenroll", { [field] = value })
          assert.equal(400, answer.status, ("%s %d"):format(field, i))
          assert.matches("linked to another TLS connection: its " .. name, answer.body)
        end
      end
      assert.equal("reject", server:sql "SELECT verdict FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal(200, post(c, "/verified/simpleenroll", { challenge_password = right }).status)
    end)
  end

  it("7030-4.2-h is looked at in a renewal, too", function()
    local name = identity("verified", "renewing")
    local c <close> = connect("1.3", name)
    local other <close> = connect "1.3"
    local function renew(value)
      return post(c, "/required/simplereenroll", { subject = "CN=" .. name,
        challenge_password = value }, {})
    end
    assert.equal(400, renew(binding_of(other)).status)
    assert.matches("must be linked", renew(nil).body)
    local answer = renew(binding_of(c))
    assert.equal(200, answer.status, answer.body)
  end)

  it("7030-4.2-h 7030-4.4.1-h is looked at where the server makes the key, too", function()
    local c <close> = connect "1.3"
    local right = binding_of(c)
    local function ask(value)
      return post(c, "/required/serverkeygen", { challenge_password = value }).status
    end
    assert.same({ 200, 400, 400 }, { ask(right), ask(right .. "x"), ask(nil) })
  end)

  it("7894-4-f 7894-4-g must be right in both attributes where both are there", function()
    local c <close> = connect "1.3"
    local right, wrong = binding_of(c), ("A"):rep(44)
    local function both(password, linking)
      return post(c, "/required/simpleenroll", { challenge_password = password,
        identity_linking = linking }).status
    end
    assert.same({ 200, 400, 400 }, { both(right, right), both(right, wrong), both(wrong, right) })
  end)

  it("2985-5.4.1-b is right in every type of string", function()
    local c <close> = connect "1.3"
    local right = binding_of(c)
    local bmp, universal = right:gsub(".", "\0%0"), right:gsub(".", "\0\0\0%0")
    for tag, value in pairs { [0x0c] = right, [0x13] = right, [0x14] = right, [0x1e] = bmp,
      [0x1c] = universal } do
      local answer = post(c, "/required/simpleenroll", { attributes = {
        { oid = "1.2.840.113549.1.9.7", values = { der.tlv(tag, value) } } } })
      assert.equal(200, answer.status, answer.body)
    end
  end)

  it("S60 7030-3.5-d 7030-3.5-j must be there where a label requires it", function()
    local c <close> = connect "1.3"
    local answer = post(c, "/required/simpleenroll")
    assert.equal(400, answer.status)
    assert.matches("must be linked to its TLS connection", answer.body)
    answer = post(c, "/required/simpleenroll", { otp_challenge = binding_of(c),
      revocation_challenge = binding_of(c) })
    assert.equal(400, answer.status)
    assert.equal(200, post(c, "/verified/simpleenroll").status)
    assert.matches("^bound false", detail())
  end)

  it("7030-3.5-g is not looked at where a label says so, and is for the policy", function()
    local c <close> = connect "1.3"
    local answer = post(c, "/off/simpleenroll", { challenge_password = "human",
      otp_challenge = "123456", revocation_challenge = "later" })
    assert.equal(200, answer.status)
    assert.equal("bound false, password human, linking nil, otp 123456, revocation *****", detail())
    assert.equal(200, post(c, "/off/simpleenroll", { challenge_password = binding_of(c) }).status)
    assert.matches("^bound false", detail())
  end)

  it("holds for each of several requests of a connection", function()
    local c <close> = connect "1.3"
    for _ = 1, 3 do
      assert.equal(200, post(c, "/required/simpleenroll",
        { challenge_password = binding_of(c) }).status)
    end
  end)

  it("7030-4.2.3-n may be another one each time that a pending request is asked for", function()
    local key = assert(core.key.generate "ec:P-256")
    for _ = 1, 2 do
      local c <close> = connect "1.3"
      local answer = post(c, "/required/simpleenroll", { key = key, subject = "CN=x,OU=wait",
        challenge_password = binding_of(c) })
      assert.equal(202, answer.status, answer.body)
    end
    assert.equal("1", server:sql "SELECT count(*) FROM pending")
  end)

  it("7030-4.5.2-h 7894-4-a 7894-4-b is asked for in csrattrs where it is required", function()
    local function named(label)
      local status, body = server:curl("/" .. label .. "/csrattrs")
      if status == 204 then return {} end
      assert.equal(200, status)
      local names = {}
      for i, attribute in ipairs(assert(core.csrattrs.decode(core.base64.decode(body)))) do
        names[i] = attribute.name
      end
      return names
    end
    local key = "id-ecPublicKey"
    assert.same({ key }, named "verified")
    assert.same({ key }, named "off")
    assert.same({ key, "challengePassword" }, named "required")
    assert.same({ "serialNumber", "challengePassword" }, named "hook")
    assert.same({ "challengePassword", "estIdentityLinking", "serialNumber", key }, named "chosen")
    assert.same({ key, "otpChallenge" }, named "secret")
    assert.same({ key, "challengePassword", "estIdentityLinking", "otpChallenge" },
      named "secret_required")
  end)

  it("7894-4-f 7894-4-g is told from a secret, and each must be right by itself", function()
    local otp = server:credential("device", { "--kind", "challenge", "--reusable" })
    local c <close> = connect "1.3"
    local right, wrong = binding_of(c), ("A"):rep(44)
    local function try(options, label)
      local answer = post(c, ("/%s/simpleenroll"):format(label or "secret_required"), options, {})
      return answer.status, answer.body
    end
    assert.equal(200, (try { otp_challenge = otp, challenge_password = right }))
    assert.matches("^bound true", detail())
    assert.equal(200, (try { challenge_password = otp, identity_linking = right }))
    assert.equal(200, (try { otp_challenge = otp, identity_linking = right,
      challenge_password = right }))
    local status, body = try { otp_challenge = otp, challenge_password = wrong }
    assert.equal(400, status)
    assert.matches("its challengePassword is not the channel binding", body)
    status, body = try { otp_challenge = otp, identity_linking = wrong }
    assert.equal(400, status)
    assert.matches("its estIdentityLinking is not the channel binding", body)
    status, body = try { otp_challenge = "wrong", identity_linking = right }
    assert.equal(403, status)
    assert.matches("credentials are not accepted", body)
    status, body = try { challenge_password = otp, identity_linking = wrong }
    assert.equal(400, status)
    assert.matches("estIdentityLinking", body)
    status, body = try { otp_challenge = otp }
    assert.equal(400, status)
    assert.matches("must be linked", body)
    assert.equal(403, (try { challenge_password = right }))
  end)

  it("is no wrong secret beside a certificate that is enough", function()
    local c <close> = connect("1.3", identity("verified", "linked"))
    local answer = post(c, "/secret/simpleenroll", { challenge_password = binding_of(c) }, {})
    assert.equal(200, answer.status, answer.body)
    assert.matches("^bound true", detail())
    assert.equal(0, #server:logged "proof ignored")
  end)

  it("S63 7030-3.7-c 7894-4-h is not asked of an RA, which sends on what others signed", function()
    local ra, plain = identity("ra", "ra001"), identity("verified", "plain001")
    for _, label in ipairs { "/verified", "/required" } do
      local c <close> = connect("1.3", ra)
      local stale <close> = connect "1.3"
      for _, value in ipairs { binding_of(stale), binding_of(c), "" } do
        local answer = post(c, label .. "/simpleenroll", { challenge_password = value,
          subject = "CN=thing" }, {})
        assert.equal(200, answer.status, answer.body)
        assert.matches(value == binding_of(c) and "^bound true" or "^bound false", detail())
      end
      assert.equal(200, post(c, label .. "/simpleenroll", { subject = "CN=thing" }, {}).status)
      local d <close> = connect("1.3", plain)
      assert.equal(400, post(d, label .. "/simpleenroll",
        { challenge_password = binding_of(stale) }, {}).status)
    end
  end)

  it("9266-4-a is in no line of the log", function()
    local c <close> = connect "1.3"
    local value = binding_of(c)
    assert.equal(200, post(c, "/required/simpleenroll", { challenge_password = value }).status)
    assert.equal(400, post(c, "/required/simpleenroll",
      { challenge_password = value .. "x" }).status)
    assert.is_nil(process.read(server.folder .. "/log"):find(value, 1, true))
  end)

  it("is a key of a label with three values", function()
    local made <close> = support.make { config = function(text)
      return (text:gsub("labels = {", [[labels = {
        a = { policy = "policy.lua", profile = "device", channel_binding = "require" }, ]], 1))
    end }
    local code, _, err = process.run { support.lest, "serve", "--check", made.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("labels%.a%.channel_binding", err)
    assert.matches("required", err)
  end)
end)
