--- A CA behind `cfssl serve` with an auth key (authsign). It is told the names that were approved;
--- usages and lifetime are those of its own profile, and no more than was approved, or the
--- certificate is no good. It does not know a request again, so that none is repeated. It revokes
--- where it has a database (-db-config).
local core = require "lest.core"
local http = require "lest.http"
local json = require "lest.json"
local mark = require "lest.base.mark"
local start_failure = require "lest.server.config.start_failure"
local fail = require "lest.base.fail"

local M = {}

local KEY_MAX <const> = 4096
-- What cfssl has words for.
local ATTRIBUTES <const> = { C = true, ST = true, L = true, O = true, OU = true }
local HOSTS <const> = { DNS = true, IP = true, email = true }

local Cfssl = {}
Cfssl.__index = Cfssl

local function key_of(where, options)
  local text, err = core.file.read(options.auth_key_file, KEY_MAX)
  if not text then return start_failure.blame(where .. ".auth_key_file", err) end
  local hex = mark.strip(text):gsub("%s+$", "")
  if #hex < 2 or #hex % 2 == 1 or hex:find "%X" then
    return start_failure.blame(where .. ".auth_key_file",
      select(2, fail("config", "it is no key in hex, as cfssl's auth_keys have it")))
  end
  return (hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

---@param where string the key in the configuration
---@param options table what stands there
function M.new(where, options)
  local key, err = key_of(where, options)
  if not key then return nil, err end
  local trust = options.trust
  if trust and trust ~= "system" then
    local anchors
    anchors, err = core.cert.load_all(trust)
    if not anchors then return start_failure.blame(where .. ".trust", err) end
    trust, err = core.store.new { anchors = anchors }
    if not trust then return start_failure.blame(where .. ".trust", err) end
  end
  return setmetatable({ url = options.url:gsub("/+$", "") .. "/api/v1/cfssl/", key = key,
    profile = options.profile, label = options.label, trust = trust,
    timeout = options.timeout }, Cfssl)
end

--- The names that were approved, as cfssl takes them; nil and which it has no words for.
local function names_of(request)
  local subject, hosts = { names = { json.object {} } }, {}
  for _, part in ipairs(request.subject) do
    local name, value = part[1], part[2]
    if name == "CN" and not subject.CN then
      subject.CN = value
    elseif ATTRIBUTES[name] and not subject.names[1][name] then
      subject.names[1][name] = value
    else
      return nil, ("cfssl has no words for the subject's %s"):format(name)
    end
  end
  for i, name in ipairs(request.san) do
    local kind, value = name:match "^(%a+):(.*)$"
    if not HOSTS[kind or false] then
      return nil, ("cfssl has no words for the alternative name %s"):format(name)
    end
    hosts[i] = value
  end
  return subject, hosts
end

local function post(self, path, body)
  return http.post(self.url .. path, json.line(body), { trust = self.trust,
    timeout = self.timeout, headers = { ["Content-Type"] = "application/json" } })
end

--- What went wrong, in cfssl's words.
local function words_of(response)
  local body = response:json()
  local first = type(body) == "table" and type(body.errors) == "table" and body.errors[1]
  local message = type(first) == "table" and first.message
  return ("cfssl: %d %s"):format(response.status, type(message) == "string" and message or "")
end

local function refusal_of(response)
  local status, detail = response.status, words_of(response)
  local outcome = "failed"
  if status == 503 or status == 429 then outcome = "away" end
  if status == 504 then outcome = "unknown" end
  -- A token that is not good is no device's fault.
  if status == 400 and not detail:find("token", 1, true) then outcome = "refused" end
  return { outcome = outcome, detail = detail }
end

function Cfssl:issue(request)
  local subject, hosts = names_of(request)
  if not subject then return { outcome = "failed", detail = hosts } end
  local inner = json.line { certificate_request = request.csr:pem(), subject = subject,
    hosts = hosts, profile = self.profile, label = self.label }
  local response, err = post(self, "authsign", { request = core.base64.encode(inner),
    token = core.base64.encode(core.secret.hmac_sha256(self.key, inner)) })
  if not response then
    return { outcome = err.unknown and "unknown" or "away", detail = tostring(err) }
  end
  local body = response.status == 200 and response:json()
  local result = type(body) == "table" and body.success == true and body.result
  if type(result) ~= "table" or type(result.certificate) ~= "string" then
    return refusal_of(response)
  end
  local cert, problem = core.cert.parse(result.certificate)
  if not cert then return { outcome = "failed", detail = tostring(problem) } end
  return { outcome = "issued", certificate = cert:der() }
end

--- A number in hex as cfssl has it.
local function decimal_of(hex)
  local digits = { 0 } -- the last first
  for digit in hex:gmatch "%x" do
    local carry = tonumber(digit, 16)
    for i = 1, #digits do
      local value = digits[i] * 16 + carry
      digits[i], carry = value % 10, value // 10
    end
    while carry > 0 do
      digits[#digits + 1], carry = carry % 10, carry // 10
    end
  end
  return (table.concat(digits):reverse())
end

local NOT_FOUND <const> = "certificate not found"

--- Ask it by one of the names that it may have for its key.
local function revoke_by(self, request, aki)
  local response, err = post(self, "revoke", { serial = decimal_of(request.certificate.serial),
    authority_key_id = aki, reason = request.reason })
  -- To revoke twice is to revoke once.
  if not response then return { outcome = "away", detail = tostring(err) } end
  local body = response.status == 200 and response:json()
  if type(body) == "table" and body.success == true then return { outcome = "revoked" } end
  if response.status == 404 then
    return { outcome = "failed",
      detail = "cfssl has no database (-db-config), and revokes nothing" }
  end
  local outcome = refusal_of(response)
  -- It decides about no device here.
  if outcome.outcome == "refused" then outcome.outcome = "failed" end
  return outcome
end

function Cfssl:revoke(request)
  local aki = request.certificate.aki
  local outcome = revoke_by(self, request, aki or "")
  -- cfssl 1.2 writes no name of its key into its database.
  if aki and outcome.outcome == "failed" and outcome.detail:find(NOT_FOUND, 1, true) then
    return revoke_by(self, request, "")
  end
  return outcome
end

function Cfssl:cacerts()
  local response, err = post(self, "info", { label = self.label or "" })
  if not response then return nil, err end
  local body = response.status == 200 and response:json()
  local result = type(body) == "table" and body.result
  if type(result) ~= "table" or type(result.certificate) ~= "string" then
    return fail("protocol", words_of(response))
  end
  return core.cert.parse_all(result.certificate)
end

return M
