--- Row: an enrollment by a JSON Web Token and one by Digest, against the plain one, by a one-time
--- secret of Basic; one after the other, since a client of Digest counts up the uses of a nonce.
local digest = require "lest.base.digest"
local jwt = require "support.jwt"
local kinds = require "bench.kinds"
local process = require "support.process"
local requests = require "bench.requests"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local ISSUER <const> = "https://idp.example"
local KINDS <const> = { "basic", "jwt-es256", "jwt-rs256", "digest" }

-- One token and one user stand for all devices, so the policy takes their names from the CSR.
local POLICY <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  return policy.approve { subject = request.csr.subject }
end }
]]

local LABELS <const> = [[labels = {
    jwt = { policy = "policy.lua", profile = "device", auth = "bearer", bearer = {
      jwks = "jwks.json", issuer = "https://idp.example", audience = "lest" } },
    digest = { policy = "policy.lua", profile = "device", auth = "digest" },
    ]]

local function configure(text)
  local count
  text, count = text:gsub('names = "principal"', 'names = "policy"', 1)
  assert(count == 1, "the configuration of `lest ca init` has changed")
  return (text:gsub("labels = {", LABELS, 1)
    :gsub("limits = {", "%0 requests_per_principal_per_minute = 1000000,", 1))
end

--- The requests of a file once more, at a label and with another Authorization each.
---@param authorization fun(i: integer): string
local function rewrite(from, to, label, authorization)
  return requests.rewrite(from, to, function(request, i)
    request = request:gsub("/est/simpleenroll", "/est/" .. label .. "/simpleenroll", 1)
    return (request:gsub("Authorization: [^\r]*",
      "Authorization: " .. authorization(i):gsub("%%", "%%%%"), 1))
  end)
end

--- A nonce that the server has just made.
local function nonce_of(side)
  local _, _, headers = side.server:post("/digest/simpleenroll", side.server:csr "nonce")
  return assert(headers["www-authenticate"]:match 'nonce="([^"]+)"')
end

local function by_digest(side, password)
  local nonce = nonce_of(side)
  local secret = assert(digest.secret("SHA-256", "user", "lest", password))
  local uri <const> = "/.well-known/est/digest/simpleenroll"
  return function(i)
    local said = { nonce = nonce, nc = ("%08x"):format(i), cnonce = "cnonce", method = "POST",
      uri = uri }
    return ('Digest username="user", realm="lest", nonce="%s", uri="%s", algorithm=SHA-256, '
      .. 'response="%s", qop=auth, nc=%s, cnonce="cnonce"'):format(nonce, uri,
      assert(digest.response("SHA-256", secret, said)), said.nc)
  end
end

local function start(context, scope)
  local count = context.rounds * #KINDS + 1
  local side = scope(sides_module.make(context.builds[1],
    { requests = count * context.enrollments }))
  local keys = { ["jwt-es256"] = jwt.key("ec:P-256", "ec"),
    ["jwt-rs256"] = jwt.key("rsa:2048", "rsa") }
  process.write(side.dir .. "/jwks.json", jwt.set { keys["jwt-es256"], keys["jwt-rs256"] })
  process.write(side.dir .. "/policy.lua", POLICY)
  side.server:edit_config(configure)
  local password = side.server:credential("user",
    { "--kind", "digest", "--realm", "lest", "--reusable" })
  side:run()
  local parts = rounds.split(side.requests, rounds.counts(count - 1, context.enrollments))
  side:load(parts[1], { count = 1, threads = 1 })
  return side, parts, keys, password
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local side, parts, keys, password = start(context, scope)
  local used = 1
  return kinds.compare(KINDS, context.rounds, function(kind)
    used = used + 1
    local file, key = parts[used], keys[kind]
    if key then
      local token = "Bearer " .. key:sign { iss = ISSUER, aud = "lest", sub = "user",
        exp = os.time() + 600, ["kubernetes.io"] = { namespace = "plant" } }
      file = rewrite(file, file .. ".jwt", "jwt", function() return token end)
    elseif kind == "digest" then
      file = rewrite(file, file .. ".digest", "digest", by_digest(side, password))
    end
    return side:load(file, { count = context.enrollments, threads = 1 })
  end)
end
