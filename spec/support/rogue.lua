--- A taken-over worker, played by a spec: in a server of M.server() each worker but the first says
--- to the authority what it is told to.
---
---   local server = require("support.rogue").server { config = ... }    -- with workers = 2
---   local rogue <close> = require("support.rogue").start(server, 2)
---   local link = rogue:connect()
---   local answer, how = link:ask { type = "begin", ... }    -- how: ok, closed, timeout
---
--- And a process of any account, which is nobody's worker: M.agent(). This file is all of them: the
--- role of such a worker, and the script of an agent.
local cjson = require "cjson"
local core = require "lest.core"
local sockets = require "support.sockets"
local task = require "lest.task"

local M = {}

-- ---- the process

local links = {}
local fresh -- the number of a link that nobody has been told of
local on_fresh

local commands = {}

local function on_channel(channel, _, _, role)
  if role == "control" then return channel:on_message(function() end) end
  local link = { answers = {}, channel = channel }
  channel:on_close(function()
    link.closed = true
    if link.callback then link.callback() end
  end)
  channel:on_message(function(packet)
    table.insert(link.answers, packet)
    if link.callback then link.callback() end
  end)
  table.insert(links, link)
  fresh = #links
  if on_fresh then on_fresh() end
end

--- A channel that has not been used.
function commands.connect()
  if fresh and links[fresh].closed then fresh = nil end
  if not fresh then
    core.process.ask_channel()
    task.await(function(callback) on_fresh = callback end)
    on_fresh = nil
  end
  local number = fresh
  fresh = nil
  return number
end

--- Ask for channels, as often as that.
function commands.ask_channel(times)
  for _ = 1, times do core.process.ask_channel() end
end

function commands.pid()
  return core.process.pid
end

--- The next packet, within a time.
function commands.read(number, milliseconds)
  local link = links[number]
  local timer
  if not link.answers[1] and not link.closed then
    task.await(function(callback)
      link.callback = callback
      timer = core.loop.timer(milliseconds, callback)
    end)
    link.callback = nil
    timer:close()
  end
  local packet = table.remove(link.answers, 1)
  if packet then return "ok", core.base64.encode(packet) end
  return link.closed and "closed" or "timeout"
end

function commands.send(number, packet, times)
  local sent = 0
  for _ = 1, times do
    if links[number].channel:send(packet) then sent = sent + 1 end
  end
  return tostring(sent)
end

--- Read nothing any more.
function commands.deafen(number)
  links[number].channel:on_message(nil)
end

function commands.close(number)
  links[number].channel:close()
  links[number].closed = true
end

--- The errors of reading each of these files.
function commands.open(paths)
  local results = {}
  for i, path in ipairs(paths) do
    local file, err = io.open(path, "rb")
    results[i] = file and (file:read(1) and "read" or "opened") or err
    if file then file:close() end
  end
  return results
end

function commands.shell(line)
  local pipe <close> = assert(io.popen(line .. " 2>&1"))
  return (pipe:read "a")
end

local function listen(control, on_end)
  return sockets.listen(control, function(channel)
    if on_end then channel:on_close(on_end) end
    channel:on_message(function(packet)
      local call = cjson.decode(packet)
      for i, argument in ipairs(call) do
        if math.type(argument) == "float" then call[i] = math.tointeger(argument) end
        if type(argument) == "table" and argument.bytes then
          call[i] = core.base64.decode(argument.bytes)
        end
      end
      task.start({ quiet = true }, function()
        local results = { pcall(commands[table.remove(call, 1)], table.unpack(call)) }
        channel:send(cjson.encode(results))
      end)
    end)
  end)
end

--- The role of a worker.
function M.main(launch)
  if launch.user then assert(core.process.drop(launch.user)) end
  assert(core.process.harden())
  core.process.on_channel(on_channel)
  local listener <close> = listen(("@%s-%d"):format(require "lest.rogue_control", launch.index))
  local stopping = false
  local terminate <close> = core.loop.signal(15, function() stopping = true end)
  core.process.ready()
  while not stopping do core.loop.turn() end
  return listener and terminate and 0
end

-- ---- the spec's side

---@class support.rogue
local Rogue = {}
Rogue.__index = Rogue

---@class support.rogue.link
local Link = {}
Link.__index = Link

local started = 0

local HONEST_AND_NOT <const> = [[
  require "lest.core" -- the host needs its loop
  return { main = function(launch)
    local module = launch.index < 2 and "lest.server.worker.honest" or "lest.rogue"
    return require(module).main(launch)
  end }]]

--- A server, with the options of support.server; each worker but the first is a rogue.
---@param options table
---@return support.server
function M.server(options)
  local process = require "support.process"
  local server = require("support.server").make(options)
  started = started + 1
  server.rogues = ("rogue-%d-%d"):format(core.process.pid, started)
  process.must(([[
    set -e
    root=$PWD; mkdir -p %s/tree; cd %s/tree; chmod 755 .
    prefix=%s; mkdir -p bin fixture share/lua/5.4/support
    cp -rL $prefix/share/lua/5.4/lest share/lua/5.4; cp $prefix/bin/lest bin/lest
    cp $prefix/fixture/sockets.so fixture; cp "$root"/spec/support/sockets.lua share/lua/5.4/support
    cp "$root"/spec/support/rogue.lua share/lua/5.4/lest
    cd share/lua/5.4/lest/server/worker; mv role.lua honest.lua
    cd $OLDPWD; chmod -R a+rX .]]):format(server.folder, server.folder, LEST_PREFIX))
  local modules = server.folder .. "/tree/share/lua/5.4/lest/"
  process.write(modules .. "server/worker/role.lua", HONEST_AND_NOT)
  process.write(modules .. "rogue_control.lua", ("return %q"):format(server.rogues))
  server:run(server.folder .. "/tree/bin/lest")
  return server
