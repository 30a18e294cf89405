-- A registration authority asks for others: who shows a certificate of our own CA with id-kp-cmcRA
-- gets certificates for the names that its requests have, first ones and later ones (RFC 7030 3.7,
-- RFC 6402 2.10). Everybody else gets one for its own name only.
--
-- The same purpose in a certificate of somebody else's CA says nothing, also where that stands
-- under the root that is in `anchors`: so is_own matters, which is true of what this server issued.
-- The configuration needs a profile that lets policies choose names, and one for RAs:
--   anchors  = { own = "ca.pem" },
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" }, eku = { "clientAuth" },
--                names = "policy", subject = { "CN" }, san = { "DNS" } },
--                ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal",
--                eku = { "clientAuth", "cmcRA" } } },
--   labels   = { default = { policy = "registration-authority.lua", profile = "device",
--                auth = { "certificate" }, renews = { "default", "ra" } },
--                ra = { policy = "own-name.lua", profile = "ra", auth = { "basic" } } },
local policy = require "lest.policy"

-- anyExtendedKeyUsage does not stand for cmcRA.
local is_ra = policy.principal { is_own = true, eku = "cmcRA" }

-- What an RA renews for another is no certificate that it shows: there is no request.previous.
local function is_for_other(request)
  return not request.previous
end

local function approve_for_other(request)
  local csr = request.csr
  return policy.approve { subject = csr.subject, san = csr.san,
    detail = "RA " .. request.principal.name }
end

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.when(is_ra, approve_for_other),
    policy.own_name(),
  },
  reenroll = policy.first {
    policy.when(policy.all { is_for_other, is_ra }, approve_for_other),
    policy.renew {},
  },
}
