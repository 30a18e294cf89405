-- A device shows the certificate its maker gave it (IDevID, IEEE 802.1AR) and gets one of ours,
-- named by its serial number. Names come from that certificate only; what the CSR says is not
-- looked at.
--
-- The configuration needs the makers' CAs by the name below, and a profile that lets policies
-- choose names:
--   anchors  = { own = "ca.pem", factory = "makers.pem" },
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
--                subject = { "CN", "serialNumber" } } },
--   labels   = { default = { policy = "factory.lua", profile = "device",
--                auth = { "certificate" } } },
local policy = require "lest.policy"

local FACTORY <const> = "factory" -- the name in `anchors`
local PREFIX <const> = "device-" -- what a device is called before its serial number

---@type lest.policy.hooks
return {
  enroll = function(request)
    local who = request.principal
    if who.kind ~= "certificate" or who.anchors ~= FACTORY then
      return policy.reject "a factory certificate is required"
    end
    local serial = who.certificate.subject.serialNumber
    -- A serial number becomes a part of names elsewhere: nothing in it may mean something there.
    if not serial or not serial:find "^%w[%w-]*$" or #serial + #PREFIX > 64 then
      return policy.reject { "the factory certificate has no usable serial number",
        detail = tostring(who.certificate.subject) }
    end
    return policy.approve { subject = { { "CN", PREFIX .. serial }, { "serialNumber", serial } } }
  end,

  -- In the last 30 days of a certificate's life; who has lost its key enrolls again with the
  -- factory certificate.
  reenroll = policy.renew { window = "30d" },
}
