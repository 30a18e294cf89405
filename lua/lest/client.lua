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
local cmc = require "lest.client.cmc"
local connection = require "lest.client.connection"
local core = require "lest.core"
local fail = require "lest.base.fail"
local keygen = require "lest.client.keygen"
local linking = require "lest.client.linking"
local options_of = require "lest.client.options"
local plan_module = require "lest.client.plan"
local recorder = require "lest.client.recorder"
local session = require "lest.client.session"
local submission = require "lest.client.submission"
local wait = require "lest.client.wait"
local wishes_of = require "lest.client.wishes"

---@class lest.client
---@field trust lest.client.trust? once a call was made: its kind, "explicit" or "system", is whose
--- anchors vouch for the server (RFC 7030 3.3.1)
---@field renewal_window? lest.renewal_window when the server wants its certificates renewed, where
--- the last answer with one, or cacerts, says so; lest.base.renewal_window puts it into bounds
---@field clock_offset? integer seconds that the server's clock was ahead of this machine's, by the
--- Date of its last answer: a hint, for a clock is easily wrong
---@field trace? boolean|fun(event: lest.client.event) who is told of each exchange what was on the
--- wire, without secrets; true: the terminal
local Client = { __name = "lest.client" }
Client.__index = Client

local function notify_log(kind, message)
  local level = kind == "warning" and "warning" or kind == "attribute" and "debug" or "info"
  core.log.write(level, "client", { "message", message })
end

---@class lest.client.options
---@field url string "https://host[:port]", also without a scheme, or the whole folder
--- "https://host/.well-known/est/LABEL"
---@field label? string of the CA or profile, if the URL has none
---@field trust? "system"|string|lest.store|lest.cert[] a file of anchors, a store, or the system's
---@field fingerprint? string SHA-256 of the root instead: it is fetched and compared
---@field trust_cacerts? boolean take the newest root of /cacerts as an anchor for certificates,
--- though nothing but the connection vouches for it
---@field username? string for Digest or Basic, when the server asks
---@field password? string of the user name
---@field cert? string|lest.cert what is shown in TLS, with its chain; and what reenroll renews
---@field key? string|lest.key its key; a file or a URI
---@field passphrase? string of the key's file
---@field timeout? string|integer for each request, default "60s"
---@field proxy? string "http://host:port" (CONNECT), "socks5h://host:port" or "socks5://host:port"
--- in place of what https_proxy and all_proxy of the environment name; "": none
---@field proxy_username? string for it
---@field proxy_password? string of that user name
---@field redirects? string[] the origins of other servers that this one may redirect to
--- ("https://other.example:8443"): verified as this one is, and asked anew for a password
---@field require_name? boolean id-kp-cmcRA does not stand for the server's name (RFC 7030 3.6.1)
---@field bearer? string a token (RFC 6750), when the server asks
---@field bearer_file? string instead: a file, read for each request, whose first line it is
---@field psk_identity? string who the client is in a handshake without certificates
---@field psk? string its pre-shared key in hex, which proves either side; no `trust` is needed then
---@field psk_file? string whose first line it is
---@field srp_user? string instead: who the client is in a handshake with a password (SRP, TLS 1.2)
---@field srp_password? string its password, which proves either side and is not sent; no `trust` is
--- needed then
---@field srp_password_file? string whose first line it is
---@field preemptive? boolean send the password, or the token, without being asked
---@field challenge? string the secret that enroll() sends as challengePassword of the CSR, or as
--- otpChallenge where the server names that (RFC 7894)
---@field challenge_file? string whose first line it is
---@field channel_binding? boolean false: a CSR, alone or in a message of CMC, is not linked to the
--- connection that carries it (RFC 7030 3.5); a finished one never is
---@field digest? boolean the password itself is never sent: Digest alone answers a server
---@field allow_password_with_system_trust? boolean RFC 7030 6 advises against it
---@field notify? fun(kind: "warning"|"waiting"|"attribute", message: string, seconds?: integer) or
--- the log; "attribute": what of the request is due to which CSR attribute of the server
---@field trace? boolean|fun(event: lest.client.event) the client's, from the start

