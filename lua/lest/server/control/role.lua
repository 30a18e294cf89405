--- The control role: operators come to it through a Unix socket while the server runs. It has the
--- account that owns the ledger, and no key, no network and no policy.
local children_module = require "lest.server.control.children"
local commands_module = require "lest.server.control.commands"
local consoles_module = require "lest.server.control.consoles"
local core = require "lest.core"
local errand = require "lest.server.control.errand"
local fail = require "lest.base.fail"
local frames = require "lest.server.control.frames"
local importing = require "lest.tool.import"
local queries_module = require "lest.server.control.queries"
local reloads_module = require "lest.server.control.reloads"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local visitors_module = require "lest.server.control.visitors"

local M = {}

---@class lest.control
---@field config table
---@field launch table
---@field visitors lest.control.visitors
---@field consoles lest.control.consoles
---@field children lest.control.children
---@field commands lest.control.commands
---@field queries lest.control.queries
---@field reloads lest.control.reloads
local Control = {}
Control.__index = Control

local operations <const> = {}

--- What this server is, for who wants to know whether it runs.
function operations.status(control, visitor, frame)
  local config = control.config
  visitor:send(frames.result(frame.id, {
    version = core.version, generation = control.launch.generation, pid = core.process.pid,
    configuration = config.file, ledger = config.ledger, workers = control.consoles:workers(),
  }))
end

function operations.console(control, visitor, frame, text)
  control.consoles:forward(visitor, frame, text)
end

--- A question to the ledger that changes nothing.
function operations.ledger(control, visitor, frame)
  control.queries:ask(visitor, frame)
end

function operations.reload(control, visitor, frame)
  control.reloads:ask(visitor, frame)
end

for _, name in ipairs { "file", "command", "input" } do
  operations[name] = function(control, visitor, frame)
    control.commands[name](control.commands, visitor, frame)
  end
end

function Control:on_frame(visitor, frame, text)
  local operation = operations[frame.op]
  if operation then return operation(self, visitor, frame, text) end
  visitor:refuse(frame, "usage", "this server does not know the operation")
end

--- What those are told who may not come in.
local function where(config)
  local socket = config.control
  return ("%s is for root, for the account that serves it%s"):format(socket.path,
    socket.group and " and for members of the group " .. socket.group or " and for no group")
end

local function find_group(config)
  local group = config.control.group
  if not group then return nil end
  local gid = core.system.group_id(group)
  if gid then return gid end
  return fail("config", ("control.group: there is no group %s"):format(group))
end

-- What `lest cert import` goes by, read while it can be; where it cannot, the command says so.
local function keep_trust(config)
  local files = {}
  for _, file in pairs(config.anchors) do files[file] = config.files[file] end
  for _, file in ipairs(config.crls) do files[file] = config.files[file] end
  config.files, config.issuers = files, importing.issuers(config)
end

-- Entered while it can be: what is above may be closed to the account, as /root is.
local function enter_folder(config)
  local folder, name = config.ledger:match "^(.*)/([^/]*)$"
  local ok, err = core.system.enter(folder == "" and "/" or folder)
  return ok and name, err
end

--- Serve until SIGTERM.
function Control:serve(fd)
  local door, err = core.door.listen(fd, function(...) self.visitors:enter(...) end)
  if not door then
    core.log.write("error", "cannot listen", { "message", tostring(err) })
    return 1
  end
  core.process.on_channel(function(channel, worker) self.consoles:take(channel, worker) end)
  local is_stopping = false
  local terminate <close> = core.loop.signal(15, function() is_stopping = true end)
  core.process.ready()
  while not is_stopping do core.loop.turn() end
  door:close()
  -- What has begun may end, within the drain; the next generation begins what comes now.
  self.reloads:finish()
  self.visitors:dismiss()
  self.commands:dismiss()
  while self.children.count > 0 do core.loop.turn() end
  return terminate and 0
end

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local control = setmetatable({ config = config, launch = launch }, Control)
  keep_trust(config)
  local ledger
  local group, err = find_group(config)
  local ok = err == nil
  if ok then ledger, err = enter_folder(config) end
  ok = ok and ledger
  if ok then errand.prepare() end
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  if not ok then return start_failure.report(launch, err) end
  control.visitors = visitors_module.new {
    group = group, uid = core.process.uid, where = where(config),
    on_frame = function(...) control:on_frame(...) end,
    on_leave = function(visitor)
      control.consoles:leave(visitor)
      control.commands:leave(visitor)
      control.reloads:leave(visitor)
    end,
  }
  control.reloads = reloads_module.new(function(uid)
    return uid == 0 or not launch.user and uid == core.process.uid
  end)
  local entered = setmetatable({ ledger = ledger }, { __index = config })
  control.children = children_module.new()
  control.commands = commands_module.new(entered, control.children)
  control.queries = queries_module.new(entered, control.children)
  control.consoles = consoles_module.new(control.visitors)
  return control:serve(launch.listen_fds[1])
end

return M
