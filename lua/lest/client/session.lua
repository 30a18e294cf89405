--- How a client comes to speak to its server: what it shows, whom it trusts, its connections; and
--- one exchange over them. `self` is a lest.client.
---
---   local response, err = session.perform(self, "csrattrs")
local answer = require "lest.client.answer"
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local exchange = require "lest.client.exchange"
local fail = require "lest.base.fail"
local options_of = require "lest.client.options"
local psk = require "lest.base.psk"
local renewal_window = require "lest.base.renewal_window"
local tokens = require "lest.client.token"
local trust = require "lest.client.trust"

local M = {}

local BOOTSTRAP_MAX <const> = 256 * 1024
local ANSWER_MAX <const> = 4 * 1024 * 1024
local IDLE_MS <const> = 2000

local function load(value, loader, ...)
  if type(value) ~= "string" then return value end
  return loader(value, ...)
end

--- Load the certificate and the key that the options name, once.
---@param self lest.client
---@return true?
---@return lest.error? err
function M.load_identity(self)
  local err
  local options = self.options
  if options.cert and not self.cert then
    self.cert, err = load(options.cert, core.cert.load)
    if not self.cert then return nil, err end
    if self.cert.version < 3 then -- RFC 7030 3.3.2: it must be of the RFC 5280 profile
      self.notify("warning", ("the client certificate has version %d, which servers may refuse")
        :format(self.cert.version))
    end
  end
  if options.key and not self.key then
    local how = options.passphrase and { passphrase = options.passphrase } or nil
    self.key, err = load(options.key, core.key.load, how)
    if not self.key then return nil, err end
  end
  return true
end

local function new_session(self, anchors, settings, extra)
  local options = self.options
  settings.idle_ms = IDLE_MS
  settings.proxy, settings.proxy_username = options.proxy, options.proxy_username
  settings.proxy_password = options.proxy_password
  local http, err = core.http_client.new(settings)
  if not http then return nil, err end
  local session = {
    client = self, http = http, base = self.base, anchors = anchors, origins = self.origins,
    timeout_ms = duration.parse(options.timeout or "60s") * 1000, max_body = ANSWER_MAX,
  }
  for key, value in pairs(extra or {}) do session[key] = value end
  return session
end

--- nil and an error that names its operation.
---@param operation string
---@param err lest.error
---@return nil
---@return lest.error
function M.error(operation, err)
  if not err.operation then err.operation = operation end
  return nil, clock.explain(err)
end

local function decode_bag(response)
  if response.status ~= 200 then return nil, answer.error(response) end
  return answer.certificates(response, "cacerts")
end

-- RFC 7030 4.1.1: on the connection to a server that nothing vouches for, /cacerts is all that is
-- asked, and nothing is shown or told.
local function bootstrap(self)
  local hex = trust.fingerprint(self.options.fingerprint)
  if not hex then return fail("usage", "a fingerprint is a SHA-256: 64 hex digits") end
  local session, err = new_session(self, "provisional", { provisional = true },
    { max_body = BOOTSTRAP_MAX })
  if not session then return nil, err end
  local response, certs, root, found
  response, err = exchange.perform(session, "cacerts")
  session.http:close()
  if not response then return M.error("cacerts", err) end
  certs, err = decode_bag(response)
  if not certs then return M.error("cacerts", err) end
  root, err = trust.by_fingerprint(certs, hex)
  if not root then return M.error("cacerts", err) end
  found, err = trust.open({ root }, self.options.trust_cacerts)
  if not found then return nil, err end
  self.cacerts_found, err = found:learn(certs)
  if not self.cacerts_found then return nil, err end
  return found
end

local function open_trust(self)
  local options = self.options
  if options.trust and options.fingerprint then
    return fail("usage", "trust and fingerprint exclude each other")
  elseif options.fingerprint then
    return bootstrap(self)
  elseif options.trust then
    return trust.open(options.trust, options.trust_cacerts)
  elseif options.psk_identity or options.srp_user then
    return trust.of_connection()
  end
  return fail("usage", 'say how to know the server: trust = FILE or "system", or a fingerprint')
end

--- What proves both sides in a handshake without certificates; nil without an error: nothing does.
local function handshake_of(options)
  if options.psk_identity then
    local hex, problem = options_of.secret(options, "psk")
    if not hex then return nil, problem end
    local key = psk.parse(hex)
    if not key then return fail("usage", ("%s: %s"):format(options.psk_file, psk.PROBLEM)) end
    return { psk_identity = options.psk_identity, psk = key }
  elseif not options.srp_user then
    return nil
  end
  local password, err = options_of.secret(options, "srp_password")
  if not password then return nil, err end
  return { srp_user = options.srp_user, srp_password = password }
end

-- Where a key is not the certificate's, the error names both files; a URI may have a PIN in it.
local function name_files(self, err)
  local cert, key = self.options.cert, self.options.key
  if not self.cert or not self.key or self.key:public_der() == self.cert.public_key.der
    or type(cert) ~= "string" or type(key) ~= "string" or key:find ":" then
    return
  end
  err.message = ("the key in %s (%s) is not that of the certificate in %s (%s)"):format(key,
    self.key.type, cert, self.cert.public_key.type)
  err.detail = nil
end