---@param options lest.client.options
---@return lest.client
local function new(options)
  options_of.check("lest.client", options, options_of.client)
  if not options.url then error("lest.client needs a url", 2) end
  return setmetatable({ options = options, notify = options.notify or notify_log,
    trace = options.trace }, Client)
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
  if options.trace == nil then other.trace = self.trace end
  other.recorder = self.recorder
  if same then other.trust = self.trust end
  return other
end

--- Load the files that the options name and, with a fingerprint, fetch the root: what is wrong with
--- them shows here, and else in the first request.
---@param options? { wait?: string|integer } for a server that is not up yet
---@return true?
---@return lest.error? err
function Client:open(options)
  options_of.check("client:open", options or {}, options_of.wait)
  local opened, err = wait.persist(self.notify, wait.deadline(options or {}), function()
    return session.open(self)
  end)
  return opened and true, err
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
    return session.fetch_cacerts(self)
  end)
end

--- What the server wants in a CSR (RFC 7030 4.5), an empty list if nothing; for
--- lest.csrattrs.wishes.
---@param options? { wait?: string|integer }
---@return lest.csrattr[]?
---@return lest.error? err
function Client:csrattrs(options)
  options_of.check("client:csrattrs", options or {}, options_of.wait)
  return wait.persist(self.notify, wait.deadline(options or {}), function()
    return wishes_of.list(self)
  end)
end

local function planned(self, operation, plan, options, renewed, read)
  local deadline = wait.deadline(options)
  local patient, wishes = deadline ~= nil, nil
  local asked = options.csrattrs == false
  return submission.submit(self, operation, deadline, function()
    if not asked then
      local err
      wishes, err = wishes_of.fetch(self, patient)
      patient = false
      if not wishes then return nil, err end
      plan, err = plan_module.apply(plan, wishes, self.notify, renewed)
      if not plan then return session.error("csrattrs", err) end
      session.place_secret(self, plan, wishes)
      asked = true
    end
    local field = self.options.channel_binding ~= false and linking.field(plan, wishes)
    if not field then return plan_module.build(plan, wishes) end
    return linking.draft(plan, wishes, field)
  end, read)
end

--- Get a certificate (RFC 7030 4.2.1): for a key and names, or for a finished CSR.
---   client:enroll { key = key, subject = "CN=device001",
---     san = { "DNS:device001" }, wait = "10m" }
---   client:enroll(csr, { wait = "10m" })
--- The key is the client's if none is given. csrattrs = false: do not ask the server for its
--- wishes. One for another type of key is an error, as are signatures of which the key can make
--- none, a digest that is too weak, or an open part of a template that nothing fills. An attribute
--- without a value, or one that is not known, is left out and told (RFC 7030 4.5.2: it must be
--- ignored).
---@param what lest.client.enrollment|lest.csr
---@param options? { wait?: string|integer } with a CSR
---@return lest.cert? cert verified, with its chain
---@return string[]|lest.error changed what the server changed of the names; or the error
function Client:enroll(what, options)
  if options_of.kind(what) == "lest.csr" then
    options_of.check("client:enroll", options or {}, options_of.wait)
    if what.form == "crmf" then
      return fail("usage", "a CRMF request is sent in a message of CMC alone: client:fullcmc")
    end
    local deadline = wait.deadline(options or {})
    return submission.submit(self, "simpleenroll", deadline, function() return what end)
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
  plan.challenge_password = plan.challenge_password or self.challenge
  ok, err = session.may_challenge(self, plan)
  if not ok then return nil, err end
  return planned(self, "simpleenroll", plan, what)
end

