--- A CA behind another EST server (RFC 7030): this one is an RA there, by its certificate
--- (id-kp-cmcRA, 3.7), by a user name and a password, or by a token. The CSR goes as the client
--- signed it, so that the names that were approved must be its own; where it is linked to the
--- client's connection (3.5), that server takes it from an RA alone.
local answer = require "lest.client.answer"
local challenges = require "lest.server.wire.challenges"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local keypair = require "lest.server.config.keypair"
local lest_client = require "lest.client"
local list = require "lest.base.list"
local session = require "lest.client.session"
local start_failure = require "lest.server.config.start_failure"

local M = {}

local PASSWORD_MAX <const> = 4096
local AWAY <const> = { network = true, timeout = true, closed = true }
-- Of a server that has taken the request, and may have done what it is for.
local IN_DOUBT <const> = { [504] = true }

local Est = {}
Est.__index = Est

local function password_of(where, options)
  if not options.password_file then return nil end
  local text, err = core.file.read(options.password_file, PASSWORD_MAX)
  if not text then return start_failure.blame(where .. ".password_file", err) end
  return (text:gsub("[\r\n]+$", ""))
end

---@param where string the key in the configuration
---@param options table what stands there
function M.new(where, options)
  if (options.username ~= nil) ~= (options.password_file ~= nil) then
    return start_failure.blame(where,
      select(2, fail("config", "a username and a password_file belong together")))
  end
  if options.username and options.bearer_file then
    return start_failure.blame(where,
      select(2, fail("config", "a username and a bearer_file exclude each other")))
  end
  local password, err = password_of(where, options)
  if err then return nil, err end
  local cert, key
  if options.bearer_file then
    local found
    found, err = core.file.read(options.bearer_file, PASSWORD_MAX)
    if not found then return start_failure.blame(where .. ".bearer_file", err) end
  end
  if options.identity then
    cert, key = keypair.load(where .. ".identity", options.identity)
    if not cert then return nil, key end
  end
  local settings = { url = options.url, label = options.label, trust = options.trust, cert = cert,
    key = key, username = options.username, password = password,
    bearer_file = options.bearer_file,
    timeout = duration.format(options.timeout) }
  if options.trust ~= "system" then
    settings.trust, err = core.cert.load_all(options.trust)
    if not settings.trust then return start_failure.blame(where .. ".trust", err) end
  end
  return setmetatable({ client = lest_client(settings),
    is_ra = cert ~= nil and list.has(cert.eku, "cmcRA") }, Est)
end

--- Why a request has no answer. One that may have arrived may have been done.
local function unanswered(err)
  local outcome = err.was_sent and "unknown" or AWAY[err.code] and "away" or "failed"
  return { outcome = outcome, detail = tostring(err) }
end

--- What an answer without a certificate says.
local function refusal_of(response)
  local status, err = response.status, answer.error(response)
  local outcome = { detail = tostring(err) }
  if status == 202 then
    outcome.outcome, outcome.retry_after = "later", math.max(1, answer.delay(response))
  elseif status == 503 or status == 429 then
    outcome.outcome = "away"
  elseif IN_DOUBT[status] then
    outcome.outcome = "unknown"
  elseif status == 400 or status == 403 then
    outcome.outcome = "refused"
  else -- 401 among them: it is not the device that was not known there
    outcome.outcome = "failed"
  end
  return outcome
end

--- Whether the CSR asks for what was approved.
local function is_as_approved(request)
  local csr = request.csr
  local san_der = csr.san[1] and core.san.encode(csr.san)
  local own = request.san[1] and core.san.encode(request.san)
  return core.name.equal(core.name.encode(csr.subject), request.subject_der)
    and (san_der and own and core.san.equal(san_der, own) or san_der == own)
end

--- What an operator should know of a refusal that a link may be the cause of.
local function explain(self, request, outcome)
  if outcome.outcome == "refused" and not self.is_ra
    and challenges.may_link(request.csr, "verified") then
    outcome.detail = outcome.detail .. "; the CSR is linked to the client's connection (RFC 7030 "
      .. "3.5), which is for an RA to send on: give `identity` a certificate with id-kp-cmcRA, or "
      .. "have clients not link theirs (--no-channel-binding)"
  end
  return outcome
end

local ISSUED <const> = { [200] = true, [201] = true }

function Est:issue(request)
  if not is_as_approved(request) then
    return { outcome = "failed", detail = "the names that were approved are not those of the CSR, "
      .. "which an EST server is sent as it is" }
  end
  local response, err = session.perform(self.client, "simpleenroll",
    core.est.body_encode(request.csr:der()))
  if not response then return unanswered(err) end
  if not ISSUED[response.status] then return explain(self, request, refusal_of(response)) end
  local certs
  certs, err = answer.certificates(response, "simpleenroll")
  for _, cert in ipairs(certs or {}) do
    if cert.public_key.der == request.csr.spki then
      return { outcome = "issued", certificate = cert:der() }
    end
  end
  return { outcome = "failed", detail = certs and "the answer has no certificate of the key"
    or tostring(err) }
end

--- EST itself has no revocation: that is a control of CMC (RFC 5272 6.11), for an RA there and
--- where that server speaks CMC. To ask twice is to ask once.
function Est:revoke(request)
  if not self.client.key then
    return { outcome = "failed", detail = "EST revokes for an RA (`identity`) alone, by fullcmc: "
      .. "revoke it at the CA" }
  end
  local cert = request.certificate
  local got, err = self.client:fullcmc { controls = { { name = "revokeRequest", value = {
    issuer_der = cert.issuer_der, serial = cert.serial,
    reason = cmc.REASONS[request.reason] or 0 } } } }
  if got then return { outcome = "revoked" } end
  if err.status == 404 or err.status == 405 or err.status == 501 then
    return { outcome = "failed",
      detail = "that server has no fullcmc for this: revoke it at the CA" }
  end
  local is_away = AWAY[err.code] or err.status == 503 or err.status == 429
  return { outcome = is_away and "away" or "failed", detail = tostring(err) }
end

function Est:cacerts()
  local response, err = session.perform(self.client, "cacerts")
  if not response then return nil, err end
  if response.status ~= 200 then return nil, answer.error(response) end
  return answer.certificates(response, "cacerts")
end

return M
