--- What a server's answer means to the client: an EST message, or an error with the reason given.
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local terminal = require "lest.base.terminal"

local M = {}

local REASON_MAX <const> = 400
local DEFAULT_DELAY <const> = 60 -- of a 202 or 503 that does not say when to come back

--- What a peer says of itself, fit for an error's message.
---@param text string
---@return string
function M.clean(text)
  return terminal.line(text, REASON_MAX)
end

-- Where servers put their sentence: problem+json (RFC 9457), and lists of errors.
local SAYING <const> = { "detail", "title", "message", "error", "error_description", "description",
  "reason" }
local HOLDING <const> = { "errors", "error", "fault" }
local WITHIN_MAX <const>, ERRORS_MAX <const> = 3, 5

local function sentence_of(value, depth)
  if type(value) == "string" then return value end
  if type(value) ~= "table" or depth > WITHIN_MAX then return nil end
  for _, key in ipairs(SAYING) do
    if type(value[key]) == "string" then return value[key] end
  end
  for _, key in ipairs(HOLDING) do
    local found = sentence_of(value[key], depth + 1)
    if found then return found end
  end
  local all = {}
  for i = 1, math.min(#value, ERRORS_MAX) do all[#all + 1] = sentence_of(value[i], depth + 1) end
  return all[1] and table.concat(all, "; ")
end

local function from_json(body)
  return sentence_of(json.decode(body), 1)
end

-- Elements whose content is not for people.
local HIDDEN <const> = { style = true, script = true }

--- The text between the tags. Whoever is in the path may have written it, so it is read in one pass
--- that only goes forward: a pattern would look to the end from every "<" again.
local function from_markup(body)
  local parts, length, at = {}, 0, 1
  while length < 4 * REASON_MAX do
    local open = body:find("<", at, true)
    local close = open and body:find(">", open, true)
    if not close then
      table.insert(parts, body:sub(at))
      break
    end
    table.insert(parts, body:sub(at, open - 1))
    length = length + open - at + 1
    if HIDDEN[body:sub(open + 1, open + 7):lower():match "^%a*"] then
      local ends = body:find("</", close, true)
      close = ends and body:find(">", ends, true)
      if not close then break end
    end
    at = close + 1
  end
  return table.concat(parts, " ")
end

--- The DER of a CMS message in an answer, whatever its status: by its media type, which servers
--- also write with x-.
---@param response lest.http.response
---@return string?
function M.pki_message(response)
  local content_type = response:header "Content-Type"
  local media = content_type and core.est.media_type(content_type)
  local kind = media and media.type
  if kind ~= "application/pkcs7-mime" and kind ~= "application/x-pkcs7-mime" then return nil end
  return core.est.body_decode(response.body)
end

--- The worst status of the PKI Response in an answer (RFC 7030 4.2.3, 4.3.2); nil where there is
--- none.
---@param response lest.http.response
---@return lest.cmc.status?
function M.status(response)
  local der = M.pki_message(response)
  local message = der and core.cmc.parse(der)
  return message and message.kind == "response" and cmc.worst(message) or nil
end

-- What becomes of a failure of RFC 5272 6.1.4 that is no plain refusal.
local OF_FAILURE <const> = { badIdentity = "unauthenticated", authDataFail = "unauthenticated",
  tryLater = "unavailable" }

--- What a status of CMC is as an error: fields for error().
---@param status lest.cmc.status
---@return table
function M.of_status(status)
  local is_pending = status.status == "pending"
  return { code = is_pending and "pending" or OF_FAILURE[status.failure] or "refused",
    message = is_pending and "the request is pending" or "the server refuses the request",
    rfc = not is_pending and "5272 6.1" or nil, reason = cmc.text(status) }
end

-- RFC 7030 4.2.3: an error's body without a Content-Type is text for people.
local function reason(response)
  local header = response:header "X-Reason"
  if header then return header end
  local body, content_type = response.body, response:header "Content-Type"
  local media = content_type and core.est.media_type(content_type)
  local kind = media and media.type or content_type and "" or "text/plain"
  if body == "" or body:sub(1, 1024):find("\0", 1, true) then return nil end
  if kind:find "json$" then return from_json(body) end
  if kind == "text/html" or kind:find "xml$" then return from_markup(body) end
  return kind:find "^text/" and body or nil
end

--- Seconds to wait, as a 202, 429 or 503 asks for (RFC 9110 10.2.3); what cannot be read is a
--- minute.
---@param response lest.http.response
---@return integer
function M.delay(response)
  local value = response:header_values("Retry-After")[1]
  return value and core.http.retry_after(value) or DEFAULT_DELAY
end

local CODES <const> = {
  [202] = "pending", [401] = "unauthenticated", [403] = "refused", [429] = "unavailable",
  [503] = "unavailable",
}

local MESSAGES <const> = {
  [202] = "the request is pending",
  [401] = "not authenticated",
  [403] = "the server refuses the request",
  [404] = "the server does not offer this (404); is the label right?",
  [503] = "the server is not available now",
}

--- The error that an answer is.
---@param response lest.http.response
---@param fields? { code?: string, message?: string, rfc?: string, reason?: string }
---@return lest.error
function M.error(response, fields)
  fields = fields or {}
  local status = response.status
  local said = not fields.reason and M.status(response)
  local why = fields.reason or said and cmc.text(said) or reason(response)
  local id = response:header "X-Request-Id"
  local code = fields.code or CODES[status] or "http"
  local phrase = core.http.reason(status)
  return core.error.new {
    code = code, status = status, rfc = fields.rfc,
    message = fields.message or MESSAGES[status]
      or ("the server answered %d%s"):format(status, phrase ~= "" and " " .. phrase or ""),
    reason = why and M.clean(why) ~= "" and M.clean(why) or nil,
    request_id = id and M.clean(id):sub(1, 100) or nil,
    retry_after = (code == "pending" or code == "unavailable") and M.delay(response) or nil,
  }
end

--- The error of a successful answer in which something cannot be read.
---@param response lest.http.response
---@param cause lest.error
---@return nil
---@return lest.error
function M.unreadable(response, cause)
  return fail("protocol", "the answer cannot be read",
    { status = response.status, cause = cause })
end

--- Whether the media type of a successful answer is the operation's, and nothing is coded.
local function check_type(response, operation)
  local content_type = response:header "Content-Type"
  if not core.est.response_media_fits(operation, content_type) then
    local shown = content_type and "'" .. M.clean(content_type) .. "'" or "without a Content-Type"
    return nil, M.error(response, { code = "protocol", rfc = "7030 3.2.4",
      message = "the answer is " .. shown .. ", which is no answer to " .. operation })
  end
  local coding = response:header "Content-Encoding"
  if coding and coding:lower() ~= "identity" then
    return nil, M.error(response, { code = "protocol",
      message = "the answer has a content coding that nobody asked for" })
  end
  return true
end

--- The DER in a successful answer. Its media type must be the operation's; its body may be base64
--- in any lines, PEM or raw DER.
---@param response lest.http.response
---@param operation string
---@return string? der
---@return lest.error? err
function M.body(response, operation)
  local ok, err = check_type(response, operation)
  if not ok then return nil, err end
  local der
  der, err = core.est.body_decode(response.body)
  if der then return der end
  return M.unreadable(response, err)
end

--- The parts of a multipart answer.
---@param response lest.http.response
---@param operation string
---@return { type: string?, body: string }[]?
---@return lest.error? err
function M.parts(response, operation)
  local ok, err = check_type(response, operation)
  if not ok then return nil, err end
  local parts
  parts, err = core.est.mixed_decode(response:header "Content-Type", response.body)
  if parts then return parts end
  return M.unreadable(response, err)
end

--- The certificates in a successful answer; CRLs beside them are dropped.
---@param response lest.http.response
---@param operation string
---@return lest.cert[]?
---@return lest.error? err
function M.certificates(response, operation)
  local der, err = M.body(response, operation)
  local certs, problem = nil, err
  if der then certs, problem = core.pkcs7.decode(der) end
  if certs then return certs end
  -- Servers that know CMC say 200 of a failure, too (RFC 5273 4).
  local status = M.status(response)
  if cmc.is_failure(status) then return nil, M.error(response, M.of_status(status)) end
  if not der then return nil, err end
  return M.unreadable(response, problem)
end

return M
