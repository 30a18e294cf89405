--- Rows of the ledger for specs: each function gives a statement's parameters, with the fields that
--- the spec cares about replaced.
local M = {}

local function with(row, changes)
  for key, value in pairs(changes or {}) do row[key] = value end
  return row
end

function M.credential(changes)
  return with({ id = "c1", name = "device001", kind = "basic", secret_kind = "random", cost = "",
    salt = "", hash = ("h"):rep(32), one_time = 1, created = 1000, facts = "{}" }, changes)
end

function M.request(changes)
  return with({ id = "r1", time_us = 1000000000, operation = "simpleenroll", label = "",
    verdict = "approve" }, changes)
end

function M.certificate(changes)
  return with({ issuer = "ca", serial = "0a", der = "\x30\0\xff", fingerprint = "f",
    subject = "CN=x", san = "", principal_kind = "basic", principal_name = "device001", label = "",
    operation = "simpleenroll",
    profile = "device", key_hash = "k1", request_id = "r1", not_before = 1000, not_after = 2000,
    issued_at = 1000, facts = "{}" }, changes)
end

function M.identity(changes)
  return with({ principal_kind = "basic", principal_name = "device001", label = "",
    operation = "simpleenroll", key_hash = "k1" }, changes)
end

--- Of certificate_again.
function M.again(changes)
  return with({ device = "device001", principal_name = "device001", label = "",
    operation = "simpleenroll", key_hash = "k1", since = 1000, now = 1100 }, changes)
end

function M.pending(changes)
  return with(M.identity { id = "p1", request_id = "r1", now = 1000, expires = 5000, csr = "csr",
    subject = "CN=x", reason = "wait", retry_after = 60 }, changes)
end

return M
