--- The EST client (RFC 7030).
---
---   local client = lest.client { url = "https://est.example.com",
---     label = "factory", trust = "bootstrap-ca.pem",
---     username = "device001", password = os.getenv "BOOTSTRAP" }
---   local key = assert(lest.key.generate "ec:P-256")
---   assert(key:save "device.key")
---   local cert = assert(client:enroll { key = key,
---     subject = "CN=device001", wait = "10m" })
---   assert(cert:save "device.pem")
---
--- Making a client does nothing yet: what is wrong with its files or its URL comes back from its
--- methods as `nil, err`.
local answer = require "lest.client.answer"
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local exchange = require "lest.client.exchange"
local fail = require "lest.base.fail"
local issued = require "lest.client.issued"
local options_of = require "lest.client.options"
local plan_module = require "lest.client.plan"
local trust = require "lest.client.trust"
local wait = require "lest.client.wait"

local BOOTSTRAP_MAX <const> = 256 * 1024
local ANSWER_MAX <const> = 4 * 1024 * 1024
local IDLE_MS <const> = 2000

---@class lest.client
---@field trust lest.client.trust? once a call was made: its kind, "explicit" or "system", is whose
--- anchors vouch for the server (RFC 7030 3.3.1)
local Client = { __name = "lest.client" }
Client.__index = Client

local function notify_log(kind, message)
  core.log.write(kind == "warning" and "warning" or "info", "client", { "message", message })
end

---@class lest.client.options
---@field url string "https://host[:port]", also without a scheme, or the whole folder
--- "https://host/.well-known/est/LABEL"
---@field label? string of the CA or profile, if the URL has none
---@field trust? "system"|string|lest.store|lest.cert[] a file of anchors, a store, or the system's
---@field fingerprint? string SHA-256 of the root instead: it is fetched and compared
---@field trust_cacerts? boolean take the newest root of /cacerts as an anchor for certificates,
--- though nothing but the connection vouches for it
---@field username? string Basic, when the server asks
---@field password? string of the user name
---@field cert? string|lest.cert what is shown in TLS, with its chain; and what reenroll renews
---@field key? string|lest.key its key; a file or a URI
---@field passphrase? string of the key's file
---@field timeout? string|integer for each request, default "60s"
---@field require_name? boolean id-kp-cmcRA does not stand for the server's name (RFC 7030 3.6.1)
---@field preemptive? boolean send the password without being asked
---@field allow_password_with_system_trust? boolean RFC 7030 6 advises against it
---@field notify? fun(kind: "warning"|"waiting", message: string, seconds?: integer) or the log

---@param options lest.client.options
---@return lest.client
local function new(options)
  options_of.check("lest.client", options, options_of.client)
  if not options.url then error("lest.client needs a url", 2) end
  return setmetatable({ options = options, notify = options.notify or notify_log }, Client)
end

--- The same client with other options; what was learnt about trust is shared where it still holds.
---@param options table
---@return lest.client
function Client:with(options)
  options_of.check("client:with", options, options_of.client)
  local all, same = {}, true
  for name, value in pairs(self.options) do all[name] = value end
  for name, value in pairs(options) do
    all[name] = value
    same = same and name ~= "url" and name ~= "trust" and name ~= "fingerprint"
      and name ~= "trust_cacerts"
  end
  local other = new(all)
  if same then other.trust = self.trust end
  return other
end

local function load(value, loader, ...)
  if type(value) ~= "string" then return value end
  return loader(value, ...)
end

local function load_identity(self)
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
  local http, err = core.http_client.new(settings)
  if not http then return nil, err end
  local session = {
    http = http, base = self.base, anchors = anchors,
    timeout_ms = duration.parse(options.timeout or "60s") * 1000, max_body = ANSWER_MAX,
  }
  for key, value in pairs(extra or {}) do session[key] = value end
  return session
end

local function operation_error(operation, err)
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
  if not response then return operation_error("cacerts", err) end
  certs, err = decode_bag(response)
  if not certs then return operation_error("cacerts", err) end
  root, err = trust.by_fingerprint(certs, hex)
  if not root then return operation_error("cacerts", err) end
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
  end
  return fail("usage", 'say how to know the server: trust = FILE or "system", or a fingerprint')
end

