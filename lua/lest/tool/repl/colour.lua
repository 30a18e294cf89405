--- Colours of what the REPL shows at a terminal. A pipe, NO_COLOR (no-color.org) and a terminal
--- that has none get none.
---
---   local paint = colour.new(colour.is_wanted())
---   paint.value 'x = "1"'   paint.error "error: ..."
local core = require "lest.core"

local M = {}

local RESET <const> = "\27[0m"
local STYLES <const> = { string = "\27[32m", number = "\27[36m", word = "\27[35m",
  error = "\27[31m", place = "\27[2m" }
local WORDS <const> = { ["nil"] = true, ["true"] = true, ["false"] = true }

--- Whether standard output is a terminal that shows colours, and nobody objects.
---@param fd? integer 2: the same of standard error
---@return boolean
function M.is_wanted(fd)
  local no_color, term = os.getenv "NO_COLOR", os.getenv "TERM"
  return (no_color == nil or no_color == "") and term ~= nil and term ~= "" and term ~= "dumb"
    and core.system.is_terminal(fd or 1)
end

local function in_style(style, text)
  return STYLES[style] .. text .. RESET
end

-- Numbers and words of a value, outside of its strings.
local function paint_plain(text)
  return (text:gsub("%f[%w_.][%w_.]+", function(word)
    if WORDS[word] then return in_style("word", word) end
    if tonumber(word) then return in_style("number", word) end
  end))
end

-- A value that show.text wrote: its strings escape quotes and have no line end.
local function paint_value(text)
  local parts, at = {}, 1
  while true do
    local open = text:find('"', at, true)
    if not open then break end
    local close = open
    repeat
      close = text:find('[\\"]', close + 1)
      local escaped = close and text:sub(close, close) == "\\"
      if escaped then close = close + 1 end
    until not escaped
    if not close then break end
    parts[#parts + 1] = paint_plain(text:sub(at, open - 1))
    parts[#parts + 1] = in_style("string", text:sub(open, close))
    at = close + 1
  end
  parts[#parts + 1] = paint_plain(text:sub(at))
  return table.concat(parts)
end

-- The first line is the error, what follows says where.
local function paint_error(text)
  local first, rest = text:match "^([^\n]*)(.*)$"
  return in_style("error", first) .. (rest ~= "" and in_style("place", rest) or "")
end

local function plain(text) return text end

---@class lest.repl.paint
---@field value fun(text: string): string
---@field error fun(text: string): string
---@field note fun(text: string): string what stands beside the matter

---@param is_wanted boolean
---@return lest.repl.paint
function M.new(is_wanted)
  if not is_wanted then return { value = plain, error = plain, note = plain } end
  return { value = paint_value, error = paint_error,
    note = function(text) return in_style("place", text) end }
end

return M
