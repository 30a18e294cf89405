--- Where an error comes from: the line of code, and a short trace. It is read while the stack is
--- there, and shown below the error.
---
---   local frames = place.frames(debug.getinfo(1, "S").source)   -- in xpcall's handler
---   place.text(err, frames, { fn = fn, text = source })
local core = require "lest.core"
local terminal = require "lest.base.terminal"

local M = {}

local FRAMES_MAX <const>, LEVELS_MAX <const> = 5, 200
local LINE_MAX <const>, FILE_MAX <const> = 200, 1024 * 1024

---@class lest.repl.frame
---@field fn function
---@field source string as of debug.getinfo
---@field short string
---@field line integer
---@field name? string

--- The functions of Lua that are called, the innermost first, up to the file that runs the code.
---@param outer string its source
---@return lest.repl.frame[]
function M.frames(outer)
  local frames = {}
  for level = 3, LEVELS_MAX do
    local info = debug.getinfo(level, "Slnf")
    if not info or info.source == outer or #frames == FRAMES_MAX then break end
    if info.currentline > 0 then
      frames[#frames + 1] = { fn = info.func, source = info.source, short = info.short_src,
        line = info.currentline, name = info.name }
    end
  end
  return frames
end

local function line_of(text, number)
  local count = 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    count = count + 1
    if count == number then return line end
  end
end

-- The code of a frame: a file, or what was typed just now. What was typed before is not kept.
local function code_of(frame, statement)
  if statement and (frame.fn == statement.fn or frame.fn == nil) and frame.short == "repl" then
    return statement.text
  end
  local path = frame.source:match "^@(.*)$"
  return path and core.file.read(path, FILE_MAX) or nil
end

local function shown(frame, statement)
  local code = code_of(frame, statement)
  local line = code and line_of(code, frame.line)
  if not line then return nil end
  return ("  %d | %s"):format(frame.line, terminal.line(line, LINE_MAX))
end

-- Where the error's own words say that it is.
local function told(err, frames)
  if type(err) ~= "string" then return nil end
  local short, number = err:match "^([^\n]-):(%d+): "
  number = math.tointeger(tonumber(number))
  if not number then return nil end
  for i, frame in ipairs(frames) do
    if frame.short == short and frame.line == number then return frame, i end
  end
  -- What does not compile has no frame.
  return frames[1] == nil and { short = short, line = number, source = "@" .. short } or nil, 0
end

--- The lines below an error, each with a line end before it; "" where nothing is known.
---@param err any
---@param frames lest.repl.frame[]
---@param statement? { fn?: function, text: string } what was typed
---@return string
function M.text(err, frames, statement)
  local lines = {}
  local frame, at = told(err, frames)
  if not frame then frame, at = frames[1], 1 end
  lines[1] = frame and shown(frame, statement)
  for i = at + 1, #frames do
    local each = frames[i]
    lines[#lines + 1] = ("  called from %s:%d"):format(terminal.line(each.short, LINE_MAX),
      each.line)
  end
  return lines[1] and "\n" .. table.concat(lines, "\n") or ""
end

return M
