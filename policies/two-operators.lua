-- A device that knows its password gets a certificate for its own name once two operators agreed,
-- or as many as `needed` says:
--   lest pending list; lest pending approve ID --as alice; lest pending approve ID --as bob
-- Until then it is told to ask again. One `lest pending reject` ends it. Renewals need nobody.
--
-- The configuration:
--   labels = { default = { profile = "device", auth = { "certificate", "basic" }, policy = {
--              file = "two-operators.lua", options = { needed = 3 } } } },
local policy = require "lest.policy"

local options = policy.options {
  needed = { type = "integer", default = 2, min = 1, max = 64 },
  expires = { type = "duration", default = "7d", min = 60 }, -- how long it waits for them
}

local own_name = policy.own_name()

-- Operators, not rows: who approves twice is one.
local function approved_by(request)
  local count, seen = 0, {}
  for i = 1, #request.approvals do
    local operator = request.approvals[i].operator
    if not seen[operator] then count = count + 1 end
    seen[operator] = true
  end
  return count
end

-- No operator is asked about what is refused anyway.
local function own_name_if_approved(request)
  local verdict, missing = own_name(request), options.needed - approved_by(request)
  if verdict.verdict ~= "approve" or missing <= 0 then return verdict end
  return policy.pending { ("awaiting %d more of %d operators"):format(missing, options.needed),
    retry_after = "5m", expires = options.expires, needed = options.needed }
end

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(policy.principal { kind = "basic" },
      policy.reject "enroll with a user name and password, renew with the certificate"),
    own_name_if_approved,
  },
  reenroll = policy.renew {},
}
