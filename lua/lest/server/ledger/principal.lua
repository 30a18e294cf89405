--- What the ledger calls who shows a certificate, "own:CN=device001", or a signed token,
--- "jwt(https://idp.example):device001". A user's name has no colon.
local M = {}

--- The subject, or the other names where that is empty, after the anchors that vouch for them.
---@param anchors string
---@param cert lest.cert
---@return string
function M.of_certificate(anchors, cert)
  return anchors .. ":" .. (#cert.subject > 0 and tostring(cert.subject)
    or table.concat(cert.san, ","))
end

--- Who shows a JSON Web Token. A name is its issuer's to give, and no user and no holder of a
--- certificate is called so: the name of anchors has no parenthesis.
---@param issuer string
---@param name string
---@return string
function M.of_token(issuer, name)
  return ("jwt(%s):%s"):format(issuer, name)
end

--- What a policy calls who shows it: its CN, or else its subject, a name, its serial number.
---@param cert lest.cert
---@return string
function M.of_subject(cert)
  return cert.subject.CN or (#cert.subject > 0 and tostring(cert.subject)) or cert.san[1]
    or cert.serial
end

return M
