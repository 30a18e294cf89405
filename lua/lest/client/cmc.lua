--- Full PKI Requests (RFC 7030 4.3, RFC 5272): made, sent, and their answers verified.
local answer = require "lest.client.answer"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local issued = require "lest.client.issued"
local linking = require "lest.client.linking"
local list = require "lest.base.list"
local plan_module = require "lest.client.plan"
local session = require "lest.client.session"
local wait = require "lest.client.wait"
local wishes_of = require "lest.client.wishes"

local M = {}

local OPERATION <const> = "fullcmc"
local NONCE_BYTES <const> = 16 -- RFC 5272 6.6
local CONTROLS_FROM <const> = 1000 -- body parts; requests are numbered from 1

local function distrust(message, cause)
  return fail("trust", "the answer is not believed: " .. message, { cause = cause })
end

-- Who may answer for a CA (RFC 6402 2.10): one with the usage for that, or the CA itself.
local function may_answer(cert)
  return cert.is_ca or list.has(cert.eku, "cmcCA") or list.has(cert.eku, "cmcRA")
end

local function check_signer(self, message)
  local signer = message.signer_certificate
  if not signer then return distrust "its signer's certificate is not with it" end
  local good, err = message:verify(signer.public_key.der)
  if not good then return distrust(err.message) end
  if not may_answer(signer) then
    return distrust("its signer's certificate is for no answers of CMC (cmcCA, cmcRA)")
  end
  good, err = self.trust:verify(signer, message.certificates)
  if not good and #self.trust.bag == 0 and session.fetch_cacerts(self) then
    good, err = self.trust:verify(signer, message.certificates)
  end
  if not good then return distrust("its signer's certificate is not accepted", err) end
  return true
end

-- RFC 5272 6.6: of which request it is an answer. One that was not in the request need not be in
-- the answer.
local BACK <const> = { transactionId = "transactionId", senderNonce = "recipientNonce" }

local function check_echo(message, sent)
  for name, as in pairs(BACK) do
    local value = cmc.find(sent, name)
    if value and cmc.find(message, as) ~= value then
      return distrust(("its %s is not that of the request"):format(as))
    end
  end
  return true
end

-- What a path of body parts leads to, within a message: a response, or nil.
local function at_path(message, path)
  for _, id in ipairs(path) do
    local found
    for _, content in ipairs(message.contents) do
      if content.id == id then found = core.cmc.parse(content.der) end
    end
    message = found
    if not message or message.kind ~= "response" then return nil end
  end
  return message
end

