--- One request in the authority, from the worker's question to the verdict that ends it: all that
--- is known of it, in one place.
local core = require "lest.core"
local kinds = require "lest.server.wire.kinds"
local list = require "lest.base.list"
local operations = require "lest.server.wire.operations"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- id-kp-cmcRA (RFC 6402 2.10); anyExtendedKeyUsage does not stand for it.
local RA_PURPOSE <const> = "cmcRA"

-- Of a principal's name, in a worker's log.
local SHOWN_MAX <const> = 1024

---@class lest.authority.request
---@field id string the ledger's and the client's X-Request-Id
---@field begin table the worker's message; it says what a client claims
---@field channel lest.authority.channel
---@field label table of the configuration
---@field operation table a row of server/wire/operations
---@field csr lest.csr
---@field key_hash string csr.key_hash
---@field made? lest.key that was made for the client, until its answer
---@field passphrase? { cost: string, salt: string, hash: string } what will revoke its certificate
---@field recipient? lest.authority.recipient whom that is encrypted for, where the CSR asks for it
---@field sealed? string that key in an envelope
---@field key_is_known? boolean whether there is a certificate with that key; nil until it is asked
---@field started integer seconds of the monotonic clock
---@field proven table<string, table> what was proven, by kind, as request.auth has it, but that
--- claims are a text
---@field principal? table who asks: kind, name, anchors, certificate, credential, claims
---@field ledger_name? string the principal's name in the ledger
---@field device? string whom it is about: the principal that proved itself first, and whose
--- certificates were renewed since
---@field credentials table[] the live ones of the secrets, to be consumed: the principal's first
---@field secret? string of the proof "challenge", in the CSR
---@field wrong_link? string the attribute of the CSR that links it to another connection
---@field purpose? table what a secret is shown for, and a one-time one bound to: key_hash, label,
--- operation, kind, is_for_nothing
---@field own? table the ledger's row of the client certificate, where it was issued here
---@field expired_for? integer seconds since that certificate's end, where it has expired
---@field is_unknown? boolean the client certificate is of a CA of ours, but not in the ledger
---@field previous? lest.cert the certificate being renewed
---@field renews? string its serial
---@field approvals table[] of operators
---@field pending? table the ledger's row, where the request waits
---@field pending_id? string of that row, also of one that was made just now
---@field is_proven? boolean the label's proofs are all there
---@field is_known? boolean the principal is proven and within its limits: an end is recorded
---@field handle? string what the worker brings the verdict with
---@field verdict? string as the ledger has it
---@field is_renewal boolean the certificate that the client shows is the one being renewed
---@field identity? lest.authority.cmc.identity an identity proof (RFC 5272 6.2)
---@field link_keys? table<string, string> of the witnesses that link requests to it, by algorithm,
--- until they were looked at
---@field asked_as? string the id that the worker knows it by, where that is not its own
---@field cmc? lest.authority.cmc the message of which it is a part
---@field refused? any what the last step of it raised
---@field questions integer how many its policy has asked
---@field history table<string, table> what was counted for it, by principal, device, subject, key
local Request = {}
Request.__index = Request

--- A request as a worker puts it; nothing of it is believed yet.
---@param channel lest.authority.channel
---@param begin table
---@param label table
---@param now integer seconds of the monotonic clock
---@return lest.authority.request
function M.new(channel, begin, label, now)
  return setmetatable({
    id = begin.id, begin = begin, channel = channel, label = label,
    operation = operations[begin.operation], started = now, proven = {}, approvals = {},
    credentials = {}, questions = 0, history = {},
    is_renewal = operations[begin.operation].renews or false,
    -- Room for what it gets: Lua makes a table anew each time that it grows.
    csr = nil, key_hash = nil, purpose = nil, principal = nil, ledger_name = nil,
    device = nil, handle = nil, verdict = nil,
  }, Request)
end

--- Read the CSR (RFC 2986); its signature is checked once it is known who asks.
function Request:read_csr()
  local csr, err = core.csr.parse(self.begin.csr, { key_later = self.operation.makes_key })
  if not csr then refusal.raise_for(400, err) end
  if csr.form ~= "pkcs10" and not self.cmc then
    refusal.raise(400, "the request is CRMF, which only a message of CMC may have (fullcmc)")
  end
  self.csr, self.key_hash = csr, csr.key_hash
end

--- The hash of the key that a certificate is wanted for; nil: it is to be made.
---@return string|nil
function Request:key_hash_to_certify()
  return not self.operation.makes_key and self.key_hash or nil
end

-- Secrets are of one name, so that what one device has is good for nothing beside what another has.
local function check_name(proven, kind, name)
  if not kinds.by_name[kind].by_secret then return end
  for other, facts in pairs(proven) do
    if kinds.by_name[other].by_secret and facts.name ~= name then
      refusal.raise(401, "the credentials are of two names",
        { detail = ("'%s' by %s, '%s' by %s"):format(facts.name, other, name, kind) })
    end
  end
end

--- Take what one kind of proof has shown. The first kind names the principal.
---@param kind string
---@param facts table as request.auth has them
---@param principal table
---@param ledger_name string
function Request:prove(kind, facts, principal, ledger_name)
  check_name(self.proven, kind, facts.name)
  self.proven[kind] = facts
  if self.principal then return end
  self.principal, self.ledger_name = principal, ledger_name
  self.device = principal.certificate and self.own and self.own.device or ledger_name
end

--- How long ago a certificate of ours may have ended that is shown: it renews itself, and is good
--- for nothing else.
---@return integer seconds
function Request:grace()
  local renews = self.operation.renews or self.cmc and self.cmc.may_be_late
  return renews and self.label.expired_grace or 0
end

--- Whether an RA of ours asks, which may do so for others (RFC 7030 3.7); not any more once its
--- certificate has expired.
---@return boolean
function Request:is_of_ra()
  local cert = self.principal.certificate
  return cert ~= nil and not self.expired_for and self.own ~= nil and list.has(cert.eku, RA_PURPOSE)
end

--- The device as the ledger's rows have it: nil where the principal is its own.
---@return string|nil
function Request:other_device()
  return self.device ~= self.ledger_name and self.device or nil
end

--- Whether these kinds of proof are enough for the label.
---@param proven table<string, any>
---@return boolean
function Request:is_satisfied_by(proven)
  return kinds.are_enough(self.label.auth, proven)
end

--- Who asks, for a worker's log: as the ledger has it, but no longer than a line should be.
---@return string|nil
function Request:who()
  return self.ledger_name and self.ledger_name:sub(1, SHOWN_MAX)
end

--- Whom it is about, for a worker's log and its policy: one whose name is too long is not named,
--- since another one's may begin as that does.
---@return string|nil
function Request:about()
  return self.device and #self.device <= SHOWN_MAX and self.device or nil
end

return M
