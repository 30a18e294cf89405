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
local SERIAL <const> = "${principal.certificate.subject.serialNumber}"

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(policy.principal { kind = "certificate", anchors = FACTORY },
      policy.reject "a factory certificate is required"),
    -- A serial number becomes a part of names elsewhere: one with a character that means something
    -- there is refused.
    policy.names { CN = "device-" .. SERIAL, serialNumber = SERIAL },
  },

  -- In the last 30 days of a certificate's life; who has lost its key enrolls again with the
  -- factory certificate.
  reenroll = policy.renew { window = "30d" },
}
