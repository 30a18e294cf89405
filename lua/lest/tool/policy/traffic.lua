--- Recorded requests as plans, from which a search for counterexamples goes on.
local core = require "lest.core"
local fail = require "lest.base.fail"
local parts = require "lest.tool.policy.parts"
local recorded = require "lest.server.ledger.recorded"
local row_module = require "lest.desk.row"

local M = {}

local PLANS_MAX <const> = 100

local function principal_of(facts)
  local principal, previous = facts.principal, facts.previous or {}
  if not principal.certificate then
    return { principal.kind, { name = principal.name, credential = principal.credential } }
  end
  return { "cert", { pem = principal.certificate:pem(), anchors = principal.anchors,
    is_own = principal.is_own, name = principal.name, facts = previous.facts,
    profile = previous.profile } }
end

local function plan_of(facts)
  local approvals = {}
  for i, each in ipairs(facts.approvals or {}) do
    approvals[i] = { operator = each.operator, note = each.note, time = each.time }
  end
  return { principal = principal_of(facts), operation = facts.operation, address = facts.address,
    time = facts.time, csr = { pem = facts.csr:pem() },
    approvals = approvals[1] and approvals or nil, world = 8 }
end

--- Some of the newest requests of a ledger; rows that cannot be read are left out.
---@param config string the configuration's file
---@param label? string those of one label alone
---@return lest.testing.plan[]|nil
---@return lest.error|nil err
function M.plans(config, label)
  local pipe <close> = parts.open({ config = core.file.absolute(config), label = label,
    most = PLANS_MAX }, "newest")
  local plans = {}
  while true do
    local said, err = parts.next(pipe)
    if not said then return nil, err end
    if said.done then break end
    local facts = row_module.read(recorded.row(said))
    if facts then plans[#plans + 1] = plan_of(facts) end
  end
  if #plans == 0 then return fail("not_found", "the ledger has no such requests") end
  return plans
end

return M