-- Everything that a first request needs; once.
local function open(self)
  if self.session then return self.session end
  if clock.is_behind() then
    self.notify("warning", clock.says() .. ", which is before lest was built")
  end
  local label, ok, err
  self.base, label = options_of.base(self.options)
  if not self.base then return nil, label end
  self.label = label
  ok, err = options_of.check_credentials(self.options)
  if not ok then return nil, err end
  ok, err = load_identity(self)
  if not ok then return nil, err end
  if not self.trust then
    self.trust, err = open_trust(self)
    if not self.trust then return nil, err end
  end
  local options, settings = self.options, self.trust:tls()
  settings.cert, settings.key = self.cert, self.key
  settings.cmc_ra = not options.require_name
  if not settings.cert then settings.key = nil end -- a key alone is for CSRs
  self.session, err = new_session(self, self.trust.kind, settings, {
    username = options.username, password = options.password, has_certificate = self.cert ~= nil,
    allow_password_with_system_trust = options.allow_password_with_system_trust,
    password_wanted = options.preemptive and (options.username or options.password) ~= nil
      and (self.trust.kind == "explicit" or options.allow_password_with_system_trust) or nil,
  })
  return self.session, err
end

local function perform(self, operation, body)
  local session, err = open(self)
  if not session then return nil, err end
  local response
  response, err = exchange.perform(session, operation, body)
  if session.by_cmc_ra and not self.told_cmc_ra then
    self.told_cmc_ra = true
    self.notify("warning", "the server's certificate has another name; it is an RA's, which may")
  end
  if not response then return operation_error(operation, err) end
  return response
end

local function fetch_cacerts(self)
  local response, err = perform(self, "cacerts")
  if not response then return nil, err end
  local certs, result
  certs, err = decode_bag(response)
  if not certs then return operation_error("cacerts", err) end
  result, err = self.trust:learn(certs)
  if not result then return operation_error("cacerts", err) end
  return result
end

--- Load the files that the options name and, with a fingerprint, fetch the root: what is wrong with
--- them shows here, and else in the first request.
---@param options? { wait?: string|integer } for a server that is not up yet
---@return true?
---@return lest.error? err
function Client:open(options)
  options_of.check("client:open", options or {}, options_of.wait)
  local session, err = wait.persist(self.notify, wait.deadline(options or {}), function()
    return open(self)
  end)
  return session and true, err
end

--- The CA certificates of the server, verified (RFC 7030 4.1); the client trusts what it has
--- learnt.
---@param options? { wait?: string|integer }
---@return lest.cacerts?
---@return lest.error? err
function Client:cacerts(options)
  options_of.check("client:cacerts", options or {}, options_of.wait)
  return wait.persist(self.notify, wait.deadline(options or {}), function()
    local ok, err = self:open()
    if not ok then return nil, err end
    local found = self.cacerts_found -- a bootstrap has fetched them just now
    self.cacerts_found = nil
    if found then return found end
    return fetch_cacerts(self)
  end)
end

local function fetch_csrattrs(self)
  local response, err = perform(self, "csrattrs")
  if not response then return nil, err end
  local status = response.status
  if status == 204 or status == 404 or status == 501 then
    if status == 404 and self.label then
      self.notify("warning", "the server knows no CSR attributes for the label " .. self.label)
    end
    return {}
  end
  if status ~= 200 then return operation_error("csrattrs", answer.error(response)) end
  if response.body == "" then
    self.notify("warning", "the server's answer to csrattrs is empty, as if it had no wishes")
    return {}
  end
  local der, list
  der, err = answer.body(response, "csrattrs")
  if not der then return operation_error("csrattrs", err) end
  list, err = core.csrattrs.decode(der)
  if not list then return operation_error("csrattrs", err) end
  return list
end

--- What the server wants in a CSR (RFC 7030 4.5), an empty list if nothing; for
--- lest.csrattrs.wishes.
---@param options? { wait?: string|integer }
---@return lest.csrattr[]?
---@return lest.error? err
function Client:csrattrs(options)
  options_of.check("client:csrattrs", options or {}, options_of.wait)
  return wait.persist(self.notify, wait.deadline(options or {}), function()
    return fetch_csrattrs(self)
  end)
end

-- 201 is what some servers answer with a certificate.
local ISSUED <const> = { [200] = true, [201] = true }

-- make() gives the CSR of each attempt; the key stays the same, so the server knows it again.
local function submit(self, operation, deadline, make)
  return wait.persist(self.notify, deadline, function()
    local csr, err = make()
    if not csr then return nil, err end
    local response, certs, cert
    response, err = perform(self, operation, core.est.body_encode(csr:der()))
    if not response then return nil, wait.note_lost(err) end
    if not ISSUED[response.status] then
      return operation_error(operation, answer.error(response))
    end
    certs, err = answer.certificates(response, operation)
    if not certs then return operation_error(operation, err) end
    cert, err = issued.take(certs, csr, self.trust, function() return fetch_cacerts(self) end)
    if not cert then return operation_error(operation, err) end
    for _, sentence in ipairs(err) do self.notify("warning", sentence) end
    return cert, err
  end)
