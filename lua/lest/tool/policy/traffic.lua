--- Recorded requests as plans, from which a search for counterexamples goes on.
local ledger_file = require "lest.server.ledger.file"
local recorded = require "lest.server.ledger.recorded"
local row_module = require "lest.desk.row"

local M = {}

local PLANS_MAX <const> = 100

local function principal_of(facts)
  local principal, previous = facts.principal, facts.previous or {}
  if not principal.certificate then
    return { "basic", { name = principal.name, credential = principal.credential } }
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

--- Some of the newest requests of a ledger; rows that cannot be read are left out. As root, this
--- process becomes the ledger's owner.
---@param config table
---@param label? string those of one label alone
---@return lest.testing.plan[]|nil
---@return lest.error|nil err
function M.plans(config, label)
  local ledger <close>, err = ledger_file.open_to_read(config)
  if not ledger then return nil, err end
  local floor, before = recorded.span(ledger)
  if not floor then return nil, before end
  local plans = {}
  for rows in recorded.pages(ledger, { floor = floor, before = before, label = label }) do
    for _, row in ipairs(rows) do
      local facts = row_module.read(row)
      if facts then plans[#plans + 1] = plan_of(facts) end
      if #plans == PLANS_MAX then return plans end
    end
  end
  return plans
end

return M
