--- Keys, CAs and certificates for the requests of specs: real ones, made once a run each.
local core = require "lest.core"

local M = {}

-- Keys and CAs, by their names, and what is made with them: a search makes any number of those.
local kept <const> = {}
local MADE_MAX <const> = 1000
local made, count = {}, 0

local function keep_made(name, value)
  if count == MADE_MAX then made, count = {}, 0 end
  made[name], count = value, count + 1
  return value
end

--- A key of a kind; `use` tells those apart that must not be the same.
---@param kind string|lest.key "ec:P-256"
---@param use string
---@return lest.key|nil
---@return lest.error|nil err
function M.key(kind, use)
  if type(kind) ~= "string" then return kind end
  local name, err = "key " .. use .. " " .. kind, nil
  if not kept[name] then kept[name], err = core.key.generate(kind) end
  return kept[name], err
end

-- From 1970 on, so that any time of a spec is within.
local LAST <const> = 253402300799 -- 9999-12-31 23:59:59

--- The issuer of what some anchors vouch for.
local function issuer_of(anchors)
  local name = "issuer " .. anchors
  if not made[name] then
    local key = assert(M.key("ec:P-256", "ca"))
    local cert = assert(core.issuer.root { key = key, subject = { { "CN", anchors .. " CA" } },
      not_before = 0, not_after = LAST })
    keep_made(name, assert(core.issuer.new { cert = cert, key = key }))
  end
  return made[name]
end

--- A certificate; the same plan gives the same one.
---@param anchors string who vouches for it
---@param plan { subject: lest.name_like, san?: string[], eku: string[], key: lest.key, not_before:
--- integer, not_after: integer }
---@return lest.cert|nil
---@return lest.error|nil err
function M.certificate(anchors, plan)
  local subject_der, err = core.name.encode(plan.subject)
  if not subject_der then return nil, err end
  local name = ("cert %s %s %s %s %s %d %d"):format(anchors, subject_der,
    table.concat(plan.san or {}, "\n"), table.concat(plan.eku, "\n"), plan.key:public_der(),
    plan.not_before, plan.not_after)
  if not made[name] then
    local der
    der, err = issuer_of(anchors):issue { public_key = plan.key:public_der(),
      subject_der = subject_der, san = plan.san and #plan.san > 0 and plan.san or nil,
      eku = plan.eku, not_before = plan.not_before, not_after = plan.not_after }
    if not der then return nil, err end
    return keep_made(name, assert(core.cert.parse(der)))
  end
  return made[name]
end

--- A request for a certificate, signed with its key; the same plan gives the same one.
---@param plan lest.csr_plan
---@param name string of the plan
---@return lest.csr|nil
---@return lest.error|nil err
function M.csr(plan, name)
  name = "csr " .. name
  if not made[name] then
    local built, err = core.csr.build(plan)
    if not built then return nil, err end
    local csr
    csr, err = core.csr.parse(built:der())
    if not csr then return nil, err end
    return keep_made(name, csr)
  end
  return made[name]
end

return M
