--- The answers of a worker, with the defaults and label options that deployed clients need.

local M = {}

M.PKCS7 = "application/pkcs7-mime; smime-type=certs-only"
local RETRY_AFTER_S <const> = 5 -- where nobody says better
local TEXT <const> = "text/plain; charset=utf-8"

--- Answer an exchange; context.status is for the log.
function M.plain(exchange, context, status, headers, body)
  context.status = status
  exchange:respond { status = status, headers = headers, body = body }
end

--- An error answer. 401 and 202 have no body by default, since deployed clients choke on one; the
--- reason then stands in X-Reason.
function M.refusal(exchange, context, refusal)
  local status, reason = refusal.status, refusal.reason
  local label = context.label
  local headers = {}
  context.verdict = refusal.verdict
  context.reason = reason
  if status == 401 then
    table.insert(headers, { "WWW-Authenticate",
      ('Basic realm="%s", charset="UTF-8"'):format(label and label.options.realm or "lest") })
  end
  if refusal.allow then table.insert(headers, { "Allow", refusal.allow }) end
  local retry_after = refusal.retry_after or (status == 503 or status == 429) and RETRY_AFTER_S
  if retry_after then table.insert(headers, { "Retry-After", tostring(retry_after) }) end
  local body
  if (status == 401 or status == 202) and not (label and label.options.error_bodies) then
    if reason then table.insert(headers, { "X-Reason", (reason:gsub("[^\x20-\x7e]", "?")) }) end
  else
    table.insert(headers, { "Content-Type", TEXT })
    -- One line, whatever a policy puts into it: it is shown on terminals and in logs.
    body = (reason or "the request cannot be answered"):gsub("%c+", " ") .. "\n"
  end
  M.plain(exchange, context, status, headers, body)
end

--- 200 with base64, its header as the label wants it.
---@param body string base64, from core.est.body_encode with the label's wrap
function M.base64(exchange, context, media_type, body)
  local options = context.label.options
  local headers = { { "Content-Type", media_type } }
  if options.transfer_encoding then
    table.insert(headers, { "Content-Transfer-Encoding", "base64" })
  end
  M.plain(exchange, context, 200, headers, body)
end

return M
