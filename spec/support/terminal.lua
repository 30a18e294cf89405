--- A command at a real terminal, which util-linux's script gives it. Each key waits for what the
--- one before shows.
---
---   local terminal <close> = terminals.start(shell.line "repl")
---   terminal:expect "> "
---   terminal:type("6*7\n", "\n42\r")
local process = require "support.process"

local M = {}

local Terminal = {}
Terminal.__index = Terminal

---@param line string for a shell
---@return table
function M.start(line)
  local folder = process.folder()
  local fifo = folder .. "/keys"
  local self = setmetatable({ folder = folder, file = folder .. "/shown", seen = 0 }, Terminal)
  process.must { "mkfifo", fifo }
  process.write(self.file, "")
  self.pid = process.start({ "sh", "-c",
    ("XDG_STATE_HOME=%s TERM=xterm exec script -qefc %s %s <%s"):format(folder,
      process.quote(line), self.file, fifo) }, folder .. "/out", folder .. "/err")
  self.keys = assert(io.open(fifo, "w"))
  self.keys:setvbuf "no"
  return self
end

--- All that was shown.
function Terminal:shown()
  return process.read(self.file)
end

--- Wait until a text is shown, after the one that was waited for last.
---@param text string
function Terminal:expect(text)
  local ok, problem = pcall(process.wait_for, function()
    local _, last = self:shown():find(text, self.seen + 1, true)
    self.seen = last or self.seen
    return last
  end, ("%q"):format(text), 30)
  if not ok then error(problem .. "\n" .. self:shown():sub(self.seen + 1), 2) end
end

--- Press keys, and wait for what they show.
---@param keys string
---@param text string
function Terminal:type(keys, text)
  self.keys:write(keys)
  self:expect(text)
end

--- The process at the terminal, which `script` has started.
---@return integer
function Terminal:child()
  return process.own(assert(math.tointeger(tonumber(process.capture("pgrep -P " .. self.pid)))))
end

--- Press keys and wait until it has ended.
---@param keys string
function Terminal:leave(keys)
  self.keys:write(keys)
  process.wait_for(function() return not process.alive(self.pid) end, "the end", 30)
end

function Terminal:close()
  if process.alive(self.pid) then process.kill(self.pid, "KILL") end
  self.keys:close()
  os.execute("rm -r " .. self.folder)
end
Terminal.__close = Terminal.close

return M
