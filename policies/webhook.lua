-- A service of yours is asked about each request, and may refuse or hold it. It states no names:
-- put it before the policy that does. Without an answer of the service nothing is issued.
--
-- It gets a POST with a JSON object, of which only the principal is proven:
--   { "id": "...", "operation": "simpleenroll", "label": "default", "address": "192.0.2.7",
--     "principal": { "kind": "basic", "name": "device001" }, "device": "device001",
--     "csr": { "subject": "CN=device001", "san": [], "key_type": "ec:P-256", "key_hash": "..." } }
-- and answers 200 with one of
--   { "verdict": "approve" }
--   { "verdict": "reject", "reason": "lost" }, or "pending"
--
-- The configuration:
--   labels = { default = { profile = "device", auth = { "basic" }, policies = {
--              { file = "webhook.lua", options = { url = "https://ra.example.com/decide",
--                trust = "ra.pem", token = "token" } }, "own-name.lua" } } },
local http, policy = require "lest.http", require "lest.policy"

local options = policy.options {
  url = { type = "string" },
  trust = { type = "file", optional = true }, -- the service's CA; absent: the system's
  token = { type = "secret", optional = true }, -- a file; sent as Authorization: Bearer
  timeout = { type = "duration", default = "5s", min = 1, max = "1m" },
}

local VERDICTS <const> = { approve = policy.consent, reject = policy.reject,
  pending = policy.pending }

local function question_of(request)
  local csr, who = request.csr, request.principal
  return { id = request.id, operation = request.operation, label = request.label,
    address = request.address, device = request.device,
    principal = { kind = who.kind, name = who.name },
    csr = { subject = tostring(csr.subject), san = csr.san, key_type = csr.key_type,
      key_hash = csr.key_hash } }
end

local function decide(request)
  local res, err = http.request { method = "POST", url = options.url, trust = options.trust,
    timeout = options.timeout, json = question_of(request),
    headers = options.token and { Authorization = "Bearer " .. options.token } }
  if not res or res.status ~= 200 then
    return policy.unavailable { "the request cannot be decided now", detail = err or res.status }
  end
  local answer, problem = res:json()
  local make = type(answer) == "table" and VERDICTS[answer.verdict]
  if not make then
    return policy.unavailable { "the request cannot be decided now",
      detail = problem or "the service answers no verdict" }
  end
  return make { reason = type(answer.reason) == "string" and answer.reason:sub(1, 200) or nil }
end

---@type lest.policy.hooks
return { enroll = decide, reenroll = decide }
