-- A device that knows its password gets a certificate for its own name once two operators agreed:
--   lest pending list; lest pending approve ID --as alice; lest pending approve ID --as bob
-- Until then it is told to ask again. One `lest pending reject` ends it. Renewals need nobody.
local policy = require "lest.policy"

local NEEDED <const> = 2

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
  local verdict, missing = own_name(request), NEEDED - approved_by(request)
  if verdict.verdict ~= "approve" or missing <= 0 then return verdict end
  return policy.pending { ("awaiting %d more of %d operators"):format(missing, NEEDED),
    retry_after = "5m", expires = "7d", needed = NEEDED }
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
