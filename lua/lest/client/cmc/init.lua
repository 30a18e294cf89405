--- Full PKI Requests (RFC 7030 4.3, RFC 5272): made, sent, and their answers verified.
local answer = require "lest.client.answer"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local issued = require "lest.client.issued"
local linking = require "lest.client.linking"
local requests_of = require "lest.client.cmc.request"
local responses = require "lest.client.cmc.response"
local session = require "lest.client.session"
local wait = require "lest.client.wait"
local wishes_of = require "lest.client.wishes"

local M = {}

local OPERATION <const> = "fullcmc"

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
  local certs
  certs, err = responses.verify({ trust = self.trust, fetch_cacerts = function()
    return session.fetch_cacerts(self)
  end }, message, sent)
  if not certs then return nil, err end
  return message, certs, message.crls
end

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
  local der, err = requests_of.control(who, transaction, { name = "confirmCertAcceptance",
    value = { issuer_der = cert.issuer_der, serial = cert.serial } })
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
  signer, err = requests_of.signer(self, options)
  if not signer then return nil, err end
  local todo = {}
  for i, what in ipairs(options.requests or {}) do
    if type(what) == "table" and options.csrattrs ~= false and not wishes then
      wishes, err = wishes_of.fetch(self, false)
      if not wishes then return nil, err end
    end
    todo[i], err = requests_of.one(self, what, i, signer, wishes)
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
  local transaction = requests_of.transaction()
  local whole, controls = nil, options.controls or {}
  local function once()
    local message, wrong = requests_of.whole(signer, todo, controls, transaction)
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
