--- Fills a ledger with revoked certificates, copies of one row with numbers of their own, behind
--- the back of its server, which makes a CRL of them then.
---
---   require("support.revoked").add(server, 2000)
local M = {}

-- What differs from the row that is copied.
local EXPRESSIONS <const> = { serial = "'6' || substr(lower(hex(randomblob(16))), 2)",
  fingerprint = "lower(hex(randomblob(32)))", revoked_at = "issued_at",
  revocation_reason = "'superseded'" }

--- Copy the newest certificate of a device, and have the CRL of its issuer made anew.
---@param server support.server that runs or not, with one enrollment at least
---@param count integer
function M.add(server, count)
  local names, values = {}, {}
  for name in server:sql "SELECT name FROM pragma_table_info('certificates') WHERE pk = 0"
    :gmatch "%S+" do
    table.insert(names, name)
    table.insert(values, EXPRESSIONS[name] or name)
  end
  server:change(([[BEGIN IMMEDIATE;
    INSERT INTO certificates (%s) SELECT %s FROM (SELECT * FROM certificates
      WHERE principal_kind <> 'server' ORDER BY seq DESC LIMIT 1),
      (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
        SELECT i FROM n);
    INSERT INTO revocations (certificate) SELECT seq FROM certificates
      WHERE revoked_at IS NOT NULL AND seq NOT IN (SELECT certificate FROM revocations);
    COMMIT;]]):format(table.concat(names, ", "), table.concat(values, ", "), count))
end

return M
