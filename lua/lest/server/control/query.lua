--- Questions to the ledger from `lest repl --attach`: a page of a list, read-only and bounded.
---
---   local rows, err = query.ask(config, "cert", { label = "plant", limit = 10 })
local fail = require "lest.base.fail"
local json = require "lest.json"
local operator = require "lest.server.ledger.operator"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

-- Rows of an answer, as many as are asked for and as there is room.
local LIMIT <const>, LIMIT_MAX <const>, BYTES_MAX <const> = 20, 100, 100000

local text = s.optional(s.string { max = 1024 })
local moment = s.optional(s.integer { min = 0, max = 1 << 40 })
local limit = s.optional(s.integer { min = 1, max = LIMIT_MAX }, LIMIT)

local function shape(fields)
  fields.limit = limit
  return s.record(fields)
end

-- What may be asked, and the argument of the list that each key is.
local LISTS <const> = {
  cert = { operation = "cert_list", shape = shape { principal = text, device = text, label = text,
    name = text, serial = text, since = moment,
    state = s.optional(s.one_of { "valid", "expired", "revoked" }) } },
  request = { operation = "request_list", shape = shape { principal = text, device = text,
    label = text, name = text, serial = text, id = text, since = moment,
    verdict = s.optional(s.one_of { "approve", "reject", "pending", "unavailable", "error" }) } },
  refusal = { operation = "refusal_list", shape = shape { principal = text, label = text,
    id = text, since = moment } },
  pending = { operation = "pending_list", shape = shape {
    state = s.optional(s.one_of { "waiting", "approved", "rejected", "issued", "expired" }) } },
  credential = { operation = "credential_list", shape = shape { name = text } },
}

-- As the lists call it; of credentials a name is the whole of it.
local ARGUMENTS <const> = { principal = "principal_name", name = "part" }

local function arguments_of(list, query)
  local arguments = {}
  for key, value in pairs(query) do
    local is_renamed = ARGUMENTS[key] and list.operation ~= "credential_list"
    arguments[is_renamed and ARGUMENTS[key] or key] = value
  end
  return arguments
end

-- What fits an answer, without bytes that are no text.
local function fitting(rows)
  local kept, bytes = {}, 0
  for i, row in ipairs(rows) do
    row.csr, row.der = nil, nil
    local ok, line = pcall(json.line, row)
    if not ok then kept[i], line = { problem = "a row that is no text" }, "" else kept[i] = row end
    bytes = bytes + #line
    if bytes > BYTES_MAX then
      kept[i] = nil
      break
    end
  end
  return kept
end

--- Ask for the newest rows of a list.
---@param config table
---@param what any "cert", "request", "refusal", "pending" or "credential"
---@param query any a table of what narrows the list
---@return table[]? rows
---@return lest.error? err
function M.ask(config, what, query)
  local list = LISTS[what]
  if not list then
    return fail("usage", ("the ledger has no '%s'%s"):format(tostring(what),
      schema.hint(what, LISTS)))
  end
  local accepted, problems = s.check(list.shape, query)
  if not accepted then
    local first = problems[1]
    return fail("usage", ("ledger \"%s\": %s: %s"):format(what, first.path, first.problem))
  end
  local rows, err = operator.ask(config, list.operation, arguments_of(list, accepted))
  if not rows then return nil, err end
  return fitting(rows)
end

return M
