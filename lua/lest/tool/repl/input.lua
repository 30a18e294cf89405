--- What is typed at a prompt, line by line: a command of the prompt, or code that may go on over
--- many lines. A prompt has `buffer`, for the lines of code that is not finished, and `keep`, for
--- the history.
local scan = require "lest.tool.repl.scan"

local M = {}

--- Take one line. "more": the code goes on; "quit": the user wants to leave.
---@param prompt table
---@param line string
---@param command fun(prompt: table, line: string): ("done"|"quit")? nothing where it is code
---@param evaluate fun(prompt: table, source: string)
---@return "done"|"more"|"quit"
function M.feed(prompt, line, command, evaluate)
  if not prompt.buffer then
    local result = command(prompt, line)
    if result then return result end
    if line:find "^%s*$" then return "done" end
  end
  local source = prompt.buffer and prompt.buffer .. "\n" .. line or line
  if scan.is_unfinished(source) then
    prompt.buffer = source
    return "more"
  end
  prompt.buffer = nil
  prompt.keep(source)
  evaluate(prompt, source)
  return "done"
end

return M
