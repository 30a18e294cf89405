--- What nobody who looks on an exchange may see is masked here: passwords, cookies, tokens, the
--- secrets in a CSR, private keys.
---
---   secrets.headers { { "Cookie", "id=17" } }   --> { { "Cookie", "***" } }
local core = require "lest.core"

local M = {}

local MASK <const> = "***"

-- In the name of a header, in lower case.
local NAMES <const> = { "authorization", "^x%-auth", "cookie", "token", "secret", "passw",
  "passphrase", "credential", "%-key$", "apikey" }

local function is_secret(name)
  name = name:lower()
  for _, word in ipairs(NAMES) do
    if name:find(word) then return true end
  end
  return false
end

-- The scheme of an Authorization header is none.
local function mask_value(name, value)
  local scheme = name:lower():find "authorization" and value:match "^%s*(%a+) "
  return scheme and scheme .. " " .. MASK or MASK
end

--- Text with the secrets masked that stand in the query of an address: /x?token=abc
---@param text string
---@return string
function M.address(text)
  return (text:gsub("([?&;])([^=&;?%s]+)=[^&;%s]+", function(before, name)
    return is_secret(name) and before .. name .. "=" .. MASK or nil
  end))
end

--- A list of { name, value } with its secrets masked.
---@param list string[][]
---@return string[][]
function M.headers(list)
  local masked = {}
  for i, header in ipairs(list) do
    local name, value = header[1], header[2]
    masked[i] = { name, is_secret(name) and mask_value(name, value) or M.address(value) }
  end
  return masked
end

-- Bytes whose lines may be headers. A line that begins with a blank goes on with the header before
-- it (RFC 9112 5.2).
local function lines(bytes)
  local hidden = false
  return (bytes:gsub("([^\r\n]+)", function(line)
    if line:find "^[ \t]" then return hidden and " " .. MASK or nil end
    local name, value = line:match "^([^:]*):(.*)$"
    hidden = name ~= nil and is_secret(name)
    return hidden and name .. ": " .. mask_value(name, value) or M.address(line)
  end))
end

-- challengePassword (RFC 2985 5.4.1); otpChallenge, revocationChallenge and estIdentityLinking
-- (RFC 7894), as DER has them.
local ATTRIBUTES <const> = {
  "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07",
  "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x38",
  "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x39",
  "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3a",
}

-- Where the content of an element begins and ends that begins at `at`; as far as there are bytes.
local function content(der, at)
  local length = der:byte(at + 1)
  if not length then return nil end
  local first = at + 2
  if length > 0x80 and length <= 0x84 and #der >= first + length - 0x81 then
    length, first = (">I" .. length - 0x80):unpack(der, first)
  end
  return first, math.min(first + length - 1, #der)
end

local function mask_attribute(der, at)
  local first = content(der, at) -- SET
  if not first then return der end
  local from, to = content(der, first) -- its first value
  if not from then return der end
  return der:sub(1, from - 1) .. ("*"):rep(to - from + 1) .. der:sub(to + 1)
end

--- DER with the secrets of its attributes masked, as long as it was.
local function mask_der(der)
  for _, oid in ipairs(ATTRIBUTES) do
    local _, at = der:find(oid, 1, true)
    while at do
      der = mask_attribute(der, at + 1)
      _, at = der:find(oid, at + 1, true)
    end
  end
  return der
end

-- The sizes of chunks, which may stand in the middle of what is looked for.
local function without_sizes(bytes)
  return (bytes:gsub("\r?\n%x+\r?\n", ""))
end

-- Whether somebody with patience could still read a secret in a broken body: base64 that begins
-- anywhere, with whatever stands between its letters.
local function has_secret(bytes)
  for _, text in ipairs { bytes, without_sizes(bytes) } do
    local letters = text:gsub("[^%w+/]", "")
    for first = 1, 4 do
      local last = #letters - (#letters - first + 1) % 4
      local der = core.base64.decode(letters:sub(first, last)) or ""
      if mask_der(der) ~= der then return true end
    end
  end
  return false
end

--- The body of a request with the secrets of its CSR masked.
---@param bytes string
---@return string body
---@return boolean is_masked
function M.body(bytes)
  local der = core.est.body_decode(bytes)
  if der then
    local masked = mask_der(der)
    if masked == der then return bytes, false end
    return core.est.body_encode(masked), true
  end
  if has_secret(bytes) then return MASK, true end
  local masked = lines(mask_der(bytes)) -- behind one request there may be the head of another
  return masked, masked ~= bytes
end

-- An answer that brings a private key (RFC 7030 4.4.2).
local function has_key(bytes)
  bytes = without_sizes(bytes:lower())
  return bytes:find("pkcs8", 1, true) or bytes:find("pkcs12", 1, true)
    or bytes:find("private key-----", 1, true)
end

--- The bytes of an answer's body, or as many stars.
---@param bytes string
---@param media_type? string
---@return string
function M.answer_body(bytes, media_type)
  if has_key(bytes) or media_type and has_key(media_type) then return ("*"):rep(#bytes) end
  return bytes
end

-- The head and what comes behind it. 100 and 103 come before the answer: their heads belong to it.
local function split(bytes)
  local last = 0
  repeat
    local is_interim = bytes:find("^HTTP/1%.%d 1%d%d", last + 1)
    local _, stop = bytes:find("\r?\n\r?\n", last + 1)
    last = stop or #bytes
  until not is_interim or not stop
  return bytes:sub(1, last), bytes:sub(last + 1)
end

--- The bytes of a request, head and body, with its secrets masked.
---@param bytes string
---@return string
function M.request(bytes)
  local first, rest = split(bytes)
  return lines(first) .. (M.body(rest))
end

--- The bytes of an answer, or of what came instead, with its secrets masked.
---@param bytes string
---@return string
function M.answer(bytes)
  local first, rest = split(bytes)
  return lines(first) .. M.answer_body(rest, first)
end

return M
