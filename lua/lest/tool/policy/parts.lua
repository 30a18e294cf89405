--- Processes of this binary that do a part of a command on recorded decisions
--- (tool/policy/replay_part): who reads a ledger as its owner can be nobody else afterwards, and
--- who decides must be.
---
---   local pipe <close> = parts.open(job, "read", "decide")
---   local said, err = parts.next(pipe)
local fail = require "lest.base.fail"
local json = require "lest.json"
local support = require "lest.tool.command.support"

local M = {}

--- A pipe from processes, one after the other's output, which a shell starts.
---@param job lest.replay.job
---@param ... string their parts: "read", "decide"
---@return file*
function M.open(job, ...)
  local words = {}
  for i, part in ipairs { ... } do
    words[i] = ('"/proc/$PPID/exe" policy --part %s %s 2>/dev/null'):format(part,
      support.quote(json.line(job)))
  end
  return assert(io.popen(table.concat(words, " | ")))
end

--- What a process says next; nil and an error where it has failed.
---@param pipe file*
---@return table|nil said
---@return lest.error|nil err
function M.next(pipe)
  local line = pipe:read "L"
  local said = line and json.decode(line)
  if not said then return fail("internal", "a process that reads ended before it was done") end
  if said.failed then return fail(said.failed.code, said.failed.message) end
  return said
end

return M
