--- The verdicts of a policy, and ready-made hooks.
---
---   local policy = require "lest.policy"
---   return {
---     enroll = policy.own_name(),
---     reenroll = policy.renew { window = "30d" },
---   }
local core = require "lest.core"
local duration = require "lest.duration"
local options_of = require "lest.verdict"
local schema = require "lest.base.schema"

local M = {}

-- What others call a verdict.
local OTHER_NAMES <const> = {
  accept = "approve", allow = "approve", grant = "approve", issue = "approve", permit = "approve",
  decline = "reject", deny = "reject", refuse = "reject", defer = "pending", hold = "pending",
  wait = "pending", busy = "unavailable", retry = "unavailable",
}

-- A name that is not there, as policy.aprove, is a mistake that a policy hears of by its line.
setmetatable(M, { __index = function(self, key)
  local other = OTHER_NAMES[key]
  error(("lest.policy has no '%s'%s"):format(tostring(key), other
    and (", did you mean '%s'?"):format(other) or schema.hint(key, self)), 2)
end })

local Verdict = { __name = "lest.verdict" }

-- The policy's line, as error() counts from a function that is called through keep_caller.
local CALLER <const> = 3

--- The options of a call by their shape; a mistake is raised as one of the policy's line.
local function check(kind, options, argument, level)
  if argument == M then
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

--- What a hook is called with: read-only, and a field that does not exist is an error.
---@class lest.policy.request
---@field id string the client's X-Request-Id, in the log and the ledger
---@field time integer seconds since 1970
---@field operation "simpleenroll"|"simplereenroll"
---@field label string
---@field csr lest.csr what is asked for: claims only
---@field principal table who is proven to ask: kind, name, anchors, is_own (this server
--- issued the certificate), certificate, credential, claims
---@field device? string whom it is about, as the ledger has it: the principal that proved itself
--- first, whatever it renews with. Absent where that is longer than 1024 bytes.
---@field auth table what was proven, by the kind of proof
---@field tls { version: string, cipher: string, channel_bound: boolean }
---@field address string the client's
---@field headers table<string, string> User-Agent, Host, Accept and Content-Type, in any case
---@field previous? { certificate: lest.cert, facts: table } what is being renewed
---@field approvals { operator: string, comment: string?, time: integer }[]

---@class lest.policy.approval
---@field subject? lest.name_like
---@field san? string[]
---@field profile? string one of the label's
---@field lifetime? string|integer
---@field facts? table kept for renewals, as request.previous.facts
---@field detail? any

--- Issue a certificate. The names stated are the names issued; none at all is an error.
---@param options lest.policy.approval
function M.approve(options)
  local result = verdict("approve", options)
  if not result.renewal and not result.subject and not result.san then
    error(("policy.approve: state the names, as subject = %s or san = %s"):format(options_of.NAME,
      options_of.SAN),
      CALLER)
  end
  return result
end

--- Refuse for good (403). The reason goes to the client, `detail` to the ledger alone.
---@param options? string|{ [1]: string, reason: string, detail: any }
function M.reject(options)
  local result = verdict("reject", options) -- no tail call: it would take a level away
  return result
end

---@class lest.policy.delay
---@field [1]? string the reason
---@field reason? string
---@field detail? any
---@field retry_after? string|integer
---@field expires? string|integer of a pending request

--- Not yet (202): ask again after retry_after; an operator decides with `lest pending`.
---@param options? string|lest.policy.delay
function M.pending(options)
  local result = verdict("pending", options) -- no tail call: it would take a level away
  return result
end

--- Not now (503): what the decision needs is out of reach.
---@param options? string|lest.policy.delay
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

--- Whether a request asks for exactly the names of a certificate.
local function has_names_of(csr, cert)
  return core.name.equal(csr.subject_der, cert.subject_der)
    and core.san.equal(csr.san_der, cert.san_der)
end

--- An enroll hook: a certificate for the principal's own name, CN=NAME, or for all the names of the
--- certificate that it has shown, to a request that asks for exactly that.
---@return fun(request: lest.policy.request): table
function M.own_name()
  return function(request)
    local name, csr = request.principal.name, request.csr
    local cert, subject = request.principal.certificate, csr.subject
    if csr.change then return M.reject "a change of names is not granted here" end
    if cert and has_names_of(csr, cert) then
      return M.approve { subject = cert.subject, san = cert.san }
    end
    if #subject ~= 1 or subject[1][1] ~= "CN" or subject[1][2] ~= name then
      return M.reject { ("ask for the subject CN=%s and nothing else"):format(name),
        detail = tostring(subject) }
    elseif #csr.san > 0 then
      return M.reject { "ask for no subject alternative names",
        detail = table.concat(csr.san, " ") }
    end
    return M.approve { subject = { { "CN", name } } }
  end
end

--- A reenroll hook: renew with the names of the certificate being renewed (RFC 7030 4.2.2), once no
--- more than `window` of its life is left (absent: at any time). A request for other names
--- (request.csr.change) is refused: a policy of your own may grant one by stating them.
---@param options? { window: string|integer, profile: string, lifetime: string|integer }
---@return fun(request: lest.policy.request): table
function M.renew(options)
  if options ~= nil and type(options) ~= "table" then
    error(("policy.renew takes a table, as { window = \"30d\" }, not %s"):format(
      schema.kind(options)), CALLER)
  end
  options = check("renew", options or {}, options, CALLER)
  local window = options.window
  return function(request)
    local previous = request.previous
    if not previous then return M.reject "there is no certificate to renew" end
    if request.csr.change then return M.reject "a change of names is not granted here" end
    local left = previous.certificate.not_after - request.time
    if window and left > window then
      return M.reject(("too early: renewal opens in %s"):format(duration.format(left - window)))
    end
    return M.approve { renewal = true, profile = options.profile, lifetime = options.lifetime }
  end
end

-- Most policies end with `return policy.approve { ... }`.
for _, name in ipairs { "approve", "reject", "pending", "unavailable", "renew" } do
  M[name] = core.error.keep_caller(M[name])
end

return M