-- The certificates of a response, and of those within it that an RA says to be part of its own (RFC
-- 6402 2.6). Each of these is verified; the requests that they answer were the RA's.
local function certificates_of(self, message)
  local certs = table.move(message.certificates, 1, #message.certificates, 1, {})
  for _, control in ipairs(message.controls) do
    if control.name == "responseBody" then
      local inner = at_path(message, control.value)
      if not inner then return distrust "it says to have a response within, and has none" end
      local good, err = check_signer(self, inner)
      if not good then return nil, err end
      table.move(inner.certificates, 1, #inner.certificates, #certs + 1, certs)
    end
  end
  return certs
end

--- The PKIResponse of an answer, verified; or its certificates alone (a Simple PKI Response).
---@return lest.cmc?
---@return lest.cert[]|lest.error certs or the error
---@return lest.crl[]? crls
local function read(self, response, sent)
  local der = answer.pki_message(response)
  if not der then return nil, answer.error(response) end
  local message, err = core.cmc.parse(der)
  if not message then
    local certs, crls = nil, nil
    if response.status == 200 then certs, crls = core.pkcs7.decode(der) end
    if certs then return nil, certs, crls end
    return nil, select(2, fail("protocol", "the answer cannot be read",
      { status = response.status, cause = err }))
  end
  if message.kind ~= "response" then
    return nil, select(2, fail("protocol", "the answer is a request (PKIData)"))
  end
  local good
  good, err = check_signer(self, message)
  if good then good, err = check_echo(message, sent) end
  if good then good, err = certificates_of(self, message) end
  if not good then return nil, err end
  return message, good, message.crls
end

--- The error that a status is.
local function error_of(status, response)
  return answer.error(response, answer.of_status(status))
end

---@class lest.client.cmc_answer
---@field message? lest.cmc verified; nil where the server answered with certificates alone
---@field certificates lest.cert[] that came along; only what is in [i] was verified
---@field crls lest.crl[] likewise: crl:verify(ca) says whether a CA has signed one
---@field errors table<integer, lest.error> of requests of which nothing came
---@field [integer] lest.cert of request i, verified, with its chain

--- Send a message: its verified answer, and the HTTP response.
---@param self lest.client
---@param what lest.cmc|lest.client.cmc_draft
---@return lest.client.cmc_answer?
---@return lest.http.response|lest.error
local function send(self, what)
  local is_draft = type(what) == "table"
  local response, err = session.perform(self, OPERATION, is_draft and linking.body(what)
    or core.est.body_encode(what:der()))
  if not response then return nil, wait.note_lost(err) end
  local sent = what
  if is_draft then sent = what.message end
  if not sent then -- it was answered before its connection had it
    return session.error(OPERATION, answer.error(response))
  end
  local message, certs, crls = read(self, response, sent)
  if core.error.is(certs) then return session.error(OPERATION, certs) end
  return { message = message, certificates = certs, crls = crls, errors = {} }, response
end

--- Send a finished message.
---@param self lest.client
---@param der string
---@return lest.client.cmc_answer?
---@return lest.error? err `answer` is what the server said, where that was verified
function M.finished(self, der)
  local sent, err = core.cmc.parse(der)
  if not sent then return nil, err end
  local result, response = send(self, sent)
  if not result then return nil, response end
  local worst = result.message and cmc.worst(result.message)
  if cmc.is_failure(worst) or worst and worst.status == "pending" then
    err = select(2, session.error(OPERATION, error_of(worst, response)))
    err.answer = result
    return nil, err
  end
  return result
end

-- ---- making one

-- An identifier of a key (RFC 7093 2): the message says by it which request's key has signed.
local function key_id_of(key)
  local hex = assert(core.secret.sha256(key:public_der()))
  return (hex:sub(1, 40):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local SKI <const> = "2.5.29.14"

local function add_key_id(plan, key_id)
  local extensions = table.move(plan.extensions or {}, 1, #(plan.extensions or {}), 1, {})
  extensions[#extensions + 1] = { oid = SKI, value = "\4" .. string.char(#key_id) .. key_id }
  plan.extensions = extensions
end

-- popLinkWitnessV2, and popLinkWitness, which is of SHA-1
local WITNESS <const>, WITNESS_SHA1 <const> = "1.3.6.1.5.5.7.7.33", "1.3.6.1.5.5.7.7.23"
local RANDOM_BYTES <const> = 64 -- RFC 5272 6.3.1.1: 512 bits

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- The keyed hash over something, under the hash of a secret (5272 6.2.1, 6.3.1).
local function witness(identity, secret, over)
  if identity.sha1 then
    return assert(core.secret.hmac_sha1(assert(core.secret.sha1(secret)), over))
  end
  return assert(core.secret.hmac_sha256(unhex(assert(core.secret.sha256(secret))), over))
end

-- What links a request to the identity proof.
local function add_link(plan, identity)
  local attributes = table.move(plan.attributes or {}, 1, #(plan.attributes or {}), 1, {})
  local value = witness(identity, identity.secret, identity.random)
  attributes[#attributes + 1] = identity.sha1
    and { oid = WITNESS_SHA1, values = { core.envelope.identifier(value) } }
    or { oid = WITNESS, values = { assert(core.cmc.witness(value)) } }
  plan.attributes = attributes
end

-- The controls of an identity proof over these requests.
local function identity_controls(identity, requests)
  local over, err = core.cmc.request_sequence(requests)
  if not over then return nil, err end
  local value = witness(identity, identity.secret .. identity.name, over)
  return { { name = "identification", value = identity.name },
    identity.sha1 and { name = "identityProof", value = value }
      or { name = "identityProofV2", value = { witness = value } },
    { name = "popLinkRandom", value = identity.random } }
end

-- A finished CSR among `requests`, as it is.
local function check_finished(csr, index)
  if csr.form == "crmf" and csr.request_id ~= index then
    return fail("usage", ("request %d is CRMF with the id %d: it must have the id %d"):format(
      index, csr.request_id, index))
  end
  return csr
end

-- The plan of one of `requests`, with what the server wishes and what the message needs in it.
local function plan_of(self, what, index, signer, wishes)
  local plan = {}
  for name, value in pairs(what) do plan[name] = value end
  if plan.form == "crmf" then plan.id = index end
  plan.key = plan.key or self.key
  if signer.cert and not plan.subject and not plan.san then
    plan.subject_der, plan.san_der = signer.cert.subject_der, signer.cert.san_der
  end
  if wishes then
    local err
    plan, err = plan_module.apply(plan, wishes, self.notify, plan.subject_der ~= nil)
    if not plan then return nil, err end
    session.place_secret(self, plan, wishes)
  end
  if index == 1 and signer.key_id then add_key_id(plan, signer.key_id) end
  if signer.identity then add_link(plan, signer.identity) end
  return plan
end

-- One of `requests` to be sent: `csr`, or the `draft` of one.
local function request_of(self, what, index, signer, wishes)
  if type(what) == "userdata" then
    local csr, wrong = check_finished(what, index)
    return csr and { index = index, form = csr.form, csr = csr }, wrong
  end
  local plan, err = plan_of(self, what, index, signer, wishes)
  if not plan then return nil, err end
  local each = { index = index, form = plan.form, key = plan.key }
  local field = self.options.channel_binding ~= false and linking.field(plan, wishes)
  if field then
    each.draft, err = linking.draft(plan, wishes, field)
  else
    each.csr, err = plan_module.build(plan, wishes)
  end
  return (each.draft or each.csr) and each, err
end

-- Who signs: as told, the client by its certificate, or the key of the first request.
local function signer_of(self, options)
  local by_cert = not options.identity and self.cert and self.key
  local sign = options.sign or by_cert and { cert = self.cert, key = self.key }
  if sign then return { cert = sign.cert, key = sign.key } end
  local first = options.requests and options.requests[1]
  if type(first) ~= "table" or not (first.key or self.key) then
    return fail("usage", "say who signs: a certificate and its key, or the first request's key")
  end
  return { key = first.key or self.key, key_id = key_id_of(first.key or self.key) }
end

local function message_of(signer, controls, requests)
  local content, err = core.cmc.content { kind = "request", controls = controls,
    requests = requests }
  if not content then return nil, err end
  local certs = signer.cert and { signer.cert } or {}
  table.move(signer.cert and signer.cert.chain or {}, 1, signer.cert and #signer.cert.chain or 0,
    2, certs)
  return core.cmc.sign { kind = "request", content = content, key = signer.key, cert = signer.cert,
    key_id = not signer.cert and signer.key_id or nil, certificates = certs }
end

-- What every message of a transaction has first (RFC 5272 6.6).
local function begun(transaction)
  return { { name = "transactionId", value = transaction },
    { name = "senderNonce", value = assert(core.secret.random_bytes(NONCE_BYTES)) } }
end

local function number_controls(controls)
  for i, control in ipairs(controls) do control.id = CONTROLS_FROM + i end
end

-- Where a certificate tells who asks again, what waits is asked for by its token.
local function waits(signer, each)
  return each.token and signer.cert
end

-- One message of what is still to be had: requests, as der_of() has each, and what waits.
local function compose(signer, todo, controls, transaction, der_of)
  local all, requests = begun(transaction), {}
  for _, each in ipairs(controls) do all[#all + 1] = each end
  for _, each in ipairs(todo) do
    if waits(signer, each) then
      all[#all + 1] = { name = "queryPending", value = each.token }
      each.body = CONTROLS_FROM + #all
    else
      local der, err = der_of(each)
      if not der then return nil, err end
      requests[#requests + 1] = { id = each.index, [each.form == "crmf" and "crmf" or "csr"] = der }
      each.body = each.index
    end
  end
  if signer.identity then
    local more, err = identity_controls(signer.identity, requests)
    if not more then return nil, err end
    table.move(more, 1, #more, #all + 1, all)
  end
  number_controls(all)
  return message_of(signer, all, requests)
end

---@class lest.client.cmc_draft a message whose CSRs are linked to the connection that carries it
---@field size integer the most bytes of its DER
---@field make fun(binding: string): lest.cmc?, lest.error?
---@field message? lest.cmc the last that was made

-- The message of a round, or its draft where a connection completes CSRs in it.
local function round(signer, todo, controls, transaction)
  local function compose_with(der_of)
    return compose(signer, todo, controls, transaction, der_of)
  end
  local spare, is_draft = linking.spare(signer.key), false
  for _, each in ipairs(todo) do
    if each.draft and not waits(signer, each) then
      spare, is_draft = spare + each.draft.spare, true
    end
  end
  local room, err = compose_with(function(each)
    return each.draft and each.draft.room or each.csr:der()
  end)
  if not room then return nil, err end
  if not is_draft then return assert(core.cmc.parse(room)) end
  local draft, bound_by = { size = #room + spare }, nil
  function draft.make(binding)
    if binding == bound_by then return draft.message end
    local der, problem = compose_with(function(each)
      if not each.draft then return each.csr:der() end
      local csr, wrong = each.draft.make(binding)
      each.csr = csr
      return csr and csr:der(), wrong
    end)
    draft.message, bound_by = der and assert(core.cmc.parse(der)), der and binding
    return draft.message, problem
  end
  return draft
end

-- What became of one request.
local function settle(self, result, each, response)
  local status = result.message and cmc.worst(result.message, each.body)
  if status and (cmc.is_failure(status) or status.status == "pending") then
    each.token = status.token
    return nil, error_of(status, response)
  end
  each.is_unconfirmed = status and status.status == "confirmRequired"
  local cert, changed = issued.take(result.certificates, each.csr, self.trust, function()
    return session.fetch_cacerts(self)
  end)
  -- What failed for a control's sake names that alone.
  local whole = not cert and result.message and cmc.worst(result.message)
  if cmc.is_failure(whole or nil) then return nil, error_of(whole, response) end
  if not cert then return nil, changed end
  for _, sentence in ipairs(changed) do self.notify("warning", sentence) end
  return cert
end

-- RFC 5272 6.14: a certificate is not used before the server knows that it was taken. Where no
-- other certificate signs, it does so itself.
local function confirm(self, signer, each, cert, transaction)
  local who = signer.cert and signer or { cert = cert, key = each.key }
  if not who.key then
    return fail("usage", "the server wants the certificate to be confirmed, which its key or a "
      .. "certificate of the client must sign: make the request here, or say who signs (sign)")
  end
  local controls = begun(transaction)
  table.insert(controls, { name = "confirmCertAcceptance",
    value = { issuer_der = cert.issuer_der, serial = cert.serial } })
  number_controls(controls)
  local der, err = message_of(who, controls, {})
  if not der then return nil, err end
  local result, response = send(self, assert(core.cmc.parse(der)))
  if not result then return nil, response end
  local worst = result.message and cmc.worst(result.message)
  if result.message and not cmc.is_failure(worst) then return true end
  return nil, worst and error_of(worst, response)
    or select(2, fail("protocol", "the server answers a confirmation without a PKI Response"))
end

local function prepare(self, options)
  local ok, signer, wishes, err
  ok, err = session.open(self)
  if not ok then return nil, err end
  signer, err = signer_of(self, options)
  if not signer then return nil, err end
  local identity = options.identity
  signer.identity = identity and { name = identity.name, secret = identity.secret,
    sha1 = identity.sha1,
    random = assert(core.secret.random_bytes(RANDOM_BYTES)) }
  local todo = {}
  for i, what in ipairs(options.requests or {}) do
    if type(what) == "table" and options.csrattrs ~= false and not wishes then
      wishes, err = wishes_of.fetch(self, false)
      if not wishes then return nil, err end
    end
    todo[i], err = request_of(self, what, i, signer, wishes)
    if not todo[i] then return nil, err end
  end
  return signer, todo
end

--- Ask for what `options` name, and for what waits until the time is over.
---@param self lest.client
---@param options table as client:fullcmc has them
---@return lest.client.cmc_answer?
---@return lest.error? err of the first request, where nothing came of any
function M.ask(self, options)
  local signer, todo = prepare(self, options)
  if not signer then return nil, todo end
  local transaction = "\1" .. assert(core.secret.random_bytes(8))
  local whole, controls = nil, options.controls or {}
  local function once()
    local message, wrong = round(signer, todo, controls, transaction)
    if not message then return nil, wrong end
    local result, response = send(self, message)
    if not result then return nil, response end
    local worst = result.message and cmc.worst(result.message)
    if #todo == 0 and cmc.is_failure(worst) then return nil, error_of(worst, response) end
    controls, whole = {}, whole or result
    whole.message, whole.certificates, whole.crls = result.message, result.certificates, result.crls
    local waiting, first = {}, nil
    for _, each in ipairs(todo) do
      local cert, err = settle(self, result, each, response)
      if cert and each.is_unconfirmed then
        local ok, problem = confirm(self, signer, each, cert, transaction)
        if not ok then cert, err = nil, problem end
      end
      whole[each.index], whole.errors[each.index] = cert, err
      if err and err.code == "pending" then
        waiting[#waiting + 1], first = each, first or err
      end
    end
    todo = waiting
    if first then return nil, first end
    return whole
  end
  local result, err = wait.persist(self.notify, wait.deadline(options), once)
  if not whole then return session.error(OPERATION, err) end
  for i = 1, #(options.requests or {}) do
    if whole[i] then return whole end
  end
  local index, first = next(whole.errors)
  if index then
    for i = 1, #options.requests do
      first = whole.errors[i]
      if first then break end
    end
    first.answer = whole
    return session.error(OPERATION, first)
  end
  return result
end

return M
