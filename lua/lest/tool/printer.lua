--- What another process prints, on its way to a stream of ours: as it is into a file or a pipe, and
--- without what a terminal would obey.
---
---   local out = printer.new(io.stdout, 1)
---   out:write("a\27[2Jb")   --> a\x1b[2Jb at a terminal
local core = require "lest.core"
local terminal = require "lest.base.terminal"

local M = {}

---@class lest.tool.printer
local Printer = {}
Printer.__index = Printer

---@param stream file*
---@param descriptor integer of the stream
---@return lest.tool.printer
function M.new(stream, descriptor)
  return setmetatable({ stream = stream, held = "",
    is_terminal = core.system.is_terminal(descriptor) }, Printer)
end

-- A character whose bytes have not all come.
local function cut_character(bytes)
  local tail = bytes:match "[\xc2-\xf4][\x80-\xbf]*$"
  if not tail or utf8.len(tail) then return "" end
  local length = tail:byte() >= 0xf0 and 4 or tail:byte() >= 0xe0 and 3 or 2
  return #tail < length and tail or ""
end

--- Write it, and have it there.
---@param bytes string
---@return boolean ok
function Printer:write(bytes)
  if self.is_terminal then
    bytes = self.held .. bytes
    self.held = cut_character(bytes)
    bytes = terminal.text(bytes:sub(1, #bytes - #self.held))
  end
  return (self.stream:write(bytes) and self.stream:flush()) and true or false
end

return M
