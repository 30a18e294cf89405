--- URLs (RFC 3986), strictly, for HTTP: what is refused here would mean different things to
--- different readers.
---
---   local url = require "lest.url"
---   local where = assert(url.parse "https://est.example.com:8443/a?b")
---   print(where.host, where.port, where.path)
---   "https://inventory/devices/" .. url.escape(serial)
local terminal = require "lest.base.terminal"

---@class lest.module.url
local M = {}

---@class lest.url
---@field scheme string "https" or "http"
---@field host string in lower case; an IPv6 address without its brackets
---@field port integer the scheme's own where the text has none
---@field path string begins with "/"
---@field query string? without "?"
local Url = { __name = "lest.url" }
Url.__index = Url

local PORTS <const> = { https = 443, http = 80 }

--- Percent-encode every byte that is not unreserved (RFC 3986 2.3): safe inside a path segment or a
--- query.
---@param text string
---@return string
function M.escape(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Undo percent-encoding once.
---@param text string
---@return string|nil text nil if a "%" is not followed by two hex digits
function M.unescape(text)
  if text:find("%%%X") or text:find("%%%x?$") or text:find("%%%x%X") then return nil end
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function host_and_port(authority, scheme)
  if authority:find("@", 1, true) then return nil, "it holds a user name" end
  local host, rest = authority:match "^%[([%x:%.]+)%](.*)$"
  if not host then
    host, rest = authority:match "^([^:%[%]]*)(.*)$"
    if not host or host == "" then return nil, "it has no host" end
    -- Letters of any script; the client turns them into A-labels.
    local odd = host:find "[^%w%-%._\x80-\xff]" or host:find("..", 1, true) or host:find "^%."
    if odd or #host > 253 then return nil, "its host is malformed" end
  elseif not host:find(":", 1, true) then
    return nil, "its host is malformed"
  end
  if rest == "" or rest == ":" then return host:lower(), PORTS[scheme] end
  local port = rest:match "^:(%d%d?%d?%d?%d?)$"
  port = port and math.tointeger(tonumber(port))
  if not port or port < 1 or port > 65535 then return nil, "its port is malformed" end
  return host:lower(), port
end

-- RFC 3986 5.2.4
local function remove_dots(path)
  local out = {}
  for segment in path:gmatch "/([^/]*)" do
    if segment == ".." then
      out[#out] = nil
    elseif segment ~= "." then
      out[#out + 1] = segment
    end
  end
  if path:find "/%.%.?$" then out[#out + 1] = "" end
  return "/" .. table.concat(out, "/")
end

-- What is before an "@" may be a password. A server may have written it (Location): no pattern that
-- would look to the end again from each of many slashes.
local function problem(text, what)
  text = tostring(text)
  local _, slashes = text:find("//", 1, true)
  local at = text:match "^.*()@"
  if slashes and at and at > slashes then text = text:sub(1, slashes) .. "***" .. text:sub(at) end
  return nil, ("'%s' is no usable URL: %s"):format(terminal.safe(text:sub(1, 150)), what)
end

local function check_characters(text)
  if text:find "[%c%s\x7f\"<>\\^`{|}]" then return "it has a character that a URL may not have" end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then
    return "a '%' is not followed by two hex digits"
  end
end

--- Read an absolute http or https URL. A fragment is dropped.
---@param text string
---@return lest.url|nil
---@return string|nil problem a sentence
function M.parse(text)
  if type(text) ~= "string" or text == "" then return problem(text, "it is empty") end
  local wrong = check_characters(text)
  if wrong then return problem(text, wrong) end
  local scheme, authority, rest = text:match "^(%a[%w+.-]*)://([^/?#]*)(.*)$"
  if not scheme then return problem(text, "it does not begin with https://") end
  scheme = scheme:lower()
  if not PORTS[scheme] then return problem(text, "its scheme is not https") end
  local host, port = host_and_port(authority, scheme)
  if not host then return problem(text, port) end
  local path, query = rest:gsub("#.*$", ""):match "^([^?]*)%??(.*)$"
  if path:find "[\x80-\xff]" or query:find "[\x80-\xff]" then
    return problem(text, "letters outside of ASCII must be percent-encoded")
  end
  if path == "" then path = "/" end
  if not rest:gsub("#.*$", ""):find("?", 1, true) then query = nil end
  local found = { scheme = scheme, host = host, port = port, path = path, query = query }
  return setmetatable(found, Url)
end

--- "host:port" in brackets where needed; without the port where it is the scheme's own.
---@return string
function Url:authority()
  local host = self.host:find(":", 1, true) and "[" .. self.host .. "]" or self.host
  return self.port == PORTS[self.scheme] and host or host .. ":" .. self.port
end

--- What may share secrets (RFC 6454): scheme, host and port.
---@return string
function Url:origin()
  return self.scheme .. "://" .. self:authority()
end

function Url:__tostring()
  return self:origin() .. self.path .. (self.query and "?" .. self.query or "")
end

--- The URL that a reference (a Location) means, seen from base (RFC 3986 5.2).
---@param base lest.url
---@param reference string
---@return lest.url|nil
---@return string|nil problem
function M.resolve(base, reference)
  local wrong = check_characters(reference)
  if wrong then return problem(reference, wrong) end
  local ref = reference:gsub("#.*$", "")
  if ref:find "^%a[%w+.-]*:" then return M.parse(ref) end
  if ref:sub(1, 2) == "//" then return M.parse(base.scheme .. ":" .. ref) end
  local path, query = ref:match "^([^?]*)%??(.*)$"
  if not ref:find("?", 1, true) then query = nil end
  if path == "" then
    path, query = base.path, query or base.query
  elseif path:sub(1, 1) ~= "/" then
    path = base.path:gsub("[^/]*$", "") .. path
  end
  return M.parse(base:origin() .. remove_dots(path) .. (query and "?" .. query or ""))
end

return M
