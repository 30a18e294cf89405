-- Who gets which certificate. A hook returns a verdict: policy.approve, reject, pending or
-- unavailable. Anything else, an error among it, issues nothing. Of the rules of policy.first, the
-- first that has a verdict decides; any of them may be a function(request).
local policy = require "lest.policy"

---@type lest.policy.hooks
return {
  -- A device that knows its password gets a certificate for its own name, and must ask for exactly
  -- that. Some renew so too: with the certificate that they have from here, for its names.
  enroll = policy.first {
    policy.when(policy.principal { kind = "certificate", is_own = false },
      policy.reject "enroll with a user name and password, renew with the certificate"),
    policy.own_name(),
  },

  -- The holder of a certificate renews it, with the same names (RFC 7030 4.2.2), at any time.
  -- policy.renew { window = "30d" } would refuse before the last 30 days.
  reenroll = policy.renew {},
}
