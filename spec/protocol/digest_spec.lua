-- HTTP Digest (RFC 7616) at the server: what it asks for, whom it believes, and once.
local core = require "lest.core"
local digest = require "lest.base.digest"
local lest_client = require "lest.client"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local FOLDER <const> = "/.well-known/est"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who, auth = request.principal, request.auth
    if not policy.principal { kind = "digest" } (request) then return policy.reject "not Digest" end
    return policy.approve { subject = { { "CN", who.name } },
      detail = ("%s %s %s of %s"):format(who.kind, who.name, auth.digest.name,
        who.credential.site) }
  end,
}
]]

local function configuration(text)
  return (text:gsub("labels = {", [[labels = {
    first = { policy = "policy.lua", profile = "device", auth = { "basic", "digest" },
      digest_first = true },
    mixed = { policy = "policy.lua", profile = "device",
      auth = { "certificate", "basic", "digest" } },
    ["other-realm"] = { policy = "policy.lua", profile = "device", auth = "digest",
      realm = "another" },
    ]], 1):gsub('auth = { "certificate", "basic" }', 'auth = { "digest" }', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 300 },\n  profiles = {", 1))
end

describe("Digest", function()
  local server, client

  setup(function()
    server = support.start { policy = POLICY, config = configuration }
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  --- A credential whose secret a person chose, and which may be used again.
  local function known(name, password, ...)
    process.write(server.folder .. "/password", password .. "\n")
    return server:credential(name, { "--kind", "digest", "--realm", "lest", "--reusable",
      "--password-file", server.folder .. "/password", "--set", "site=Ulm", ... })
  end

  local function post(label, authorization, target)
    return server:ask(client, target or label .. "/simpleenroll", { authorization })
  end

  local function challenges(response)
    return raw_client.values(response, "www-authenticate")
  end

  --- The parameters of a fresh challenge of an algorithm.
  local function challenge(label, algorithm)
    for _, each in ipairs(core.http.challenges(challenges(post(label)))) do
      if each.params.algorithm == algorithm then return each.params end
    end
  end

  --- An answer to a challenge; changes say what else stands in it, or is hashed.
  local function answer(asked, password, changes)
    changes = changes or {}
    local said = { username = "device", realm = asked.realm, nonce = asked.nonce,
      uri = FOLDER .. "/simpleenroll", nc = "00000001", cnonce = "0a4f113b", method = "POST",
      algorithm = asked.algorithm or "MD5" }
    for key, value in pairs(changes) do said[key] = value end
    local secret = assert(digest.secret(said.algorithm, said.username, said.realm, password))
    local response = assert(digest.response(said.algorithm, secret, said))
    local text = ('Digest username="%s", realm="%s", nonce="%s", uri="%s", cnonce="%s", nc=%s, '
      .. 'qop=auth, response="%s", algorithm=%s'):format(said.username, said.realm, said.nonce,
      said.uri, said.cnonce, said.nc, response, said.algorithm)
    return changes.edit and changes.edit(text) or text
  end

  local function is_stale(response)
    assert.equal(401, response.status)
    local stale = 0
    for _, each in ipairs(core.http.challenges(challenges(response))) do
      if each.params.stale == "true" then stale = stale + 1 end
    end
    return stale > 0
  end

  it("7616-3.7-a 7616-3.7-b 7616-3.3-a 9110-11.6.1-a is asked for by the best algorithm first, "
    .. "a field each", function()
    local values = challenges(post "")
    assert.equal(2, #values)
    for i, algorithm in ipairs { "SHA-256", "MD5" } do
      assert.matches('^Digest realm="lest", nonce="[%w+/]+", qop="auth", algorithm='
        .. algorithm:gsub("%p", "%%%0") .. ', charset="UTF%-8"$', values[i])
    end
    assert.not_equal(challenge("", "MD5").nonce, challenge("", "MD5").nonce)
  end)

  it("stands behind Basic, or before it in the old form where a label says so", function()
    local values = challenges(post "/mixed")
    assert.same({ "Basic", "Digest", "Digest" }, { values[1]:match "^%a+", values[2]:match "^%a+",
      values[3]:match "^%a+" })
    values = challenges(post "/first")
    assert.matches('^Digest realm="lest", nonce="[^"]+", qop="auth"$', values[1])
    assert.matches("algorithm=SHA%-256", values[2])
    assert.matches("^Basic ", values[3])
  end)

  for _, algorithm in ipairs { "SHA-256", "MD5" } do
    it("7030-3.2.3-f S42 proves who asks by " .. algorithm .. ", to policy and ledger", function()
      known("device", "correct horse")
      local response = post("", answer(challenge("", algorithm), "correct horse"))
      assert.equal(200, response.status, response.body)
      assert.equal("digest device device of Ulm",
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal("digest|device", server:sql(
        "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    end)
  end

  it("S42 is refused for a wrong password and for nobody alike, and counted", function()
    known("wrong", "correct horse")
    local seen = {}
    for i, name in ipairs { "wrong", "nobody" } do
      local asked = challenge("", "SHA-256")
      local response = post("", answer(asked, "guess", { username = name }))
      assert.is_false(is_stale(response))
      local headers = {}
      for _, header in ipairs(response.list) do
        if header[1]:lower() ~= "x-request-id" and header[1]:lower() ~= "date" then
          headers[#headers + 1] = header[1] .. header[2]:gsub('nonce="[^"]*"', "")
        end
      end
      seen[i] = table.concat(headers, "\n") .. (response.body or "")
    end
    assert.equal(seen[1], seen[2])
    local last
    for _ = 1, 15 do
      last = post("", answer(challenge("", "MD5"), "guess", { username = "wrong" }))
    end
    assert.equal(429, last.status)
    -- Nor is the right one told from a wrong one, from then on.
    assert.equal(429, post("", answer(challenge("", "MD5"), "correct horse",
      { username = "wrong" })).status)
    -- A random secret is no guess.
    local random = server:credential("wrong", { "--kind", "digest", "--realm", "lest" })
    assert.equal(200, post("", answer(challenge("", "MD5"), random, { username = "wrong" })).status)
  end)

  it("7616-3.3-b 7616-3.3-c S43 takes an answer once, and says that its nonce is over", function()
    known("device", "correct horse")
    local asked = challenge("", "SHA-256")
    local good = answer(asked, "correct horse")
    assert.equal(200, post("", good).status)
    assert.is_true(is_stale(post("", good)))
    assert.equal(200, post("", answer(asked, "correct horse", { nc = "0000000a" })).status)
    assert.is_true(is_stale(post("", answer(asked, "correct horse", { nc = "00000009" }))))
    assert.is_true(is_stale(post("", answer(asked, "correct horse", { nonce = "made up" }))))
    assert.is_false(is_stale(post("", answer(asked, "guess", { nonce = "made up" }))))
  end)

  it("takes no nonce of another authority, and a new one then", function()
    known("device", "correct horse")
    local asked = challenge("", "SHA-256")
    process.must { "kill", "-9", tostring(server:pids "authority"[1]) }
    local response
    process.wait_for(function()
      response = post("", answer(asked, "correct horse"))
      return response.status ~= 503
    end, "another authority", 10)
    assert.is_true(is_stale(response))
    assert.equal(200, post("", answer(challenge("", "SHA-256"), "correct horse")).status)
  end)

  it("7616-3.4.6-a is for the request that it names alone", function()
    known("device", "correct horse")
    local asked = challenge("", "SHA-256")
    for _, uri in ipairs { FOLDER .. "/simplereenroll", FOLDER .. "/mixed/simpleenroll", "/",
      FOLDER .. "/simpleenroll?x" } do
      assert.equal(400, post("", answer(asked, "correct horse", { uri = uri })).status, uri)
    end
  end)

  it("7616-3.4-b 7616-3.4-a wants qop=auth, a count and a nonce of the client", function()
    known("device", "correct horse")
    local function with(edit)
      return post("", answer(challenge("", "SHA-256"), "correct horse", { edit = edit })).status
    end
    for _, edit in ipairs {
      function(text) return (text:gsub("qop=auth, ", "")) end,
      function(text) return (text:gsub("qop=auth", "qop=auth-int")) end,
      function(text) return (text:gsub("nc=%w+, ", "")) end,
      function(text) return (text:gsub("nc=%w+", "nc=1")) end,
      function(text) return (text:gsub('cnonce="%w+", ', "")) end,
      function(text) return (text:gsub("algorithm=SHA%-256", "algorithm=SHA-512-256")) end,
      function(text) return (text:gsub("algorithm=SHA%-256", "algorithm=SHA-256-sess")) end,
      function(text) return (text:gsub("algorithm=SHA%-256", "algorithm=MD5")) end,
      function(text) return text .. ", userhash=true" end,
      function(text) return text .. ', realm="lest"' end,
      function(text) return (text:gsub('response="%w%w', 'response="')) end,
      function(text) return text .. '"' end,
      function() return "Digest" end,
    } do assert.equal(401, with(edit), edit "qop=auth") end
    assert.equal(200, with(function(text)
      return (text:gsub("qop=auth", 'qop="auth"'):gsub("nc=(%w+)", 'nc="%1"')
        :gsub("algorithm=(%S+)", 'algorithm="%1"')) .. ', opaque="x", userhash=false, more=1'
    end))
  end)

  it("uses a one-time secret up for one key", function()
    local secret = server:credential("once", { "--kind", "digest", "--realm", "lest" })
    local function enroll()
      return post("", answer(challenge("", "SHA-256"), secret, { username = "once" }))
    end
    assert.equal(200, enroll().status)
    local again = enroll()
    assert.equal(401, again.status)
    assert.is_false(is_stale(again))
    assert.matches("used up", again.headers["x-reason"])
  end)

  it("is of its realm alone, and of no other kind", function()
    known("device", "correct horse")
    local target = FOLDER .. "/other-realm/simpleenroll"
    local asked = challenge("/other-realm", "SHA-256")
    assert.equal("another", asked.realm)
    assert.equal(401, post("/other-realm", answer(asked, "correct horse", { uri = target })).status)
    -- Not with a good nonce of the realm that the credential is of either.
    local refused = post("/other-realm", answer(challenge("", "SHA-256"), "correct horse",
      { uri = target }))
    assert.equal(401, refused.status)
    assert.is_false(is_stale(refused))
    assert.matches("realm", refused.headers["x-reason"])
    process.wait_for(function()
      for _, line in ipairs(server:logged "refusal") do
        if tostring(line.detail):find("is of the realm 'lest'", 1, true) then return true end
      end
    end, "the refusal's line", 5)
    local basic = "Basic " .. core.base64.encode "device:correct horse"
    assert.equal(401, post("/mixed", basic).status)
    assert.equal(401, post("", basic).status)
  end)

  it("7616-3.7-a is spoken by the client and by curl", function()
    local secret = server:credential("device002", { "--kind", "digest", "--realm", "lest" })
    local est <close> = lest_client { url = "localhost:" .. server.port, trust = server.root,
      username = "device002", password = secret, digest = true }
    local issued = assert(est:enroll { subject = "CN=device002",
      key = assert(core.key.generate "ec:P-256") })
    assert.equal("device002", issued.subject.CN)
    known("curl", "correct horse")
    -- The old form alone makes it MD5.
    for label, algorithm in pairs { [""] = "SHA%-256", ["/first"] = "" } do
      local status, body = server:post(label .. "/simpleenroll", server:csr "curl", "--digest",
        "--user", "curl:correct horse", "--trace-ascii", server.folder .. "/trace")
      assert.equal(200, status, body)
      server:save(body, "curl")
      assert.matches(algorithm, process.read(server.folder .. "/trace"))
    end
    server:verify "curl.pem"
  end)

  --- What the client gets with a password at the label that takes both.
  local function enroll(name, password)
    local est <close> = lest_client { url = "localhost:" .. server.port, label = "mixed",
      trust = server.root, username = name, password = password }
    return est:enroll { subject = "CN=" .. name, key = assert(core.key.generate "ec:P-256") }
  end

  --- How often something is tried until there were too many failures.
  local function tries(try)
    for i = 1, 25 do
      if try() == 429 then return i end
    end
    return math.huge
  end

  it("does not count for who is then proven by Basic, and limits who guesses", function()
    local uri = FOLDER .. "/mixed/simpleenroll"
    local function by_digest(name)
      return post("/mixed", answer(challenge("/mixed", "SHA-256"), "guess",
        { username = name, uri = uri })).status
    end
    local function by_basic(name, password)
      return post("/mixed", "Basic " .. core.base64.encode(name .. ":" .. password)).status
    end
    process.write(server.folder .. "/password", "correct horse\n")
    for _, name in ipairs { "plain", "guessed", "both" } do
      server:credential(name, { "--reusable", "--password-file", server.folder .. "/password" })
    end
    known("both", "correct horse")

    for i = 1, 15 do
      local _, err = enroll("plain", "correct horse")
      -- The policy wants Digest, and is asked.
      assert.equal("not Digest", err.reason, ("%d: %s"):format(i, tostring(err)))
    end
    for _, name in ipairs { "plain", "nobody else" } do
      local count = tries(function() return by_digest(name) end)
      assert.is_true(count > 10 and count <= 15, ("%s: %s"):format(name, count))
    end
    -- What was a guess stays counted, by Basic and by Digest, whatever is proven beside it.
    for name, guess in pairs { guessed = by_basic, both = by_digest } do
      assert.is_true(tries(function()
        return math.max(guess(name, "guess"), by_basic(name, "correct horse"))
      end) <= 15, name)
    end
  end)

  it("has no secret in the log or in what is kept of a request", function()
    known("device", "correct horse")
    local header = answer(challenge("", "SHA-256"), "correct horse")
    assert.equal(200, post("", header).status)
    local response = header:match 'response="(%w+)"'
    assert.not_matches(response, server:sql "SELECT * FROM requests")
    assert.not_matches("correct horse", server:sql "SELECT * FROM requests")
    assert.not_matches("correct horse", server:sql "SELECT * FROM credentials")
  end)
end)
