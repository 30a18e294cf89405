--- What keeps a role from starting: said with the key of the configuration that it is about.
---
---   if not cert then return start_failure.blame("ca.cert", err) end
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

--- An error with the key of the configuration that it is about, as wrong as any other there.
---@param where string "ca.key"
---@param err lest.error
---@return nil
---@return lest.error
function M.blame(where, err)
  return fail(err.code, ("%s: %s"):format(where, err.message),
    { detail = err.detail, cause = err.cause, exit_code = 2 })
end

--- Say why a role cannot start: in a check as a sentence, else in the log.
---@param launch table what the host gives a role
---@param err lest.error
---@return integer exit_code
function M.report(launch, err)
  if launch.check then
    io.stderr:write("lest serve: ", (tostring(err):gsub("%s*\n%s*", "; ")), "\n")
  else
    core.log.write("error", "cannot start", { "message", tostring(err) })
  end
  return err.exit_code or 1
end

return M
