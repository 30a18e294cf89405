--- What a credential may be: its kind, its name, its password, how long it lives, its facts.
local core = require "lest.core"
local list = require "lest.base.list"
local psk = require "lest.base.psk"

local M = {}

local NAME_MAX <const> = 255

--- How a credential's secret is proven; the first unless told. One of the last kind proves nothing:
--- it is the key that keys which the server makes are encrypted with.
M.KINDS = { "basic", "digest", "bearer", "challenge", "psk", "srp",
  "key-wrap" }

--- The most bytes of a secret, chosen or shown.
M.SECRET_MAX = 1024

--- The AES key that a text of hex is; nil for none.
---@param text string
---@return string?
function M.wrap_key(text)
  if not text:find "^%x+$" or #text ~= 32 and #text ~= 64 then return nil end
  return (text:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- What is wrong with a name, if anything.
---@param name any
---@return string? problem a sentence
function M.name_problem(name)
  if type(name) ~= "string" or name == "" then return "a credential needs a name" end
  if #name > NAME_MAX then return ("a name has at most %d bytes"):format(NAME_MAX) end
  if not core.utf8.is_text(name) then return "a name is UTF-8 text" end
  -- RFC 7617 section 2: a user-id with a colon cannot be sent, control characters must not be.
  if name:find "[:%c]" then return "a name holds no colon and no control character" end
end

-- As many, and as long, as lest.server.wire.message lets the authority tell a policy.
local function facts_problem(facts)
  local count = 0
  for key, value in pairs(facts) do
    count = count + 1
    local kind = type(value)
    if type(key) ~= "string" or (kind ~= "string" and kind ~= "number" and kind ~= "boolean") then
      return "facts are strings, numbers or booleans by name"
    end
    if not core.utf8.is_text(key) or (kind == "string" and not core.utf8.is_text(value)) then
      return "facts are UTF-8 text"
    end
    if count > 64 or #key > 64 or (kind == "string" and #value > 4096) then
      return "there are at most 64 facts, with names of 64 bytes and texts of 4096"
    end
  end
end

-- RFC 7616 3.3: a response is for one realm, and so is what is stored to check it.
local function realm_problem(wanted)
  if wanted.kind == "digest" and not wanted.realm then return "Digest needs a realm" end
  if wanted.kind ~= "digest" and wanted.realm then return "a realm is of Digest" end
end

--- What is wrong with a credential that is to be made, if anything.
---@param wanted table as of add() in lest.server.ledger.credentials
---@return string? problem a sentence
function M.problem(wanted)
  local password = wanted.password
  if password and (password == "" or #password > M.SECRET_MAX) then
    return ("a password has 1 to %d bytes"):format(M.SECRET_MAX)
  elseif wanted.expires_s and wanted.expires_s < 1 then
    return "a credential lives for a second at least"
  end
  if not list.has(M.KINDS, wanted.kind) then
    return ("there is no kind '%s' of credentials"):format(tostring(wanted.kind))
  end
  -- It is found by a plain hash, and is looked for at any time: one that can be guessed is none.
  if wanted.kind == "bearer" and password then return "a Bearer token is made here, and random" end
  if wanted.kind == "key-wrap" and password and not M.wrap_key(password) then
    return "a key that wraps others is 32 or 64 digits of hex"
  end
  if wanted.kind == "psk" and password and not psk.parse(password) then return psk.PROBLEM end
  if wanted.kind == "srp" and password and password:find "%c" then
    return "a password of SRP holds no control character"
  end
  return M.name_problem(wanted.name) or realm_problem(wanted) or facts_problem(wanted.facts or {})
end

return M
