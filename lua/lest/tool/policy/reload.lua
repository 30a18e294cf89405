--- `lest policy reload`: SIGHUP for who wants to know what came of it.
local control = require "lest.tool.control"
local fail = require "lest.base.fail"
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local support = require "lest.tool.command.support"

local M = {}

---@param parser table
function M.add(parser)
  local command = support.subcommand(parser, { name = "reload",
    summary = "Have the server that runs read its configuration and policies again, and wait: exit "
      .. "code 0 when it serves with them, 2 when they cannot be, 1 when something else kept them "
      .. "out. What served before goes on then.",
    example = "lest policy reload --config /etc/lest/server.lua" })
  command:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration, for its control socket."
  command:option "--control":argname "SOCKET":description "The control socket itself."
  command:flag "--if-running"
    :description "Exit code 0 also where no server runs: its next start reads them."
  command:flag "--json":description "Print JSON."
end

-- The generation that was asked may have given its place to another one before it heard of it.
local ATTEMPTS <const> = 5

local function ask(path)
  for _ = 1, ATTEMPTS do
    local session <close>, err = control.enter(path)
    if not session then return nil, err end
    local is_stopping = false
    session.on_event = function(frame) is_stopping = is_stopping or frame.event == "stopping" end
    local done
    done, err = session:ask { op = "reload" }
    if done or not is_stopping then return done, err end
  end
  return fail("unavailable", path .. ": the server ends")
end

--- Have the server of a configuration read it again, and wait.
---@param config { control: table|false }
---@return true? done
---@return lest.error? err not_found: no server runs there
function M.ask(config)
  if not config.control then
    return fail("usage", "the configuration has no control socket: send SIGHUP, and read the log")
  end
  local path = config.control.path
  local done, err = ask(path)
  if done then return true end
  if err.code == "not_found" or err.code == "closed" then
    return fail("not_found", path .. ": no server runs there")
  end
  err.message = "what served before goes on: " .. err.message
  return nil, err
end

---@param options table
---@return integer? exit_code
---@return lest.error? err
function M.run(options)
  local config, err = operate.config(options)
  if not config then return nil, err end
  local done
  done, err = M.ask(config)
  if not done and not (options.if_running and err.code == "not_found") then return nil, err end
  if options.json then support.print_json(json.object { reloaded = done or false })
  else
    io.write(done and "the server serves with the new configuration\n"
      or "no server runs there: the next start takes it up\n")
  end
  return 0
end

return M
