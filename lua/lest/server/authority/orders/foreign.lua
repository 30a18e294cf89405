--- A certificate that a CA elsewhere has issued, before anybody gets it: it is what was approved,
--- and no more. Whatever the backend says, nothing else is recorded or answered.
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local list = require "lest.base.list"

local M = {}

--- Names: those that were approved, all of them and no others.
local function check_names(plan, cert)
  if not core.name.equal(cert.subject_der, plan.subject_der) then
    return "its subject is not the one that was approved"
  end
  local is_same
  if cert.san_der and plan.san_der then
    is_same = core.san.equal(cert.san_der, plan.san_der)
  else
    is_same = cert.san_der == plan.san_der
  end
  return not is_same and "its alternative names are not those that were approved"
    or cert.san_unusable[1] and "it has an alternative name that stands for nothing" or nil
end

--- Usages: none but the profile's; none at all is any.
local function check_usages(plan, cert)
  if cert.is_ca then return "it is a CA's" end
  for _, each in ipairs { { "key_usage", "key usage" }, { "eku", "extended key usage" } } do
    local allowed, has = plan[each[1]], cert[each[1]]
    if #allowed > 0 and #has == 0 then
      return ("it has no %s, which stands for every one"):format(each[2])
    end
    for _, usage in ipairs(has) do
      if not list.has(allowed, usage) then
        return ("its %s %s is not the profile's"):format(each[2], usage)
      end
    end
  end
end

--- Its time: of now, and no longer than was approved.
local function check_time(issuer, plan, cert, now)
  if cert.not_before > now + clock.SLACK_S then return "it is not valid yet" end
  if cert.not_after <= now then return "it has expired" end
  if cert.not_after > now + plan.lifetime + clock.SLACK_S then
    return "it is valid for longer than was approved"
  end
  if cert.not_after > issuer.cert.not_after then return "it ends after its CA" end
end

--- It is signed by the CA's configured certificate.
local function check_signature(issuer, cert, now)
  if cert.version ~= 3 then return "it is of version " .. cert.version end
  local at = math.min(math.max(now, cert.not_before), cert.not_after)
  local chain, err = issuer.store:verify(cert, { at = at, untrusted = {} })
  if not chain then return "the CA's certificate does not vouch for it: " .. err.message end
  if #chain ~= 2 then return "it is the CA's own certificate" end
end

--- Check it against what was approved.
---@param issuer table of authority.issuers
---@param plan table what was approved: public_key, subject_der, san_der, lifetime, key_usage, eku
---@param der string
---@param now integer seconds since 1970
---@return lest.cert|nil cert
---@return string|nil problem
function M.check(issuer, plan, der, now)
  local cert, err = core.cert.parse(der)
  if not cert then return nil, err.message end
  local is_other = cert.public_key.der ~= plan.public_key
  local problem = is_other and "its key is not the one that was asked for"
    or check_time(issuer, plan, cert, now) or check_signature(issuer, cert, now)
    or check_names(plan, cert) or check_usages(plan, cert)
  if problem then return nil, problem end
  return cert
end

return M
