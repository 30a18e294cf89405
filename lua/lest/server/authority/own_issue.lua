--- Certificates that the authority issues for the server itself, which no client has asked for:
--- each is a row of the ledger as any other, under a request of its own.
---
---   local cert = own_issue.issue(authority, issuer, plan, "tls", "est.example.com")
local core = require "lest.core"
local record = require "lest.server.authority.record"

local M = {}

--- What the ledger calls the server as a principal.
M.PRINCIPAL = "server"

--- Sign and record one, in a unit of the authority's turn; what goes wrong is raised.
---@param authority lest.authority
---@param issuer table of authority.issuers
---@param plan lest.issue_plan
---@param operation string what it is for, as the ledger has it
---@param name string whose it is
---@return lest.cert
function M.issue(authority, issuer, plan, operation, name)
  local der, err = issuer.issuer:issue(plan)
  if not der then error(err, 0) end
  local cert = assert(core.cert.parse(der))
  local id = ("%s-%s"):format(operation, core.secret.random(8))
  local key_hash = cert.key_hash
  record.run(authority.ledger, "request_add", { id = id, time_us = core.clock.wall_us(),
    operation = operation, label = "", principal_kind = M.PRINCIPAL, principal_name = name,
    key_hash = key_hash, verdict = "approve", reason = "for the server itself",
    serial = cert.serial })
  record.run(authority.ledger, "certificate_add", { issuer = issuer.id, serial = cert.serial,
    der = der, fingerprint = cert.fingerprint, subject = tostring(cert.subject),
    san = table.concat(cert.san, ","), principal_kind = M.PRINCIPAL, principal_name = name,
    label = "", operation = operation, profile = "", key_hash = key_hash, request_id = id,
    not_before = cert.not_before, not_after = cert.not_after, issued_at = authority.clock(),
    facts = "{}" })
  return cert
end

return M
