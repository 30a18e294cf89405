--- The verdicts of a policy: what a hook returns.
local core = require "lest.core"
local options_of = require "lest.verdict"
local schema = require "lest.base.schema"

---@class lest.module.policy
local M = {}

--- What a hook returns; made by approve, consent, reject, pending or
--- unavailable.
---@class lest.verdict
---@field verdict "approve"|"reject"|"pending"|"unavailable"
---@field reason? string
---@field detail? string
---@field rule? string the name of the rule that decided, where the kit knows it
local Verdict = { __name = "lest.verdict" }

-- The policy's line, as error() counts from a function that is called through keep_caller.
local CALLER <const> = 3

--- The options of a call by their shape; a mistake is raised as one of the policy's line.
local function check(kind, options, argument, level)
  if type(argument) == "table" and rawget(argument, "is_verdict") == M.is_verdict then
    error(("write policy.%s with a dot, not a colon"):format(kind), level + 1)
  end
  local result, problem = options_of.check(kind, options, argument)
  if not result then error(problem, level + 1) end
  return result
end

local function verdict(kind, argument)
  local options = {}
  if type(argument) == "string" then
    options.reason = argument
  elseif type(argument) == "table" then
    for key, value in pairs(argument) do options[key == 1 and "reason" or key] = value end
  elseif argument ~= nil then
    error(("policy.%s takes a string or a table, not %s"):format(kind, schema.kind(argument)),
      CALLER + 1)
  end
  local result = check(kind, options, argument, CALLER + 1)
  result.verdict = kind
  return setmetatable(result, Verdict)
end

--- Whether an approval says what is to be issued.
---@param made lest.verdict
---@return boolean
local function has_names(made)
  return (made.renewal or made.subject or made.san) and true or false
end
M.has_names = has_names -- for the kit alone, as copy

---@class lest.policy.approval
---@field subject? lest.name|string[][] as in { { "CN", "device001" } }, or a certificate's subject
---@field san? string[] { "DNS:host", "IP:192.0.2.1" }
---@field profile? string one of the label's; absent: its first, and of a renewal the one it has
---@field ca? string one of the label's `cas`; absent: its first
---@field lifetime? string|integer at most the profile's, which it is if absent
---@field key? string of serverkeygen: the kind of key to make, one of the profile's server_keys
---@field renewal? boolean instead of subject and san: the names of the certificate being renewed
---@field facts? table kept for renewals, as request.previous.facts
---@field reason? string for the ledger
---@field detail? any for the ledger

--- Issue a certificate. The names stated are the names issued; none at all is an error.
---@param options lest.policy.approval
---@return lest.verdict
function M.approve(options)
  local result = verdict("approve", options)
  if not has_names(result) then
    error(("policy.approve: state the names, as subject = %s or san = %s"):format(options_of.NAME,
      options_of.SAN),
      CALLER)
  end
  return result
end

---@class lest.policy.agreement
---@field profile? string as of an approval; two policies that state two profiles are an error
---@field ca? string as of an approval, likewise
---@field lifetime? string|integer the most; the shortest of all counts
---@field key? string as of an approval; two policies that state two kinds are an error
---@field reason? string for the ledger
---@field detail? any for the ledger

--- Approve, and leave the names to another policy of the label (`policies` in the configuration).
--- Where none states names, nothing is issued.
---@param options? lest.policy.agreement
---@return lest.verdict
function M.consent(options)
  local result = verdict("consent", options)
  result.verdict = "approve"
  return result
end

---@class lest.policy.refusal
---@field [1]? string the reason
---@field reason? string what the client is told (X-Reason)
---@field detail? any for the ledger alone

--- Refuse for good (403).
---@param options? string|lest.policy.refusal the reason alone, or a table
---@return lest.verdict
function M.reject(options)
  local result = verdict("reject", options) -- no tail call: it would take a level away
  return result
end

---@class lest.policy.wait
---@field [1]? string the reason
---@field reason? string what the client is told (X-Reason)
---@field detail? any for the ledger alone
---@field retry_after? string|integer when the client is to ask again; absent: the label's
---@field expires? string|integer how long it waits for operators; absent: the label's
--- pending_expires
---@field needed? integer how many operators must approve, for them to see: 1 to 64

--- Not yet (202): an operator decides with `lest pending`. Each time that the client asks again,
--- the policy is asked again too.
---@param options? string|lest.policy.wait the reason alone, or a table
---@return lest.verdict
function M.pending(options)
  local result = verdict("pending", options) -- no tail call: it would take a level away
  return result
end

---@class lest.policy.outage
---@field [1]? string the reason
---@field reason? string what the client is told (X-Reason)
---@field detail? any for the ledger alone
---@field retry_after? string|integer when the client is to ask again; absent: the label's

--- Not now (503): what the decision needs is out of reach.
---@param options? string|lest.policy.outage the reason alone, or a table
---@return lest.verdict
function M.unavailable(options)
  local result = verdict("unavailable", options) -- no tail call: it would take a level away
  return result
end

--- Whether a value is a verdict.
---@param value any
---@return boolean
function M.is_verdict(value)
  return getmetatable(value) == Verdict
end

--- The same verdict, as a table of its own: one that was made when the policy was loaded is for
--- many requests.
---@param made lest.verdict
---@param rule? string who decided, unless it says so
---@return lest.verdict
local function copy(made, rule)
  local result = { rule = rule, verdict = made.verdict, subject = made.subject, san = made.san }
  for key, value in next, made do result[key] = value end
  return setmetatable(result, Verdict)
end
M.copy = copy -- for the kit alone: lest.policy does not have it

-- Most policies end with `return policy.approve { ... }`.
for _, name in ipairs { "approve", "consent", "reject", "pending", "unavailable" } do
  M[name] = core.error.keep_caller(M[name])
end

return M
