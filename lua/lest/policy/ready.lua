--- Hooks that are ready to use, and rules as any other: own_name and renew.
local core = require "lest.core"
local duration = require "lest.duration"
local options_of = require "lest.verdict"
local schema = require "lest.base.schema"
local verdicts = require "lest.policy.verdicts"

---@class lest.module.policy
local M = {}

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
    if csr.change then return verdicts.reject "a change of names is not granted here" end
    if cert and has_names_of(csr, cert) then
      return verdicts.approve { subject = cert.subject, san = cert.san }
    end
    if #subject ~= 1 or subject[1][1] ~= "CN" or subject[1][2] ~= name then
      return verdicts.reject { ("ask for the subject CN=%s and nothing else"):format(name),
        detail = tostring(subject) }
    elseif #csr.san > 0 then
      return verdicts.reject { "ask for no subject alternative names",
        detail = table.concat(csr.san, " ") }
    end
    return verdicts.approve { subject = { { "CN", name } } }
  end
end

---@class lest.policy.renewal
---@field window? string|integer how long before its end a certificate may be renewed; absent: at
--- any time
---@field profile? string as of an approval
---@field ca? string likewise
---@field lifetime? string|integer as of an approval

--- A reenroll hook: renew with the names of the certificate being renewed (RFC 7030 4.2.2). A
--- request for other names (request.csr.change) is refused: a policy of your own may grant one by
--- stating them.
---@param options? lest.policy.renewal
---@return fun(request: lest.request): lest.verdict hook
function M.renew(options)
  local problem
  if options ~= nil and type(options) ~= "table" then
    return nil, ("policy.renew takes a table, as { window = \"30d\" }, not %s"):format(
      schema.kind(options))
  end
  options, problem = options_of.check("renew", options or {}, options)
  if not options then return nil, problem end
  local window = options.window
  return function(request)
    local previous = request.previous
    if not previous then return verdicts.reject "there is no certificate to renew" end
    if request.csr.change then return verdicts.reject "a change of names is not granted here" end
    local left = previous.certificate.not_after - request.time
    if window and left > window then
      return verdicts.reject(("too early: renewal opens in %s"):format(
        duration.format(left - window)))
    end
    return verdicts.approve { renewal = true, profile = options.profile, ca = options.ca,
      lifetime = options.lifetime }
  end
end

return M
