--- A decision that the ledger has recorded, put on the desk again: the request as the policy saw
--- it, and what the policy learned from outside of it.
---
---   local row = assert(recorded.get(ledger, id))       -- server/ledger/recorded
---   local facts, source = row_module.read(row)
---   local verdict = policy:decide(facts, { outside = source })
---
--- A row may be anything, since a disk or a hand may have changed it: what cannot be read is a
--- problem of that row, and no error.
local core = require "lest.core"
local journals = require "lest.policy.journal"
local list = require "lest.base.list"
local operations = require "lest.server.wire.operations"
local recorded = require "lest.policy.recorded"
local trace = require "lest.base.trace"

local M = {}

-- As a worker shows it (authority/request).
local DEVICE_MAX <const> = 1024

--- Raise what is wrong with a row: read() returns it.
local function wrong(problem, ...)
  error({ problem = problem:format(...) }, 0)
end

local function decoded(row, column)
  local text = row[column]
  if text == nil then return nil end
  local value = type(text) == "string" and core.json.decode(text)
  if type(value) ~= "table" then wrong("its %s cannot be read", column) end
  return value
end

-- The text of a table's field.
local function text_at(from, key)
  local value = from[key]
  if value ~= nil and type(value) ~= "string" then wrong("its %s cannot be read", key) end
  return value
end

local function certificate_of(proven)
  local base64 = text_at(proven, "certificate")
  if not base64 then return nil end
  local der = core.base64.decode(base64)
  return der and core.cert.parse(der) or wrong "its certificate cannot be read"
end

local function principal_of(row, proven)
  local credential = proven.credential
  if credential ~= nil and type(credential) ~= "table" then
    wrong "its credential cannot be read"
  end
  local claims = proven.claims
  if claims ~= nil and type(claims) ~= "table" then wrong "its claims cannot be read" end
  return { kind = row.principal_kind, name = text_at(proven, "name"), credential = credential,
    claims = claims,
    anchors = text_at(proven, "anchors"), certificate = certificate_of(proven),
    is_own = row.own ~= nil }
end

-- What was proven by kind: a row says it where that was more than who asks.
local function auth_of(principal, proven)
  local auth = proven.auth
  if type(auth) == "table" then return auth end
  return { [principal.kind] = { name = principal.name, anchors = principal.anchors,
    claims = principal.claims } }
end

local function previous_of(row, principal, time)
  if not row.previous then return nil end
  if not row.own then wrong "the ledger has no such certificate as it renews" end
  local late = time - principal.certificate.not_after
  return { certificate = principal.certificate, profile = row.own.profile,
    facts = decoded(row.own, "facts"), expired_for = late > 0 and late or nil }
end

local function approvals_of(row)
  local approvals = decoded(row, "approvals")
  for _, each in pairs(approvals or {}) do
    if type(each) ~= "table" then wrong "its approvals cannot be read" end
  end
  return approvals
end

-- What a message of CMC says beside its requests.
local function cmc_of(proven)
  local base64 = text_at(proven, "reg_info")
  local reg_info = base64 and (core.base64.decode(base64) or wrong "its regInfo cannot be read")
  return { reg_info = reg_info }
end

local function facts_of(row)
  local operation = operations[row.operation]
  if not operation or not operation.hook or operation.by_anybody then
    wrong "its operation is unknown"
  end
  local proven = decoded(row, "principal") or wrong "it has no principal"
  local csr = type(row.csr) == "string" and core.csr.parse(row.csr, { key_later = true })
  if not csr then wrong "its CSR cannot be read" end
  local principal = principal_of(row, proven)
  if not principal.kind or not principal.name then wrong "it has no principal" end
  local device = row.own and row.own.device or row.principal_name
  local time = row.asked_at or row.time_us // 1000000
  return { id = row.id, time = time, operation = row.operation,
    label = row.label, csr = csr, principal = principal, auth = auth_of(principal, proven),
    device = device and #device <= DEVICE_MAX and device or nil,
    tls = decoded(row, "tls") or {}, address = row.address, headers = decoded(row, "headers"),
    cmc = row.operation == "fullcmc" and cmc_of(proven) or nil,
    previous = previous_of(row, principal, time), approvals = approvals_of(row) }
end

--- Whether the row says what its policy stated and asked outside: an older version of lest did not.
---@param row table
---@return boolean
function M.says_all(row)
  return row.asked_at ~= nil
end

local function answers_of(row)
  local calls, problem = trace.read_calls(row.outside)
  if not calls then wrong("what it was told from outside cannot be read (%s)", problem) end
  return recorded.new(calls)
end

---@class lest.desk.source
---@field missing? string what the record has no answer to
local Source = { __name = "lest.desk.source" }

--- The recorded answer to a question.
function Source:__call(kind, question)
  local found, answer, err = self.answers:find(kind, question)
  if found then return answer, err end
  self.missing = self.missing or ("%s %s"):format(kind, question)
  journals.undecidable(kind, question)
end

--- The request of a row as its policy saw it, and the answers that it had from outside. A policy
--- may catch the error of a question without an answer: `missing` names it then as well.
---@param row table of server/ledger/recorded
---@return table|nil facts for lest.desk.policy:decide
---@return lest.desk.source|string source or what is wrong with the row
function M.read(row)
  local ok, facts, answers = pcall(function() return facts_of(row), answers_of(row) end)
  if ok then return facts, setmetatable({ answers = answers }, Source) end
  if type(facts) == "table" and facts.problem then return nil, facts.problem end
  return nil, "it cannot be read: " .. tostring(facts)
end

-- A name in parts, as decision.fields gives it.
local function subject_of(parts)
  local subject = {}
  for i, part in ipairs(parts) do
    subject[i] = { part[1], part[2] }
    for _, flag in ipairs { part[3], part[4] } do subject[i][flag] = true end
  end
  return subject
end

local VERDICTS <const> = list.set { "approve", "reject", "pending", "unavailable", "error" }

local function statement(row)
  local said = decoded(row, "stated") or {}
  said.subject = said.subject and subject_of(said.subject)
  said.verdict, said.reason, said.detail = row.verdict, row.reason, row.detail
  return said
end

-- Whether an operator answered at the console in place of the policy (worker/console/holding).
local function is_of_operator(row)
  return row.rule == "operator" and row.detail
    and row.detail:find "^answered at the console by " ~= nil
end

--- What the policy stated then, as decision.fields has it: its own verdict, whatever became of
--- that. nil for a row about which no policy was asked, whose decision did not end, or which an
--- operator has answered.
---@param row table
---@return table|nil stated
---@return string|nil problem
function M.stated(row)
  if not row.policy_hash or is_of_operator(row) then return nil end
  local ok, stated = pcall(function()
    local steps, problem = trace.read_steps(row.trace)
    if not steps then wrong("its steps cannot be read (%s)", problem) end
    local said = statement(row)
    local first = (row.verdict ~= "error" or row.stated) and steps[1]
    said.verdict = first and VERDICTS[first.outcome] and first.outcome or row.verdict
    return said
  end)
  if ok then return stated end
  return nil, type(stated) == "table" and stated.problem or tostring(stated)
end

--- What a shadow stated, likewise.
---@param said table a row of shadows
---@return table|nil stated
---@return string|nil problem
function M.shadow_stated(said)
  local ok, stated = pcall(statement, said)
  if ok then return stated end
  return nil, type(stated) == "table" and stated.problem or tostring(stated)
end

return M
