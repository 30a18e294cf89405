--- An HTTP exchange of a policy as its decision's record has it: what was asked, without its
--- secrets, and what was answered.
local core = require "lest.core"

local M = {}

-- What a question does not consist of: who asks.
local CREDENTIALS <const> = { authorization = true, cookie = true, ["proxy-authorization"] = true }

-- The longest body that a record may hold.
local BODY_MAX <const> = 65536

--- A hash of the headers and the body, but for what proves who asks.
local function hash_of(query, headers, body)
  local parts = {}
  for _, header in ipairs(headers) do
    local name = tostring(header[1]):lower()
    if not CREDENTIALS[name] then parts[#parts + 1] = name .. ":" .. tostring(header[2]) end
  end
  if query == "" and not body and not parts[1] then return nil end
  table.sort(parts)
  local all = string.pack("s4s4s4", query, body or "", table.concat(parts, "\n"))
  return core.secret.sha256(all):sub(1, 16)
end

--- What a request asks: method and URL, and a hash of all else.
---@param options { url: string, method?: string, show_query?: boolean }
---@param headers string[][]
---@param body string?
---@return string "GET https://inventory/devices?... (0f3c9a...)"
function M.question(options, headers, body)
  local url = tostring(options.url):gsub("#.*$", ""):gsub("^([^/]*//)[^/]*@", "%1***@")
  local where, query = url:match "^([^?]*)%??(.*)$"
  if options.show_query then where, query = url, "" end
  local hash = hash_of(query, headers, body)
  return ("%s %s%s%s"):format(options.method or "GET", where, query ~= "" and "?..." or "",
    hash and (" (%s)"):format(hash) or "")
end

--- An answer for the record, without cookies. A body that is no text is base64; of a long one there
--- is the hash.
---@param response lest.http.response
---@return table answer
function M.answer(response)
  local headers, body = {}, response.body
  for _, header in ipairs(response.headers) do
    if header[1]:lower() ~= "set-cookie" then headers[#headers + 1] = { header[1], header[2] } end
  end
  local answer = { status = response.status, headers = headers }
  if #body > BODY_MAX then
    answer.body_sha256 = core.secret.sha256(body)
  elseif utf8.len(body) then
    answer.body = body
  else
    answer.body_base64 = core.base64.encode(body)
  end
  return answer
end

--- The fields of a response from the record. It raises where the record has no body.
---@param answer table
---@param question string
---@return { status: integer, headers: string[][], body: string }
function M.response(answer, question)
  local body = answer.body or answer.body_base64 and core.base64.decode(answer.body_base64)
  if not body then
    error(("not decidable: the record has no body of the answer to %s"):format(question), 0)
  end
  return { status = answer.status, headers = answer.headers or {}, body = body }
end

return M