--- Everything that a first request needs; once.
---@param self lest.client
---@return table? session
---@return lest.error? err
function M.open(self)
  if self.session then return self.session end
  if clock.is_behind() then
    self.notify("warning", clock.says() .. ", which is before lest was built")
  end
  local label, ok, err
  self.base, label = options_of.base(self.options)
  if not self.base then return nil, label end
  self.label = label
  self.origins, err = options_of.origins(self.options, self.base)
  if not self.origins then return nil, err end
  ok, err = options_of.check_proxy(self.options)
  if not ok then return nil, err end
  ok, err = options_of.check_credentials(self.options)
  if not ok then return nil, err end
  ok, err = M.load_identity(self)
  if not ok then return nil, err end
  self.challenge, err = options_of.secret(self.options, "challenge")
  if err then return nil, err end
  if not self.trust then
    self.trust, err = open_trust(self)
    if not self.trust then return nil, err end
  end
  local options = self.options
  local settings
  settings, err = handshake_of(options)
  if err then return nil, err end
  settings = settings or self.trust:tls()
  local token
  token, err = tokens.of(options)
  if err then return nil, err end
  settings.cert, settings.key = self.cert, self.key
  settings.cmc_ra = not options.require_name
  if not settings.cert then settings.key = nil end -- a key alone is for CSRs
  self.session, err = new_session(self, self.trust.kind, settings, {
    username = options.username, password = options.password, has_certificate = self.cert ~= nil,
    allow_password_with_system_trust = options.allow_password_with_system_trust,
    digest = options.digest, bearer = token,
    given = options.preemptive and (token or options.username or options.password) ~= nil
      and (self.trust.kind == "explicit" or options.allow_password_with_system_trust)
      and { scheme = token and "Bearer" or "Basic" } or nil,
  })
  if not self.session then name_files(self, err) end
  return self.session, err
end

--- Whether a CSR may be sent that has the secret of the options in it, or one that will revoke its
--- certificate: as a password may be.
---@param self lest.client
---@param plan lest.csr_plan
---@return true?
---@return lest.error? err
function M.may_challenge(self, plan)
  local options = self.options
  local has_own = self.challenge and plan.challenge_password == self.challenge
  if not (has_own or plan.revocation_challenge)
    or self.session.anchors == "explicit" or options.allow_password_with_system_trust then
    return true
  end
  return fail("trust", "no secret is sent to a server that only the system's trust anchors vouch "
    .. "for; name its CA or its fingerprint (or allow_password_with_system_trust)",
    { rfc = "7030 6" })
end

-- What the server asked for of what has secrets or the binding, and what came of it.
local function tell_challenges(self, plan, wishes, is_bound)
  local function tell(name, value)
    self.notify("attribute", ("attribute %s: %s"):format(name, value and value
      .. ", as the server asks" or "the server asks for it; nothing says what to put there"))
  end
  if wishes.otp_challenge then
    tell("otpChallenge", plan.otp_challenge and "the secret that was given")
  end
  if wishes.revocation_challenge then
    tell("revocationChallenge", plan.revocation_challenge and "the one that was given")
  end
  if is_bound then
    tell(wishes.identity_linking and "estIdentityLinking" or "challengePassword",
      "what the connection is known by")
  end
end

--- Put the secret of the options, and the channel binding, where the server wants them: RFC 7894 4.
--- What it wants and does not get is told.
---@param self lest.client
---@param plan lest.csr_plan changed
---@param wishes lest.wishes
function M.place_secret(self, plan, wishes)
  local options = self.options
  if wishes.otp_challenge and plan.challenge_password
    and plan.challenge_password == self.challenge then
    plan.otp_challenge, plan.challenge_password = self.challenge, nil
  end
  local is_wanted = wishes.challenge_password or wishes.identity_linking
  local is_done = options.channel_binding ~= false
    and (wishes.identity_linking or not plan.challenge_password)
  tell_challenges(self, plan, wishes, is_wanted and is_done)
  if is_wanted and not is_done then
    self.notify("warning", "the server wants requests linked to their TLS connection, which is "
      .. (options.channel_binding == false and "turned off (channel_binding)"
        or "not done: challengePassword is a secret"))
  end
end

--- One exchange with the server; any status is a response.
---@param self lest.client
---@param operation string
---@param body? string|lest.client.body
---@return lest.http.response?
---@return lest.error? err
function M.perform(self, operation, body)
  local session, err = M.open(self)
  if not session then return nil, err end
  local response
  response, err = exchange.perform(session, operation, body)
  if session.by_cmc_ra and not self.told_cmc_ra then
    self.told_cmc_ra = true
    self.notify("warning", "the server's certificate has another name; it is an RA's, which may")
  end
  if not response then return M.error(operation, err) end
  return response
end

--- Ask for the CA certificates, and learn from them.
---@param self lest.client
---@return lest.cacerts?
---@return lest.error? err
function M.fetch_cacerts(self)
  local response, err = M.perform(self, "cacerts")
  if not response then return nil, err end
  local certs, result
  certs, err = decode_bag(response)
  if not certs then return M.error("cacerts", err) end
  result, err = self.trust:learn(certs)
  if not result then return M.error("cacerts", err) end
  self.renewal_window = renewal_window.read(response:header(renewal_window.HEADER))
    or self.renewal_window
  return result
end

return M
