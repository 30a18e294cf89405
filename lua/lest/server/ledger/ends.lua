--- What a ledger has that ends, besides the certificates of clients: the CRLs that were made, who
--- signs answers of OCSP, and credentials. It only reads.
---
---   local found = ends.of(ledger, { clock = clock, within = 30 * 86400 })
---   print(found.crls[1].issuer, found.crls[1].made)
local list = require "lest.base.list"
local operator = require "lest.server.ledger.operator"

local M = {}

local PAGE <const> = 500

-- By the key that signs; only what was made has a number.
local function crls_of(ledger)
  local found, after = {}, ""
  while true do
    local rows, err = ledger:rows("crl_next", { after = after, limit = PAGE })
    if not rows then error(err, 0) end
    for _, row in ipairs(rows) do
      if row.number > 0 then table.insert(found, row) end
    end
    if #rows < PAGE then return found end
    after = rows[PAGE].issuer
  end
end

-- Of each key the last one that is good still: among those without a profile, which are the
-- server's own.
local function responders_of(ledger, now)
  local by, found = {}, {}
  local asked = { profile = "", state = "valid", now = now, from = now, to = math.maxinteger,
    after = 0, limit = PAGE }
  while true do
    local rows, err = ledger:rows("certificate_list_ends", asked)
    if not rows then error(err, 0) end
    for _, row in ipairs(rows) do
      if row.operation == "ocsp" then by[row.issuer] = row.not_after end
    end
    if #rows < PAGE then break end
    asked.from, asked.after = rows[PAGE].not_after, rows[PAGE].seq
  end
  for _, issuer in ipairs(list.sorted_keys(by)) do
    table.insert(found, { issuer = issuer, last = by[issuer] })
  end
  return found
end

-- How many end within a time, and when the first of them: of those that were not used yet, and of
-- those that may be used again.
local function credentials_of(ledger, how, now)
  local found = {}
  for rows in operator.pages(ledger, "credential_list", { limit = math.maxinteger }, how) do
    for _, row in ipairs(rows) do
      if row.state == "unused" and row.expires and row.expires <= now + how.within then
        local kind = row.one_time and "one_time" or "reusable"
        local one = found[kind] or { count = 0, first = row.expires }
        one.count, one.first = one.count + 1, math.min(one.first, row.expires)
        found[kind] = one
      end
    end
  end
  return found
end

---@param ledger lest.ledger
---@param how { clock: (fun(): integer), within: integer } seconds since 1970; seconds
---@return table? found crls: { issuer, number, made }[]; ocsp: { issuer, last }[]; credentials:
--- one_time and reusable, each { count, first } or nil
---@return lest.error? err
function M.of(ledger, how)
  local now = how.clock()
  local ok, found = pcall(function()
    return { crls = crls_of(ledger), ocsp = responders_of(ledger, now),
      credentials = credentials_of(ledger, how, now) }
  end)
  if ok then return found end
  return nil, found
end

return M
