-- Bring devices up by a one-time password; from then on they renew with the certificate they have.
-- For devices that come without a certificate of their maker: the password is good for one key, and
-- whoever has it may ask for the device's own name and no other.
--   lest credential add device001          prints the password
--
-- The configuration:
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal" } },
--   labels   = { default = { profile = "device", auth = { "certificate", "basic" },
--                policy = { file = "one-time-password.lua", options = { window = "30d" } } } },
local policy = require "lest.policy"

local options = policy.options {
  window = { type = "duration", optional = true }, -- how long before its end one is renewed
}

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(policy.principal { kind = "basic" },
      policy.reject "enroll with the password, renew with the certificate"),
    policy.own_name(),
  },
  reenroll = policy.renew { window = options.window },
}
