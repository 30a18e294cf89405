--- Text from outside, made fit for a terminal and a log.
---
---   terminal.safe "a\27[2Jb"   --> a\x1b[2Jb
---   terminal.line("two\nlines", 400)   --> two lines
local M = {}

-- What a terminal obeys, or what hides or reorders the text beside it: controls, zero-width and
-- directional marks, separators, tags.
local UNSEEN <const> = { { 0, 31 }, { 127, 159 }, { 0xad, 0xad }, { 0x61c, 0x61c },
  { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
  { 0xe0000, 0xe007f } }

local function is_unseen(code)
  for _, range in ipairs(UNSEEN) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

local function hex(byte)
  return ("\\x%02x"):format(byte:byte())
end

--- Text with \xNN and \u{N} for what is no UTF-8 or cannot be seen.
---@param text string
---@return string
function M.safe(text)
  return (text:gsub("[\0-\31\127-\255][\128-\191]*", function(piece)
    local code = utf8.len(piece) == 1 and utf8.codepoint(piece)
    if not code then return piece:gsub(".", hex) end
    if is_unseen(code) then return code < 128 and hex(piece) or ("\\u{%x}"):format(code) end
  end))
end

--- Text of a peer as one short line: blanks are one space, sequences of a terminal are left out.
---@param text string
---@param most integer bytes
---@return string
function M.line(text, most)
  text = text:sub(1, 4 * most):gsub("\27%[[%d;?]*%a?", ""):gsub("[%c%s]+", " ")
  text = M.safe(text:match "^ *(.-) *$")
  if #text <= most then return text end
  return text:sub(1, most):gsub("[\xc0-\xff][\x80-\xbf]*$", "") .. "..."
end

return M