---@class lest.client.renewal
---@field key? lest.key a new one; the old one if absent
---@field change? { subject?: lest.name_like, san?: string[] } other names to ask for
---@field digest? string "sha256" and the like; the default goes with the key
---@field revocation_challenge? string by which the new certificate may be revoked (RFC 7894 3.2)
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
  local ok, err = session.load_identity(self)
  if not ok then return session.error("simplereenroll", err) end
  local plan = { key = options.key or self.key, digest = options.digest, change = options.change,
    subject_der = self.cert.subject_der, san_der = self.cert.san_der,
    revocation_challenge = options.revocation_challenge }
  if plan.revocation_challenge then
    ok, err = self:open { wait = options.wait }
    if ok then ok, err = session.may_challenge(self, plan) end
    if not ok then return nil, err end
  end
  return planned(self, "simplereenroll", plan, options, self.cert)
end

---@class lest.client.keygen
---@field key? string the kind of key that is wished for, "ec:P-256" if absent; the server chooses
---@field subject? lest.name_like
---@field san? string[] "DNS:host", "IP:192.0.2.1"
---@field csr_key? lest.key what signs the request, which says nothing of the key that is made: with
--- the same one, a request that waits is found again by another client; absent: one for this call
---@field key_usage? string[] and further fields of lest.csr_plan, as enroll() takes them
---@field decrypt? lest.key the server encrypts the new key for this one (RSA or EC), of which it
--- must know a certificate of this client; a key that comes in the clear is refused then
---@field decrypt_cert? lest.cert that certificate
---@field shared_key? string the server encrypts the new key with this one instead: 16 or 32 bytes
---@field shared_key_id? string how the server calls it
---@field wait? string|integer how long to wait for a pending request, or a server that is busy or
--- away
---@field csrattrs? boolean false: do not ask the server what it wants in a request

-- What is no part of the plan of a CSR.
local OF_KEYGEN <const> = { wait = true, csrattrs = true, csr_key = true, decrypt = true,
  decrypt_cert = true, shared_key = true, shared_key_id = true }

local KIND <const> = "ec:P-256"

--- Have the server make a key, and get it with its certificate (RFC 7030 4.4): for devices that
--- cannot make good keys. The key was in the server and on the way: prefer enroll().
---   local cert, key = client:serverkeygen {
---     subject = "CN=device001", key = "ec:P-256" }
--- A lost answer is a lost key: asking again gets another.
---@param what lest.client.keygen
---@return lest.cert? cert verified, with its chain; it is the key's
---@return lest.key|lest.error key or the error
---@return string[]? changed what the server changed of the names
function Client:serverkeygen(what)
  options_of.check("client:serverkeygen", what, options_of.serverkeygen)
  local ok, err = self:open { wait = what.wait }
  if ok then ok, err = keygen.may_ask(self) end
  if not ok then return nil, err end
  local plan = {}
  for name, value in pairs(what) do
    if not OF_KEYGEN[name] then plan[name] = value end
  end
  plan.attributes, err = keygen.attributes(what)
  if not plan.attributes then return nil, err end
  plan.key = what.csr_key
  if not plan.key then
    plan.key, err = core.key.generate(what.key or KIND)
    if not plan.key then return nil, err end
  end
  plan.challenge_password = plan.challenge_password or self.challenge
  ok, err = session.may_challenge(self, plan)
  if not ok then return nil, err end
  if not what.decrypt and not what.shared_key then
    self.notify("warning", "the key will come without encryption of its own: TLS alone protects it")
  end
  core.secret.wipe_freed()
  local cert, changed, key = planned(self, "serverkeygen", plan, what, nil, function(response)
    return keygen.read(self, what, response)
  end)
  if not cert then return nil, changed end
  return cert, key, changed
end

---@class lest.client.fullcmc
---@field requests? (lest.csr|lest.client.enrollment)[] finished ones, or what enroll() takes; names
--- that are left out are those of the certificate that signs; with form = "crmf" they are made so
---@field sign? { key: lest.key, cert: lest.cert } who asks; absent: the client's certificate, or
--- else the key of the first request
---@field controls? lest.cmc.control[] further ones (RFC 5272 6): { name = "revokeRequest", ... }
---@field identity? { name: string, secret: string, sha1?: boolean } who asks, by a secret that is
--- not sent (RFC 5272 6.2): the key of the first request signs then; sha1: for a server that knows
--- nothing better
---@field wait? string|integer how long to wait for what is pending
---@field csrattrs? boolean false: do not ask the server what it wants in a request