end

local function talk_to(self, control, check)
  local process = require "support.process"
  self.callback = function() end
  setmetatable(self, Rogue)
  self.channel = process.wait_for(function()
    if check then check() end
    return sockets.connect(control, {
      on_message = function(packet) self.callback(packet) end,
      on_close = function() self.callback '[false, "the rogue ended"]' end })
  end, "the rogue", 20)
  return self
end

--- The rogue that is this worker.
---@param server support.server of M.server()
---@param worker integer from 2
---@return support.rogue
function M.start(server, worker)
  local self = talk_to({ server = server }, ("@%s-%d"):format(server.rogues, worker))
  self.pid = require("support.process").own(math.tointeger(self:call "pid"))
  return self
end

--- A process of an account.
---@param server support.server
---@param uid integer
---@return support.rogue
function M.agent(server, uid)
  local process = require "support.process"
  started = started + 1
  local script = server.folder .. "/rogue.lua"
  process.write(script, process.read "spec/support/rogue.lua")
  os.execute("mkdir -p " .. server.folder .. "/support")
  process.write(server.folder .. "/support/sockets.lua", process.read "spec/support/sockets.lua")
  local control = ("@agent-%d-%d"):format(core.process.pid, started)
  local words = { "env", "LUA_PATH=" .. server.folder .. "/?.lua;;", LEST_PREFIX .. "/bin/lest",
    "run", script, control }
  if require("support.host").is_root then
    local drop = { "setpriv", "--reuid=" .. uid, "--regid=" .. uid, "--clear-groups" }
    table.move(words, 1, #words, #drop + 1, drop)
    words = drop
  end
  local pid = process.start(words, server.folder .. "/rogue.out", server.folder .. "/rogue.err")
  return talk_to({ server = server, pid = pid }, control, function()
    if not process.alive(pid) then error(process.read(server.folder .. "/rogue.err")) end
  end)
end

local function argument_of(value)
  return type(value) == "string" and { bytes = core.base64.encode(value) } or value
end

function Rogue:call(name, ...)
  local call = { name }
  for _, value in ipairs { ... } do table.insert(call, argument_of(value)) end
  assert(self.channel:send(cjson.encode(call)))
  local results = cjson.decode(task.await(function(callback)
    self.callback = callback
    return core.loop.timer(60000, function() callback '[false, "the rogue does not answer"]' end)
  end))
  if not results[1] then error(results[2], 2) end
  return table.unpack(results, 2)
end

---@return support.rogue.link
function Rogue:connect()
  return setmetatable({ rogue = self, number = self:call "connect" }, Link)
end

--- An agent ends with it.
function Rogue:close()
  self.channel:close()
end
Rogue.__close = Rogue.close

--- Send a packet (bytes, or the table of a message), as often as `times` says; how many were taken.
function Link:send(packet, times)
  if type(packet) == "table" then packet = assert(core.message.encode(packet)) end
  return tonumber(self.rogue:call("send", self.number, packet, times or 1))
end

-- What an authority says by itself.
local UNASKED <const> = { hello = true, revoked = true, document = true }

--- The next answer.
---@return table? answer
---@return string how "ok", "closed" or "timeout"
function Link:read(milliseconds)
  local how, packet = self.rogue:call("read", self.number, milliseconds or 20000)
  local answer = packet and assert(core.message.decode(core.base64.decode(packet),
    { answer = true, told = true, found = true, hello = true, checked = true, revoked = true,
      document = true }))
  if answer and UNASKED[answer.type] then return self:read(milliseconds) end
  return answer, how
end

function Link:ask(packet)
  self:send(packet)
  return self:read()
end

function Link:deafen()
  self.rogue:call("deafen", self.number)
end

function Link:close()
  self.rogue:call("close", self.number)
end

if arg and arg[0] and arg[0]:find "rogue%.lua$" then
  local listener <close> = listen(arg[1], function() os.exit(0) end) -- luacheck: ignore 211
  while true do core.loop.turn() end
end

--- The words of a configuration by which only a rogue has a limit: two workers beside the first.
M.ROOMY = "workers = 3, limits = { requests = 384, requests_per_principal_per_minute = 100000 },"

--- The `begin` of a device of support.fleet, which may have a secret.
---@param id string
---@param device table
---@return table message
function M.begin(id, device)
  return { type = "begin", id = id, operation = "simpleenroll", label = "default",
    address = "192.0.2.1", tls = { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256" },
    csr = core.base64.decode((device.body:gsub("\n", ""))),
    basic = device.secret and { username = device.name, password = device.secret } }
end

return M
