--- The certificates and CRLs of a configuration, by whose end something stops to work.
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local list = require "lest.base.list"
local meters = require "lest.server.wire.meters"
local snapshot = require "lest.server.config.snapshot"

local M = {}

---@class lest.monitor.period
---@field role "tls"|"ca"|"chain"|"anchor"|"crl"
---@field name string as the configuration has it; "" for `tls` and `ca`, the file of a CRL
---@field subject string whose certificate or CRL it is
---@field serial string of a certificate
---@field first integer seconds since 1970
---@field last? integer a CRL need not have an end

local function of_cert(role, name, cert)
  return { role = role, name = name, subject = tostring(cert.subject), serial = cert.serial,
    first = cert.not_before, last = cert.not_after }
end

--- Read them, as whoever started.
---@param config table
---@return lest.monitor.period[]|nil
---@return lest.error|nil err
function M.read(config)
  local all, seen = {}, {}
  local function add(period)
    local key = table.concat({ period.role, period.name, period.subject, period.serial }, "\0")
    if not seen[key] then table.insert(all, period) end
    seen[key] = true
  end
  if config.tls and not config.tls.auto then
    local tls, err = core.cert.load(config.tls.cert)
    if not tls then return nil, err end
    add(of_cert("tls", "", tls))
  end
  for _, each in ipairs(chain.cas(config)) do
    local certs, err = chain.load(each[1], each[2])
    if not certs then return nil, err end
    local name = each[1]:match "^cas%.(.*)$" or ""
    for i, cert in ipairs(certs) do add(of_cert(i == 1 and "ca" or "chain", name, cert)) end
  end
  local anchors, crls = snapshot.trust(config)
  if not anchors then return nil, crls end
  for _, name in ipairs(list.sorted_keys(anchors)) do
    for _, cert in ipairs(anchors[name]) do add(of_cert("anchor", name, cert)) end
  end
  for i, crl in ipairs(crls) do
    add { role = "crl", name = config.crls[i], subject = tostring(crl.issuer), serial = "",
      first = crl.this_update, last = crl.next_update }
  end
  return all
end

--- The server's certificate where it renews itself, as the authority shows it; nil: it has none.
---@param config table
---@param board table
---@return lest.monitor.period|nil
function M.renewing(config, board)
  local auto = config.tls and config.tls.auto
  local ends = auto and board:value(meters.SECTIONS.authority, "tls_ends_s") or 0
  if ends == 0 then return nil end
  return { role = "tls", name = "", subject = "CN=" .. auto.names[1], serial = "", first = 0,
    last = ends }
end

return M
