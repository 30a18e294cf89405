-- So many certificates a device, and so many requests an address: a device that is stolen, or runs
-- wild, costs no more. It states no names: put it before the policy that does. Renewals are bounded
-- by their rate alone, since they take the place of what is there.
--
-- The configuration:
--   labels = { default = { profile = "device", auth = { "basic" }, policies = {
--              { file = "quota.lua", options = { active = 2, requests = 10, every = "1h" } },
--              "own-name.lua" } } },
-- Behind a balancer all requests come from one address: count `per = "device"` there.
local policy = require "lest.policy"

local options = policy.options {
  active = { type = "integer", default = 5, min = 1, max = 999 }, -- neither expired nor revoked
  requests = { type = "integer", default = 20, min = 1, max = 1000000 },
  every = { type = "duration", default = "1h", min = 1, max = "1d" },
  per = { one_of = { "address", "network", "principal", "device" }, default = "address" },
}

local rate = policy.rate { name = "quota", per = options.per, most = options.requests,
  every = options.every }
local is_within_rate = policy.unless(rate, policy.reject "too many requests: come back later")

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(policy.history { device = { active = { most = options.active - 1 } } },
      policy.reject "the device has as many certificates as it may"),
    is_within_rate,
    policy.consent(),
  },
  reenroll = policy.first { is_within_rate, policy.consent() },
}
