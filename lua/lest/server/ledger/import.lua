--- Rows for certificates that a CA of the configuration signed before lest kept its ledger, so that
--- they can be listed, renewed and revoked as any other.
---
---   local importer = import.new(ledger, { label = "default", profile = "device", who = "otto" })
---   local state, problem = importer:put(cert, { issuer = id, anchors = "own", from = "old.pem" })
local core = require "lest.core"
local principal = require "lest.server.ledger.principal"

local M = {}

-- Certificates of one transaction, which keeps the server's own waiting.
local BATCH <const> = 200

---@class lest.import
local Importer = {}
Importer.__index = Importer

---@param ledger lest.ledger
---@param options { label: string, profile: string, who: string } who runs it
---@return lest.import
function M.new(ledger, options)
  return setmetatable({ ledger = ledger, options = options, pending = 0 }, Importer)
end

local function must(result, err)
  if not result then error(err, 0) end
  return result
end

local function add(self, cert, known)
  local options, ledger = self.options, self.ledger
  local name = principal.of_certificate(known.anchors, cert)
  local id, key_hash = "import-" .. core.secret.random(8), cert.key_hash
  must(ledger:run("request_add", { id = id, time_us = core.clock.wall_us(), operation = "import",
    label = options.label, principal_kind = "certificate", principal_name = name,
    key_hash = key_hash, verdict = "approve", reason = "imported by " .. options.who,
    detail = known.from, profile = options.profile, serial = cert.serial }))
  must(ledger:run("certificate_add", { issuer = known.issuer, serial = cert.serial,
    der = cert:der(), fingerprint = cert.fingerprint, subject = tostring(cert.subject),
    san = table.concat(cert.san, ","), principal_kind = "certificate", principal_name = name,
    label = options.label, operation = "import", profile = options.profile, key_hash = key_hash,
    request_id = id, not_before = cert.not_before, not_after = cert.not_after,
    issued_at = cert.not_before, facts = "{}" }))
end

--- Put one verified certificate; it is there for good after finish(). A failure of the ledger is
--- raised.
---@param cert lest.cert
---@param known { issuer: string, anchors: string, from: string } the CA as the ledger calls it, the
--- anchors that vouch for it, where it was read
---@return "new"|"known"|nil state
---@return string|nil problem
function Importer:put(cert, known)
  if self.pending == 0 then must(self.ledger:begin()) end
  self.pending = self.pending + 1
  local row = must(self.ledger:rows("certificate_get",
    { serial = cert.serial, issuer = known.issuer }))[1]
  local state, problem = "new", nil
  if not row then
    add(self, cert, known)
  elseif row.der == cert:der() then
    state = "known"
  else
    state, problem = nil, "the ledger has another certificate of this serial number"
  end
  if self.pending >= BATCH then self:finish() end
  return state, problem
end

--- Keep what was put.
function Importer:finish()
  if self.pending == 0 then return end
  self.pending = 0
  must(self.ledger:commit())
end

return M
