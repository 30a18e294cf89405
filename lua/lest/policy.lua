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

---@class lest.module.policy
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

--- What a hook returns; made by approve, reject, pending or unavailable.
---@class lest.verdict
---@field verdict "approve"|"reject"|"pending"|"unavailable"
---@field reason? string
---@field detail? string
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

---@class lest.policy.approval
---@field subject? lest.name|string[][] as in { { "CN", "device001" } }, or a certificate's subject
---@field san? string[] { "DNS:host", "IP:192.0.2.1" }
---@field profile? string one of the label's; absent: its first, and of a renewal the one it has
---@field lifetime? string|integer at most the profile's, which it is if absent
---@field renewal? boolean instead of subject and san: the names of the certificate being renewed
---@field facts? table kept for renewals, as request.previous.facts
---@field reason? string for the ledger
---@field detail? any for the ledger

--- Issue a certificate. The names stated are the names issued; none at all is an error.
---@param options lest.policy.approval
---@return lest.verdict
function M.approve(options)
  local result = verdict("approve", options)
  if not result.renewal and not result.subject and not result.san then
    error(("policy.approve: state the names, as subject = %s or san = %s"):format(options_of.NAME,
      options_of.SAN),
      CALLER)
  end
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

--- A file that belongs to a policy, as a list of devices: its path, from a name relative to the
--- file that calls this. It raises where the file cannot be read by `user`, as whom a policy runs:
--- where a policy calls it while it is loaded, `lest serve --check` says so.
---
---   local allowed = {}
---   for name in io.lines(policy.file "devices.csv") do
---     allowed[name] = true
---   end
---@param name string
---@return string path
function M.file(name)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    error("policy.file takes the name of a file", CALLER)
  end
  local source = debug.getinfo(CALLER, "S").source:match "^@(.+)"
  if not source then error("policy.file is for what stands in a file", CALLER) end
  local path = name:sub(1, 1) == "/" and name or (source:match "^(.*/)[^/]*$" or "") .. name
  local file, problem = io.open(path, "rb")
  local there = file ~= nil
  if file then
    there, problem = file:read(0)
    there = there or not problem -- an empty file has no byte, and no problem
    file:close()
  end
  if not there then error("policy.file: " .. problem, CALLER) end
  return path
end

--- Whether a request asks for exactly the names of a certificate.
local function has_names_of(csr, cert)
  return core.name.equal(csr.subject_der, cert.subject_der)
    and core.san.equal(csr.san_der, cert.san_der)
end

--- An enroll hook: a certificate for the principal's own name, CN=NAME, or for all the names of the
--- certificate that it has shown, to a request that asks for exactly that.
---@return fun(request: lest.request): lest.verdict hook
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

---@class lest.policy.renewal
---@field window? string|integer how long before its end a certificate may be renewed; absent: at
--- any time
---@field profile? string as of an approval
---@field lifetime? string|integer as of an approval

--- A reenroll hook: renew with the names of the certificate being renewed (RFC 7030 4.2.2). A
--- request for other names (request.csr.change) is refused: a policy of your own may grant one by
--- stating them.
---@param options? lest.policy.renewal
---@return fun(request: lest.request): lest.verdict hook
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
for _, name in ipairs { "approve", "reject", "pending", "unavailable", "renew", "file" } do
  M[name] = core.error.keep_caller(M[name])
end

return M
