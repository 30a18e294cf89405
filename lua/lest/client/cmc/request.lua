--- A message of CMC that a client asks with (PKIData, RFC 5272 3): who signs it, the requests in it
--- and its controls.
local core = require "lest.core"
local fail = require "lest.base.fail"
local linking = require "lest.client.linking"
local plan_module = require "lest.client.plan"
local session = require "lest.client.session"

local M = {}

local NONCE_BYTES <const> = 16 -- RFC 5272 6.6
local CONTROLS_FROM <const> = 1000 -- body parts; requests are numbered from 1

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

--- One of `requests` to be sent: `csr`, or the `draft` of one.
---@param self lest.client
---@param what lest.csr|table
---@param index integer
---@param signer lest.client.cmc_signer
---@param wishes? lest.wishes
---@return table?
---@return lest.error? err
function M.one(self, what, index, signer, wishes)
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

---@class lest.client.cmc_signer
---@field key lest.key
---@field cert? lest.cert
---@field key_id? string of the first request's key, which signs in place of a certificate
---@field identity? { name: string, secret: string, sha1?: boolean, random: string }

--- Who signs: as told, the client by its certificate, or the key of the first request; and by which
--- secret the requests are linked to an identity.
---@param self lest.client
---@param options table as client:fullcmc has them
---@return lest.client.cmc_signer?
---@return lest.error? err
function M.signer(self, options)
  local identity = options.identity and { name = options.identity.name,
    secret = options.identity.secret, sha1 = options.identity.sha1,
    random = assert(core.secret.random_bytes(RANDOM_BYTES)) }
  local by_cert = not identity and self.cert and self.key
  local sign = options.sign or by_cert and { cert = self.cert, key = self.key }
  if sign then return { cert = sign.cert, key = sign.key, identity = identity } end
  local first = options.requests and options.requests[1]
  if type(first) ~= "table" or not (first.key or self.key) then
    return fail("usage", "say who signs: a certificate and its key, or the first request's key")
  end
  local key = first.key or self.key
  return { key = key, key_id = key_id_of(key), identity = identity }
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

--- A message of controls alone.
---@param signer lest.client.cmc_signer
---@param transaction string
---@param control lest.cmc.control
---@return string? der
---@return lest.error? err
function M.control(signer, transaction, control)
  local controls = begun(transaction)
  controls[#controls + 1] = control
  number_controls(controls)
  return message_of(signer, controls, {})
end

--- The name of a transaction (RFC 5272 6.6): an INTEGER that nobody has used.
---@return string
function M.transaction()
  return "\1" .. assert(core.secret.random_bytes(8))
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

--- The message of a round, or its draft where a connection completes CSRs in it.
---@param signer lest.client.cmc_signer
---@param todo table[] of M.one
---@param controls lest.cmc.control[]
---@param transaction string
---@return lest.cmc|lest.client.cmc_draft|nil
---@return lest.error? err
function M.whole(signer, todo, controls, transaction)
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

return M
