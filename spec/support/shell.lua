--- The lest binary as a user types it.
---   shell.lest("run", script)   --> { code = 0, out = "...", err = "..." }
local process = require "support.process"

local M = { quote = process.quote, capture = process.capture, binary = process.lest }

--- Run a shell command; input is its standard input (default: empty).
---@param command string
---@param input? string
---@return { code: integer, out: string, err: string }
function M.run(command, input)
  local code, out, err = process.run(command, { stdin = input })
  return { code = code, out = out, err = err }
end

--- The words of a lest command as one shell command.
---@param ... string
---@return string
function M.line(...)
  return process.line { M.binary, ... }
end

--- Run lest with these words.
---@param ... string
---@return { code: integer, out: string, err: string }
function M.lest(...)
  return M.run(M.line(...))
end

--- Start `lest run` on a script in the background; its first line of output is the process id, then
--- come the script's own lines. Close the pipe to wait for the end.
---@param script string
---@param ... string
---@return file* pipe
---@return string pid
function M.start(script, ...)
  local pipe = assert(io.popen("echo $$; exec " .. M.line("run", script, ...)))
  return pipe, pipe:read "l"
end

return M
