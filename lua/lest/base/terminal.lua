--- Text from outside, made fit for a terminal and a log.
---
---   terminal.safe "a\27[2Jb"   --> a\x1b[2Jb
---   terminal.line("two\nlines", 400)   --> two lines
local core = require "lest.core"

local M = {}

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
    if not core.utf8.is_unseen(code) then return nil end
    return code < 128 and hex(piece) or ("\\u{%x}"):format(code)
  end))
end

--- The same for a text of lines: their ends and tabulators are kept.
---@param text string
---@return string
function M.text(text)
  return (text:gsub("[^\n\t]+", M.safe))
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
