-- Renew late and with a new key: in the last part of a certificate's life only, so that devices do
-- not renew in a loop, and never onto the key that it has. It has no say about first certificates:
-- put it before the policy that decides those.
--
-- The configuration:
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" } } },
--   labels   = { default = { profile = "device", auth = { "certificate", "basic" },
--                policies = { "strict-renewal.lua", "one-time-password.lua" },
--                expired_grace = "7d" } },
-- Without `expired_grace` what has expired is stopped before any policy, at TLS. With it, this
-- policy renews what expired at most `expired` ago: the shorter of the two counts.
local policy = require "lest.policy"

local options = policy.options {
  left = { type = "integer", default = 30, min = 1, max = 99 }, -- percent of its life
  expired = { type = "duration", default = "7d" }, -- since its end, at most
  new_key = { type = "boolean", default = true },
}

---@type lest.policy.hooks
return {
  reenroll = policy.first {
    policy.unless(policy.validity { left = options.left .. "%", expired = options.expired },
      policy.reject(("renew in the last %d %% of the certificate's life"):format(options.left))),
    policy.when(policy.all { function() return options.new_key end, policy.key { reuse = true } },
      policy.reject "make a new key"),
    policy.renew(),
  },
}
