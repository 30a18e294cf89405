--- What the ledger calls who shows a certificate: "own:CN=device001". A user's name has no colon.
local M = {}

--- The subject, or the other names where that is empty, after the anchors that vouch for them.
---@param anchors string
---@param cert lest.cert
---@return string
function M.of_certificate(anchors, cert)
  return anchors .. ":" .. (#cert.subject > 0 and tostring(cert.subject)
    or table.concat(cert.san, ","))
end

--- What a policy calls who shows it: its CN, or else its subject, a name, its serial number.
---@param cert lest.cert
---@return string
function M.of_subject(cert)
  return cert.subject.CN or (#cert.subject > 0 and tostring(cert.subject)) or cert.san[1]
    or cert.serial
end

return M
