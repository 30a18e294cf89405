--- What a server's ledger says that ends: the CRLs that were published, who signs answers of OCSP,
--- credentials, and certificates of keys that are in the configuration no more.
---
---   kept.add(items, config, { issuers = rows, ends = found })
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local list = require "lest.base.list"
local public = require "lest.server.config.public"

local M = {}

local function id_of(cert)
  return core.secret.sha256(cert.public_key.der)
end

local function row_of(rows, issuer)
  for _, row in ipairs(rows or {}) do
    if row.issuer == issuer then return row end
  end
end

-- Of the generations that are not the first, only those whose key is here have a CRL.
local function add_crl(items, config, key, cert, crls, is_first)
  if not config.crl or cert.key_usage and not list.has(cert.key_usage, "cRLSign") then return end
  local made = row_of(crls, id_of(cert))
  if not made and not is_first then return end
  local item = { key = key .. ".crl",
    what = "the CRL that is published at " .. public.path_of_key("crl", id_of(cert)),
    subject = tostring(cert.subject),
    breaks = "who looks at CRLs refuses every certificate of this CA",
    fix = "a server that runs makes the next one: start it, or see `CRL not made` in its log" }
  if made then
    item.begins, item.ends = made.made, made.made + config.crl.lifetime
    item.renews = config.crl.lifetime - config.crl.refresh
  else
    item.problem = "is made at the first start"
  end
  table.insert(items, item)
end

local function add_ocsp(items, key, cert, responders)
  local row = row_of(responders, id_of(cert))
  if not row then return end
  table.insert(items, { key = key .. ".ocsp", what = "who signs answers of OCSP",
    subject = tostring(cert.subject), ends = row.last, is_as_it_should = true,
    breaks = "the next one signs",
    fix = "nothing: the server certifies the next one when somebody asks" })
end

local function add_credentials(items, credentials)
  local reusable, one_time = credentials.reusable, credentials.one_time
  if reusable then
    table.insert(items, { key = "credentials", ends = reusable.first,
      what = ("the first of %d credentials that may be used again"):format(reusable.count),
      breaks = "who has no certificate from here yet, or shows none, is refused",
      fix = "`lest credential list` says which; `lest credential add NAME --reusable` makes "
        .. "others" })
  end
  if one_time then
    table.insert(items, { key = "credentials.one_time", ends = one_time.first,
      what = ("the first of %d one-time secrets that nobody has used"):format(one_time.count),
      is_as_it_should = true,
      breaks = "a device that has not come by then cannot enroll with it",
      fix = "`lest credential add NAME` makes another, should it still come" })
  end
end

-- Of keys that are in the configuration no more.
local function add_orphans(items, known, issuers)
  for _, row in ipairs(issuers) do
    if not known[row.issuer] then
      table.insert(items, { key = "ledger", what = "certificates of a key that is gone",
        ends = row.last,
        problem = (row.count == 1 and "%d certificate is good still whose CA is not in the "
          or "%d certificates are good still whose CA is not in the "):format(row.count)
          .. "configuration", breaks = "their devices cannot renew them, and must enroll anew",
        fix = "put that CA's certificate back after the first of `ca.cert`, or wait" })
    end
  end
end

--- Add what it says to the items of lest.tool.check.expiry.
---@param items lest.check.item[]
---@param config table of lest.server.config.load
---@param said { issuers: table[]?, ends: table? } of lest.tool.ca.in_use
function M.add(items, config, said)
  local known, ends = {}, said.ends
  for _, each in ipairs(chain.cas(config)) do
    local key, ca = table.unpack(each)
    for i, cert in ipairs(chain.generations(chain.load(key, ca) or {})) do
      known[id_of(cert)] = true
      if ends and not ca.backend then
        add_crl(items, config, key, cert, ends.crls, i == 1)
        add_ocsp(items, key, cert, ends.ocsp)
      end
    end
  end
  if ends then add_credentials(items, ends.credentials) end
  add_orphans(items, known, said.issuers or {})
end

return M
