--- Patterns of names: "*" stands for any characters or none, "?" for one, all else for itself, from
--- the first character to the last.
---
--- They are no patterns of Lua: there "." and "-" mean something, which names are full of, half a
--- name is enough for a match, and a hostile name can keep string.find busy past every deadline.
--- Here the steps are at most as many as the lengths of the two multiplied.
---
---   glob.matches(glob.parse "device-*", "device-7")   --> true
local M = {}

local NAME_MAX <const> = 1024
-- In a pattern; no character has such a number.
local STAR <const>, ONE <const> = -1, -2
local WILD <const> = { [utf8.codepoint "*"] = STAR, [utf8.codepoint "?"] = ONE }

local function characters(text)
  return #text <= NAME_MAX and utf8.len(text) and { utf8.codepoint(text, 1, -1) } or nil
end

---@param text string
---@return integer[]|nil pattern nil: not UTF-8, or too long
function M.parse(text)
  local pattern = characters(text)
  for i, character in ipairs(pattern or {}) do pattern[i] = WILD[character] or character end
  return pattern
end

--- Put a text behind a pattern in which each character stands for itself.
---@param pattern integer[]
---@param text string
---@return integer[]|nil pattern the same; nil: not UTF-8, or too long
function M.add_plain(pattern, text)
  local more = characters(text)
  if not more or #pattern + #more > NAME_MAX then return nil end
  return table.move(more, 1, #more, #pattern + 1, pattern)
end

--- Whether the whole of a name matches. One with "*" in it, as a wildcard of DNS, never does: it
--- stands for more names than the pattern's author sees. Nor does one of over 1024 bytes.
---@param pattern integer[] of parse
---@param name string
---@return boolean
function M.matches(pattern, name)
  local given = not name:find("*", 1, true) and characters(name)
  if not given then return false end
  local at, i, star, retry = 1, 1, nil, nil
  while i <= #given do
    if pattern[at] == STAR then
      star, retry, at = at, i, at + 1
    elseif pattern[at] == ONE or pattern[at] == given[i] then
      at, i = at + 1, i + 1
    elseif star then -- the last star takes one character more
      retry = retry + 1
      at, i = star + 1, retry
    else
      return false
    end
  end
  while pattern[at] == STAR do at = at + 1 end
  return at > #pattern
end

--- Whether a name matches one of some patterns.
---@param patterns integer[][]
---@param name string
---@return boolean
function M.any(patterns, name)
  for _, pattern in ipairs(patterns) do
    if M.matches(pattern, name) then return true end
  end
  return false
end

return M
