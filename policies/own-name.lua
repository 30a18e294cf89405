-- Who gets which certificate. A hook returns a verdict: policy.approve, reject, pending or
-- unavailable. Anything else, an error among it, issues nothing.
local policy = require "lest.policy"

return {
  -- A device that knows its password gets a certificate for its own name, and must ask for exactly
  -- that.
  enroll = function(request)
    local who, csr = request.principal, request.csr
    if who.kind ~= "basic" then
      return policy.reject "enroll with a user name and password, renew with the certificate"
    end
    local subject = csr.subject
    if #subject ~= 1 or subject[1][1] ~= "CN" or subject[1][2] ~= who.name then
      return policy.reject { ("ask for the subject CN=%s and nothing else"):format(who.name),
        detail = tostring(subject) }
    end
    if #csr.san > 0 then
      return policy.reject { "ask for no subject alternative names",
        detail = table.concat(csr.san, " ") }
    end
    return policy.approve { subject = { { "CN", who.name } } }
  end,

  -- The holder of a certificate renews it, with the same names (RFC 7030 4.2.2), at any time.
  -- policy.renew { window = "30d" } would refuse before the last 30 days.
  reenroll = policy.renew {},
}
