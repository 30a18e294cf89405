-- A service of yours is told of each certificate that was issued or revoked, after the fact: an
-- inventory, a chat, or a mail through your gateway's HTTP interface. It decides nothing: put it
-- beside the policy that does.
--
-- It gets a POST with a JSON object, and any status of 200 to 299 says that it has heard. Else it
-- is told again, for as long as `outbox` in the configuration says; it may be told twice, and then
-- with the same id, which Idempotency-Key has too:
--   { "id": "issued-2f...", "event": "issued", "time": 1767268800, "try": 1, "label": "default",
--     "device": "device001", "principal": { "kind": "basic", "name": "device001" },
--     "request_id": "...", "renews": null, "reason": null, "by": null,
--     "certificate": { "serial": "2f...", "subject": "CN=device001", "san": [],
--       "not_before": 1767268740, "not_after": 1775044740, "pem": "-----BEGIN ..." } }
-- Of a revocation, `reason` and `by` say why and who.
--
-- The configuration:
--   labels = { default = { profile = "device", auth = { "basic" }, policies = { "own-name.lua",
--              { file = "notify.lua", options = { url = "https://inventory.example.com/lest",
--                trust = "inventory.pem", token = "token" } } } } },
local http = require "lest.http"
local policy = require "lest.policy"

local options = policy.options {
  url = { type = "string" },
  trust = { type = "file", optional = true }, -- the service's CA; absent: the system's
  token = { type = "secret", optional = true }, -- a file; sent as Authorization: Bearer
  timeout = { type = "duration", default = "5s", min = 1, max = "1m" },
}

local function body_of(event)
  local cert, who = event.certificate, event.principal
  return { id = event.id, event = event.kind, time = event.time, try = event.try,
    label = event.label, device = event.device, principal = { kind = who.kind, name = who.name },
    request_id = event.request_id, renews = event.renews, reason = event.reason, by = event.by,
    certificate = { serial = cert.serial, subject = tostring(cert.subject), san = cert.san,
      not_before = cert.not_before, not_after = cert.not_after, pem = cert:pem() } }
end

local function tell(event)
  local res, err = http.request { method = "POST", url = options.url, trust = options.trust,
    timeout = options.timeout, json = body_of(event),
    headers = { ["Idempotency-Key"] = event.id,
      Authorization = options.token and "Bearer " .. options.token or nil } }
  if not res then return nil, err end
  if res.status < 200 or res.status > 299 then
    return nil, ("the service answers %d"):format(res.status)
  end
  return true
end

---@type lest.policy.hooks
return { issued = tell, revoked = tell }