--- Ask for several things in one message (RFC 7030 4.3, RFC 5272), whose answer is verified: its
--- signature, and that it is the answer to this request.
---   local got = assert(client:fullcmc { requests = {
---     { key = key } } })
---   got[1]:save "device.pem"
---@param options lest.client.fullcmc
---@return lest.client.cmc_answer? answer a certificate for each request, or in `errors` why not
---@return lest.error? err nothing came of any of them
function Client:fullcmc(options)
  options_of.check("client:fullcmc", options, options_of.fullcmc)
  return cmc.ask(self, options)
end

--- Send a finished message of CMC (DER), and verify the answer.
---@param der string
---@return lest.client.cmc_answer?
---@return lest.error? err also where a status of the answer is a failure, or that it waits
function Client:cmc(der)
  local ok, err = session.open(self)
  if not ok then return nil, err end
  return cmc.finished(self, der)
end

--- Open a connection to be driven by hand, verified as all others of this client; a client may have
--- several. The newest is the one of client:send and client:receive.
---@return lest.client.connection?
---@return lest.error? err
function Client:connect()
  local opened, err = session.open(self)
  if not opened then return nil, err end
  local made
  made, err = connection.open(self, opened)
  if made then self.connection = made end
  return made, err
end

local function newest(self)
  return self.connection or error("there is no connection: client:connect() opens one", 3)
end

--- The newest connection's send.
---@param what lest.client.sending
---@return true?
---@return lest.error? err
function Client:send(what)
  return newest(self):send(what)
end

--- The newest connection's receive.
---@param options? { timeout?: string|integer }
---@return lest.http.response?
---@return lest.error? err
function Client:receive(options)
  return newest(self):receive(options)
end

--- From now on, write each exchange to a file that plays it again: `lest run FILE` is the server,
--- and asks it the same, so that who gets the file sees the same error. Secrets are masked.
---@param path string of a new file, or of an earlier record
---@param options? { secrets?: boolean } true: nothing is masked
---@return true?
---@return lest.error? err codes io, exists
function Client:record(path, options)
  options_of.check("client:record", options or {}, options_of.record)
  local made, err = recorder.new(path, options and options.secrets)
  if made then self.recorder = made end
  return made and true, err
end

-- The same client with nothing to show or to tell, and the trust that is known.
local SECRETS <const> = { "username", "password", "bearer", "cert", "key", "passphrase",
  "challenge", "preemptive", "digest" }

local function nobody(self)
  local all = {}
  for name, value in pairs(self.options) do all[name] = value end
  for _, name in ipairs(SECRETS) do all[name] = nil end
  local other = new(all)
  other.trust, other.trace, other.recorder = self.trust, self.trace, self.recorder
  return other
end

--- Hold the server against the RFCs from outside: one row a requirement, with what was seen. It
--- reads, and sends requests that every server refuses, some a second; `enroll = true` asks for
--- certificates, too.
---@param options? lest.probe.options
---@return lest.probe.report?
---@return lest.error? err
function Client:probe(options)
  options = options or {}
  options_of.check("client:probe", options, options_of.probe)
  local ok, err = self:open()
  if not ok then return nil, err end
  local other <close> = nobody(self)
  ok, err = other:open()
  if not ok then return nil, err end
  local report, problem = require "lest.probe".run(self, other, options)
  if not report then error("client:probe: " .. problem, 2) end
  return report
end

--- Close the kept connections, and the newest of those driven by hand; the next call opens new
--- ones.
function Client:close()
  if self.connection then self.connection:close() end
  if self.session then self.session.http:close() end
  self.connection, self.session = nil, nil
end
Client.__close = Client.close

return setmetatable({ new = new }, { __call = function(_, options) return new(options) end })
