--- The answers of a worker, with the defaults and label options that deployed clients need.
local challenges = require "lest.server.worker.challenges"
local core = require "lest.core"
local renewal_window = require "lest.base.renewal_window"

local M = {}

local RETRY_AFTER_S <const> = 5 -- where neither policy nor authority says
local TEXT <const> = "text/plain; charset=utf-8"

--- Answer an exchange; request.status is for the log.
function M.plain(exchange, request, status, headers, body)
  request.status = status
  exchange:respond { status = status, headers = headers, body = body }
end

--- Whether a condition of the request names this tag, or any (RFC 9110 13.1.2); nil: it has none.
---@param exchange lest.exchange
---@param etag string
---@return boolean?
function M.has_tag(exchange, etag)
  local tags = exchange:headers "if-none-match"
  if #tags == 0 then return nil end
  local text = table.concat(tags, ",")
  if text:match "^%s*%*%s*$" then return true end
  for tag in text:gmatch '"([^"]*)"' do
    if tag == etag then return true end
  end
  return false
end

--- An error answer. 401 and 202 have no body by default, since deployed clients choke on one; the
--- reason then stands in X-Reason, as it does for a client whose certificate counted as none.
function M.refusal(exchange, request, refusal)
  local status, reason = refusal.status, refusal.reason
  local label = request.label
  local headers = {}
  if status == 401 then
    local asked = challenges.of(label, request.link.nonce_key, refusal.stale, request.has_token)
    if not asked then
      status, reason = 503, "the authority is not available"
    elseif #asked == 0 then
      status = 403 -- RFC 9110 15.5.2: a 401 has a challenge
    end
    for i, challenge in ipairs(asked or {}) do headers[i] = { "WWW-Authenticate", challenge } end
  end
  request.verdict = refusal.verdict
  request.reason = reason
  if refusal.allow then table.insert(headers, { "Allow", refusal.allow }) end
  local retry_after = refusal.retry_after or (status == 503 or status == 429) and RETRY_AFTER_S
  if retry_after then table.insert(headers, { "Retry-After", tostring(retry_after) }) end
  local body
  local is_empty = (status == 401 or status == 202) and not (label and label.options.error_bodies)
  if reason and (is_empty or exchange.peer_refusal) then
    table.insert(headers, { "X-Reason", (reason:gsub("[^\x20-\x7e]", "?")) })
  end
  if not is_empty then
    table.insert(headers, { "Content-Type", TEXT })
    -- One line, even if a policy's reason has several: terminals and logs show it.
    body = (reason or "the request cannot be answered"):gsub("%c+", " ") .. "\n"
  end
  M.plain(exchange, request, status, headers, body)
end

local COLUMNS <const> = 64 -- libest takes no longer lines, Bouncy Castle none that end within four

--- The columns of base64 that a client can read. strongSwan up to 5.9.10 takes no line breaks at
--- all, and is known by this: it is one of the few clients that send no User-Agent.
local function columns(exchange, options)
  if options.wrap ~= "auto" then return options.wrap end
  return exchange:header "user-agent" and COLUMNS or 0
end

local function add_window(headers, window)
  if window then
    table.insert(headers, { renewal_window.HEADER, renewal_window.write(window) })
  end
  return headers
end

--- 200 with the DER of an operation in base64, in the form that the label or the client wants.
---@param der string
---@param window? lest.renewal_window when what is in it is to be renewed
function M.base64(exchange, request, der, window)
  local options = request.label.options
  local headers = {
    { "Content-Type", core.est.operations[request.operation].response_type },
    options.transfer_encoding and { "Content-Transfer-Encoding", "base64" } or nil,
  }
  add_window(headers, window)
  M.plain(exchange, request, 200, headers,
    core.est.body_encode(der, columns(exchange, options)))
end

local ENVELOPED <const> = "application/pkcs7-mime; smime-type=server-generated-key"
local CLEAR <const> = "application/pkcs8"

--- 200 with a key that the authority has made, and its certificate as simpleenroll has it (RFC 7030
--- 4.4.2).
---@param made { key: string, enveloped: boolean }
---@param bag string DER
---@param window? lest.renewal_window
function M.key_and_certificate(exchange, request, made, bag, window)
  local options = request.label.options
  local body, media_type = core.est.mixed_encode({
    { type = made.enveloped and ENVELOPED or CLEAR, der = made.key },
    { type = core.est.operations.simpleenroll.response_type, der = bag },
  }, columns(exchange, options), options.transfer_encoding)
  M.plain(exchange, request, 200, add_window({ { "Content-Type", media_type } }, window), body)
end

--- The answer to a message of CMC (RFC 7030 4.3.2), whatever becomes of it.
---@param result { cmc: string, cmc_status: integer, retry_after: integer? }
function M.cmc(exchange, request, result)
  local status, headers = result.cmc_status, {}
  if status == 401 then
    local asked = challenges.of(request.label, request.link.nonce_key, nil, request.has_token)
    for i, challenge in ipairs(asked or {}) do headers[i] = { "WWW-Authenticate", challenge } end
    if #headers == 0 then status = 403 end -- RFC 9110 15.5.2: a 401 has a challenge
  end
  table.insert(headers, { "Content-Type", core.est.operations.fullcmc.response_type })
  if request.label.options.transfer_encoding then
    table.insert(headers, { "Content-Transfer-Encoding", "base64" })
  end
  if result.retry_after then
    table.insert(headers, { "Retry-After", tostring(result.retry_after) })
  end
  M.plain(exchange, request, status, headers,
    core.est.body_encode(result.cmc, columns(exchange, request.label.options)))
end

return M