end

-- Whether an error of csrattrs is an answer that makes no sense, or none for now: RFC 7030 4.5, the
-- attributes are advice. What is wrong with the network, TLS, trust or the password stays an error.
local ODD <const> = { http = true, protocol = true, refused = true, unavailable = true,
  pending = true, csrattrs_malformed = true }

-- What the server wishes; none, with a warning, where it cannot say. Whether a busy server is worth
-- a pause is the caller's to say, once.
local function fetch_wishes(self, patient)
  local list, err = fetch_csrattrs(self)
  local wishes
  if list then
    wishes, err = core.csrattrs.wishes(list)
    if not wishes then operation_error("csrattrs", err) end
  end
  if wishes then return wishes end
  local busy = err.code == "unavailable" or err.code == "pending"
  local is_answer = err.status or err.code == "csrattrs_malformed"
  if not ODD[err.code] or not is_answer or busy and patient then return nil, err end
  self.notify("warning", "what the server wants in a request is not known: " .. tostring(err))
  return core.csrattrs.wishes {}
end

local function planned(self, operation, plan, options, renewal)
  local deadline = wait.deadline(options)
  local patient, wishes = deadline ~= nil, nil
  local asked = options.csrattrs == false
  return submit(self, operation, deadline, function()
    if not asked then
      local err
      wishes, err = fetch_wishes(self, patient)
      patient = false
      if not wishes then return nil, err end
      plan, err = plan_module.apply(plan, wishes, self.notify, renewal)
      if not plan then return operation_error("csrattrs", err) end
      asked = true
    end
    return plan_module.build(plan, wishes)
  end)
end

--- Get a certificate (RFC 7030 4.2.1): for a key and names, or for a finished CSR.
---   client:enroll { key = key, subject = "CN=device001",
---     san = { "DNS:device001" }, wait = "10m" }
---   client:enroll(csr, { wait = "10m" })
--- The key is the client's if none is given. csrattrs = false: do not ask the server for its
--- wishes.
---@param what lest.client.enrollment|lest.csr
---@param options? { wait?: string|integer } with a CSR
---@return lest.cert? cert verified, with its chain
---@return string[]|lest.error changed what the server changed of the names; or the error
function Client:enroll(what, options)
  if options_of.kind(what) == "lest.csr" then
    options_of.check("client:enroll", options or {}, options_of.wait)
    return submit(self, "simpleenroll", wait.deadline(options or {}), function() return what end)
  end
  options_of.check("client:enroll", what, options_of.enroll)
  local ok, err = self:open { wait = what.wait }
  if not ok then return nil, err end
  local plan = {}
  for name, value in pairs(what) do
    if name ~= "wait" and name ~= "csrattrs" then plan[name] = value end
  end
  plan.key = plan.key or self.key
  if not plan.key then error("client:enroll needs a key", 2) end
  return planned(self, "simpleenroll", plan, what, false)
end

---@class lest.client.renewal
---@field key? lest.key a new one; the old one if absent
---@field change? { subject?: lest.name_like, san?: string[] } other names to ask for
---@field digest? string "sha256" and the like; the default goes with the key
---@field wait? string|integer how long to wait for a pending request, or a server that is busy or
--- away
---@field csrattrs? boolean false: do not ask the server what it wants in a request

--- Renew the client's certificate (RFC 7030 4.2.2): subject and alternative names are its own, byte
--- for byte; the key may be a new one. The server may grant a `change` of names or refuse it.
---@param options? lest.client.renewal
---@return lest.cert? cert
---@return string[]|lest.error changed
function Client:reenroll(options)
  options = options or {}
  options_of.check("client:reenroll", options, options_of.reenroll)
  if not self.options.cert or not self.options.key then
    return fail("usage", "renewing needs the certificate to renew, and its key")
  end
  local ok, err = load_identity(self)
  if not ok then return operation_error("simplereenroll", err) end
  local plan = { key = options.key or self.key, digest = options.digest, change = options.change,
    subject_der = self.cert.subject_der, san_der = self.cert.san_der }
  return planned(self, "simplereenroll", plan, options, true)
end

--- Close the kept connections; the next call opens new ones.
function Client:close()
  if self.session then self.session.http:close() end
  self.session = nil
end
Client.__close = Client.close

return setmetatable({ new = new }, { __call = function(_, options) return new(options) end })
