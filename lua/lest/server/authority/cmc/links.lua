--- What links the requests of a message to its identity proof (RFC 5272 6.3, RFC 6402 2.3): else
--- the proof of one could be sent with the keys of another.
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local messages = require "lest.server.authority.cmc.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

local WITNESS <const> = "1.3.6.1.5.5.7.7.33" -- popLinkWitnessV2, an attribute of the CSR

local function fail(ids, reason)
  refusal.raise(400, reason, { failure = "popFailed", bodies = ids })
end

local function witness_of(csr, id)
  local found
  for _, attribute in ipairs(csr.attributes) do
    if attribute.oid == WITNESS then
      if found or #attribute.values ~= 1 then return nil end
      found = core.cmc.read_witness(attribute.values[1])
    end
  end
  if found then messages.check_algorithms(found, { id }) end
  return found and found.witness
end

--- Check it, or raise a refusal of all requests (6.3.1.1). Where there is no random value to make
--- witnesses of, the one request's own key must have signed the message.
---@param checked lest.authority.cmc.message
---@param link_key string? of the secret that was proven; nil: none was
function M.check(checked, link_key)
  local random = cmc.find(checked.message, "popLinkRandom")
  if not link_key then
    if random then fail(checked.ids, "popLinkRandom is there without an identity proof") end
    return
  end
  if not random then
    if not checked.certs and #checked.ids == 1 then return end
    fail(checked.ids, "the requests are not linked to the identity proof")
  end
  local expected = assert(core.secret.hmac_sha256(link_key, random))
  for _, id in ipairs(checked.ids) do
    local witness = witness_of(checked.csrs[id], id)
    if not witness or not core.secret.equal(witness, expected) then
      fail(checked.ids, ("request %d is not linked to the identity proof"):format(id))
    end
  end
end

return M
