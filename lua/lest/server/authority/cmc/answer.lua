--- The Full PKI Response (RFC 5272 4.2) that a message of CMC is answered with, signed by the
--- certificate of `cmc`.
local cmc = require "lest.base.cmc"
local core = require "lest.core"

local M = {}

local NONCE_BYTES <const> = 16 -- RFC 5272 6.6 asks for no more
local RESPONSES_FROM <const> = 1000 -- body parts; controls are numbered from 1

--- What goes back as it came (RFC 5272 6.4, 6.6), and a nonce of ours.
local function echoed(message)
  local list = { { name = "senderNonce", value = assert(core.secret.random_bytes(NONCE_BYTES)) } }
  if not message then return list end
  local back <const> = { transactionId = "transactionId", senderNonce = "recipientNonce",
    dataReturn = "dataReturn" }
  for name, as in pairs(back) do
    local value = cmc.find(message, name)
    if value then list[#list + 1] = { name = as, value = value } end
  end
  return list
end

---@class lest.authority.cmc.answer
---@field statuses lest.cmc.status[]
---@field certificates lest.cert[] in their order, those that were issued first
---@field crls lest.crl[]
---@field responses string[] DER of those to the messages of a batch

--- The message as DER.
---@param authority lest.authority
---@param message lest.cmc? what is answered, where it could be read
---@param said lest.authority.cmc.answer
---@return string
function M.build(authority, message, said)
  local signer = authority.cmc
  local controls = {}
  for _, status in ipairs(said.statuses) do
    controls[#controls + 1] = { name = "statusInfoV2", value = status }
  end
  for _, control in ipairs(echoed(message)) do controls[#controls + 1] = control end
  local contents, ids = {}, {}
  for i, response in ipairs(said.responses) do
    ids[i] = RESPONSES_FROM + i
    contents[i] = { id = ids[i], der = response }
  end
  if ids[1] then controls[#controls + 1] = { name = "batchResponses", value = ids } end
  for id, control in ipairs(controls) do control.id = id end
  local certificates, seen = {}, {}
  local function add(cert)
    if not seen[cert:der()] then certificates[#certificates + 1] = cert end
    seen[cert:der()] = true
  end
  for _, cert in ipairs(said.certificates) do add(cert) end
  add(signer.cert)
  for _, cert in ipairs(signer.cert.chain) do add(cert) end
  return assert(core.cmc.sign { kind = "response", key = signer.key, cert = signer.cert,
    content = assert(core.cmc.content { kind = "response", controls = controls,
      contents = contents }),
    certificates = certificates, crls = said.crls })
end

return M
