-- Names from templates, whatever the CSR asks for: parts of what is proven, and texts around them.
-- A part that is missing, or has a character that means something in its place, refuses the request
-- (lest-policy(5), policy.names). Use no `${csr...}`: that is what the client claims.
--
-- The configuration:
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
--                subject = { "CN", "O" }, san = { "DNS" } } },
--   labels   = { default = { profile = "device", auth = { "certificate", "basic" }, policy = {
--                file = "name-templates.lua", options = { O = "Example", CN = "${principal.name}",
--                san = { "DNS:${principal.name}.example.com" } } } } },
local policy = require "lest.policy"

local options = policy.options {
  CN = { type = "string", default = "device-${principal.name}" },
  O = { type = "string", optional = true },
  OU = { type = "string", optional = true },
  san = { type = "strings", optional = true },
  window = { type = "duration", optional = true },
}

---@type lest.policy.hooks
return {
  enroll = policy.first {
    -- ${principal.name} is the template's own result then.
    policy.when(policy.principal { is_own = true },
      policy.reject "renew with the certificate that you have"),
    policy.names { CN = options.CN, O = options.O, OU = options.OU, san = options.san },
  },
  reenroll = policy.renew { window = options.window },
}
