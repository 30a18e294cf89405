--- Where an error of a task comes from: the stack that raised it, and who started the task. That
--- stack is gone once the error is raised again where the task is waited for.
local core = require "lest.core"

local M = {}

local MARK <const> = "\nstack traceback:"

--- Where the function at this level stands, as "script.lua:12"; one in C has its caller's place.
---@param level integer as for error(): 1 is the caller
---@return string
function M.here(level)
  local info
  repeat
    level = level + 1
    info = debug.getinfo(level, "Sl")
    if not info then return "?" end
  until info.currentline > 0
  return ("%s:%d"):format(info.short_src, info.currentline)
end

--- Give an error its origin: a text grows, a lest.error gets `traceback`, any other value stays.
---@param err any
---@param trace string of debug.traceback
---@param started string who started the task, as of here()
---@return any err
function M.add(err, trace, started)
  -- That memory was short is known by this text and no other.
  if err == "not enough memory" then return err end
  local origin = ("%s\n\t(a task that was started at %s)"):format(trace, started)
  if type(err) == "string" then return err .. "\n" .. origin end
  if core.error.is(err) then err.traceback = err.traceback or origin end
  return err
end

--- An error with its origin, as a text; nil where it can have none.
---@param err any
---@return string?
function M.text(err)
  if type(err) == "string" then return err end
  local traceback = type(err) == "table" and rawget(err, "traceback")
  return traceback and ("%s\n%s"):format(err, traceback) or nil
end

--- The error's own words, without the origin.
---@param text string
---@return string
function M.words(text)
  local mark = text:find(MARK, 1, true)
  return mark and text:sub(1, mark - 1) or text
end

return M
