--- The REPL's history: a file of lines, mode 0600, which keeps no line that looks like it holds a
--- secret.
---
---   local history = history.open(path)
---   for _, line in ipairs(history.lines) do ... end
---   history:add "lest.key.generate 'ec:P-256'"
local core = require "lest.core"

local M = {}

local LINES_MAX <const> = 1000
local FILE_MAX <const> = 4 * 1024 * 1024

local History = { __name = "lest.repl.history" }
History.__index = History

--- Where it is: $XDG_STATE_HOME or ~/.local/state, then lest/history. nil without a home.
---@return string|nil path
function M.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not state or state:sub(1, 1) ~= "/" then
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/lest/history"
end

local SECRETS <const> = { "passw", "passphrase", "secret", "token", "bearer", "authorization",
  "private key", "pin%-value", "pin%s*=", "//[^/%s\"']*:[^/%s\"']*@" }

--- Whether a line may be kept.
---@param line string
---@return boolean
function M.keeps(line)
  local lower = line:lower()
  for _, pattern in ipairs(SECRETS) do
    if lower:find(pattern) then return false end
  end
  return not line:find "^%s" and line ~= ""
end

local function make_folders(path)
  local at = 1
  while true do
    at = path:find("/", at + 1, true)
    if not at then return end
    local folder = path:sub(1, at - 1)
    if not core.system.exists(folder) then core.system.make_folder(folder, 448) end -- 0700
  end
end

local function write(path, lines)
  return core.file.write(path, table.concat(lines, "\n") .. (#lines > 0 and "\n" or ""),
    { mode = 384 }) -- 0600
end

--- Open the history; a file that cannot be read or made is no history, not an error.
---@param path string|nil
---@return table history lines: the oldest first
function M.open(path)
  local self = setmetatable({ path = path, lines = {} }, History)
  if not path then return self end
  make_folders(path)
  local text = core.file.read(path, FILE_MAX)
  for line in (text or ""):gmatch "[^\n]+" do self.lines[#self.lines + 1] = line end
  local extra = #self.lines - LINES_MAX
  if extra > 0 then table.move(self.lines, extra + 1, #self.lines + extra, 1) end
  if not text or extra > 0 then
    if not write(path, self.lines) then self.path = nil end
  end
  return self
end

--- Keep a line, unless it is the one before again or looks like it holds a secret. A line that
--- begins with a space is not kept, as in a shell.
---@param line string one line
---@return boolean kept
function History:add(line)
  if not M.keeps(line) or line == self.lines[#self.lines] or line:find "\n" then return false end
  self.lines[#self.lines + 1] = line
  if self.path then
    -- Appended, so that two sessions do not lose each other's lines; the file's mode is set
    -- already.
    local file <close> = io.open(self.path, "a")
    if file then file:write(line, "\n") end
  end
  return true
end

return M
