--- A request that is carried to the server by other hands, and its answer: a message of CMC (RFC
--- 7030 4.3, RFC 5272) holds by itself. A certificate, or a secret that is not sent, signs the
--- request; the server's certificate for CMC signs the answer. Who carries them is trusted with
--- nothing. Linked to a connection (RFC 7030 3.5) such a request cannot be.
---
---   local message = assert(carried.make(client, { key = key, subject = "CN=dev9" }))
---   local cert, changed = carried.take(trust, message, answer)
local answers = require "lest.client.answer"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local issued = require "lest.client.issued"
local requests = require "lest.client.cmc.request"
local responses = require "lest.client.cmc.response"
local session = require "lest.client.session"

local M = {}

local REQUEST <const> = 1 -- the body part

---@class lest.client.carried what is asked for
---@field key lest.key
---@field subject? lest.name_like absent, with `san`: the names of the certificate that signs
---@field san? string[]
---@field key_usage? string[]
---@field eku? string[]
---@field identity? { name: string, secret: string } who asks, where the new key signs

--- Make a message for one certificate, signed by the client's certificate; or with `identity` by
--- the new key. Nothing is sent.
---@param client lest.client
---@param what lest.client.carried
---@return lest.cmc? message
---@return lest.error? err
function M.make(client, what)
  local ok, err = session.load_identity(client)
  if not ok then return nil, err end
  local plan = {}
  for name, value in pairs(what) do plan[name] = value end
  plan.identity = nil
  -- A connection is what there is none of.
  local maker = { key = client.key, cert = client.cert, notify = client.notify,
    options = { channel_binding = false } }
  local signer, one
  signer, err = requests.signer(maker, { requests = { plan }, identity = what.identity })
  if not signer then return nil, err end
  if not signer.cert and not what.identity then
    return fail("usage", "nothing but a connection would tell who asks: a request that is carried "
      .. "is signed by a certificate, or proven by a secret of both sides")
  end
  one, err = requests.one(maker, plan, REQUEST, signer)
  if not one then return nil, err end
  return requests.whole(signer, { one }, {}, requests.transaction())
end

--- Which request a message is, or of which it is the answer (RFC 5272 6.6); nil: it does not say.
---@param message lest.cmc
---@return string?
function M.transaction(message)
  return (cmc.find(message, "transactionId"))
end

local function nothing_learnt()
  return fail("trust", "the CA certificates that came with the answer do not help")
end

local function error_of(status)
  local fields = answers.of_status(status)
  local code, message = fields.code, fields.message
  fields.code, fields.message = nil, nil
  fields.reason = answers.clean(fields.reason)
  if status.status == "pending" and status.time then
    fields.retry_after = math.max(1, status.time - core.clock.wall_us() // 1000000)
  end
  return fail(code, message, fields)
end

--- Take the certificate out of an answer: verified, as the answer is.
---@param trust lest.client.trust which has learnt already
---@param sent lest.cmc the request
---@param message lest.cmc the answer
---@return lest.cert? cert with its chain
---@return string[]|lest.error changed what the server changed of the names; or the error
function M.take(trust, sent, message)
  local certs, err = responses.verify({ trust = trust, fetch_cacerts = nothing_learnt }, message,
    sent)
  if not certs then return nil, err end
  local status = cmc.worst(message, REQUEST) or cmc.worst(message)
  if status and (cmc.is_failure(status) or status.status == "pending") then
    return error_of(status)
  elseif status and status.status == "confirmRequired" then
    return fail("refused", "the server wants the certificate to be confirmed, and revokes it else: "
      .. "its label's `confirm` is not for requests that are carried")
  end
  local csr
  csr, err = core.csr.parse(sent.requests[1].der)
  if not csr then return nil, err end
  return issued.take(certs, csr, trust, nothing_learnt)
end

return M
