-- A device that knows its password gets a certificate for its own name once two operators agreed:
--   lest pending list; lest pending approve ID --as alice; lest pending approve ID --as bob
-- Until then it is told to ask again. One `lest pending reject` ends it. Renewals need nobody.
local policy = require "lest.policy"

local NEEDED <const> = 2

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

return {
  enroll = function(request)
    local who, csr = request.principal, request.csr
    if who.kind ~= "basic" then
      return policy.reject "enroll with a user name and password, renew with the certificate"
    end
    if #csr.subject ~= 1 or csr.subject.CN ~= who.name or #csr.san > 0 then
      return policy.reject { ("ask for the subject CN=%s and nothing else"):format(who.name),
        detail = tostring(csr.subject) }
    end
    local missing = NEEDED - approved_by(request)
    if missing > 0 then
      return policy.pending { ("awaiting %d more of %d operators"):format(missing, NEEDED),
        retry_after = "5m", expires = "7d" }
    end
    return policy.approve { subject = { { "CN", who.name } } }
  end,

  reenroll = policy.renew {},
}
