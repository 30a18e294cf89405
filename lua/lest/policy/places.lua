--- What a part of a request may be in a name: the characters that mean nothing in its place.
local core = require "lest.core"

local M = {}

---@class lest.policy.place
---@field what string in words
---@field accepts fun(text: string): boolean
---@field sample string one that is accepted

--- Letters and digits, with some others between them.
local function place(what, others, sample)
  return { what = what, sample = sample or "a", accepts = function(text)
    return text:find("^%w+$") ~= nil or text:find("^%w[%w" .. others .. "]*%w$") ~= nil
  end }
end

local LABEL <const> = place("letters, digits and '-' alone, as a label of DNS is", "-")
local WORD <const> = place("letters, digits, '-' and '_' alone", "_-")

-- Names of places and organisations have spaces and letters of every script. What RFC 4514 escapes,
-- and what commonly stands between names, is none of them.
local WORDS <const> = { sample = "a", what = "words without control characters and ,+=\"\\<>;#/*@:",
  accepts = function(text)
    return text ~= "" and core.utf8.is_text(text) and not text:find "[%c,+=\"\\<>;#/*@:]"
      and not text:find "^%s" and not text:find "%s$"
  end }

-- Where a part is not a word.
local SUBJECT <const> = { CN = WORD, UID = WORD, serialNumber = WORD, emailAddress = WORD,
  DC = LABEL, C = place("a country's two letters", "", "AA") }

--- In an alternative name, by its kind. An address is one part as a whole: its "." and ":" are the
--- parser's.
M.SAN = { DNS = LABEL, email = WORD, URI = WORD,
  IP = { what = "an address", sample = "192.0.2.1", accepts = function(text)
    return not text:find "[^%x.:]"
  end } }

--- In an attribute of a subject.
---@param attribute string
---@return lest.policy.place
function M.of(attribute)
  return SUBJECT[attribute] or WORDS
end

return M
