--- The config role: evaluates the configuration, so that the supervisor, which may be root, runs no
--- Lua. What it writes: lines `key=value` for the supervisor, an empty line, the configuration as
--- JSON for the other roles, and the keys and paths of the files that they shall get with it.
local core = require "lest.core"
local fail = require "lest.base.fail"
local load_config = require "lest.server.config.load"
local snapshot = require "lest.server.config.snapshot"

local M = {}

local FILE_MAX <const> = 1024 * 1024

-- The file is read by the account that started the server, and evaluated as the account `nobody`.
local function evaluate(launch)
  local source, err = core.file.read(launch.path, FILE_MAX)
  if not source then
    return fail("config", "the configuration cannot be read", { cause = err })
  end
  local ok
  ok, err = core.process.drop "nobody"
  if ok then ok, err = core.process.harden() end
  if not ok then return nil, err end
  local overrides = #launch.listen > 0 and { listen = launch.listen } or nil
  return load_config.parse(source, launch.path, overrides)
end

local function complain(launch, err)
  local message = tostring(err):gsub("%s*\n%s*", "; ")
  if launch.generation > 1 then
    core.log.write("error", "configuration", { "message", message })
  else
    io.stderr:write("lest serve: ", message, "\n")
  end
end

---@param launch table what the host gives a role
---@return integer exit_code 2 for a configuration that cannot be
function M.main(launch)
  local config, err = evaluate(launch)
  if not config then
    complain(launch, err)
    return 2
  end
  for _, pair in ipairs(snapshot.supervisor(config)) do
    launch.output:write(pair[1], "=", pair[2], "\n")
  end
  launch.output:write("\n", snapshot.json(config), "\0")
  for _, pair in ipairs(snapshot.files(config)) do
    launch.output:write(pair[1], "\0", pair[2], "\0")
  end
  return launch.output:close() and 0 or 1
end

return M
