--- What links the requests of a message to its identity proof (RFC 5272 6.3, RFC 6402 2.3): else
--- the proof of one could be sent with the keys of another.
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local messages = require "lest.server.authority.cmc.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- Attributes of a CSR: popLinkWitness, an OCTET STRING, and popLinkWitnessV2.
local WITNESS <const>, WITNESS_V2 <const> = "1.3.6.1.5.5.7.7.23", "1.3.6.1.5.5.7.7.33"

local function fail(ids, reason)
  refusal.raise(400, reason, { failure = "popFailed", bodies = ids })
end

local function read(attribute)
  if #attribute.values ~= 1 then return nil end
  if attribute.oid == WITNESS_V2 then return (core.cmc.read_witness(attribute.values[1])) end
  local witness = core.envelope.read_identifier(attribute.values[1])
  return witness and { witness = witness }
end

-- The witness of a request and its algorithm; nil where it has none, or more than one.
local function witness_of(checked, id)
  local found
  for _, attribute in ipairs(checked.csrs[id].attributes) do
    if attribute.oid == WITNESS or attribute.oid == WITNESS_V2 then
      if found then return nil end
      found = read(attribute)
      if not found then return nil end
    end
  end
  if not found then return nil end
  return found.witness, messages.algorithm_of(checked.label, found, { id })
end

local MACS <const> = { sha256 = core.secret.hmac_sha256, sha1 = core.secret.hmac_sha1 }

--- Check it, or raise a refusal of all requests (6.3.1.1). Where there is no random value to make
--- witnesses of, the one request's own key must have signed the message.
---@param checked lest.authority.cmc.message
---@param link_keys table<string, string>? of the secret that was proven; nil: none was
function M.check(checked, link_keys)
  local random = cmc.find(checked.message, "popLinkRandom")
  if not link_keys then
    if random then fail(checked.ids, "popLinkRandom is there without an identity proof") end
    return
  end
  if not random then
    if not checked.certs and #checked.ids == 1 then return end
    fail(checked.ids, "the requests are not linked to the identity proof")
  end
  for _, id in ipairs(checked.ids) do
    local witness, algorithm = witness_of(checked, id)
    local key = algorithm and link_keys[algorithm]
    if not key or not core.secret.equal(witness, assert(MACS[algorithm](key, random))) then
      fail(checked.ids, ("request %d is not linked to the identity proof"):format(id))
    end
  end
end

return M
