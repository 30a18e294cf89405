-- A role for specs of the host: does what its configuration says, and evaluates what a spec sends
-- to its control address.
local cjson = require "cjson"
local core = require "lest.core"
local sockets = require "support.sockets"

local function control(launch, config)
  return ("@%s-%s-%d-%d"):format(config.control, launch.role, launch.index, launch.generation)
end

local function evaluate(code, env)
  local chunk, err = load(code, "=spec", "t", setmetatable(env, { __index = _G }))
  if not chunk then return err end
  local ok, result = pcall(chunk)
  return (ok and "" or "error: ") .. tostring(result)
end

return function(launch)
  local config = cjson.decode(launch.config)
  local mine = config[launch.role] or {}
  if mine.exit then return math.tointeger(mine.exit) end
  if mine.hang then while true do core.loop.turn() end end
  local user = launch.role == "worker" and config.user or config.authority_user
  assert(mine.stay_root or core.process.drop(user))
  if launch.check then return 0 end
  assert(core.process.harden())
  local env = { launch = launch, config = config, core = core }
  local listener <close> = sockets.listen( -- luacheck: ignore 211
    control(launch, config), function(channel)
      channel:on_message(function(code) channel:send(evaluate(code, env)) end)
    end)
  env.channels = 0
  core.process.on_channel(function(channel)
    env.channels = env.channels + 1
    channel:on_message(function(bytes) env.word = bytes end)
    channel:on_close(core.process.ask_channel)
    if launch.role == "authority" then channel:send("authority of " .. launch.generation) end
  end)
  local stopping = false
  local linger
  local terminate <close> = core.loop.signal(15, function() -- luacheck: ignore 211
    core.log.write("info", "terminating")
    linger = core.loop.timer(math.tointeger(mine.linger_ms or 0), function() stopping = true end)
  end)
  core.process.ready()
  while not stopping do core.loop.turn() end
  return linger and 0
end
