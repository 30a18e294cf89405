--- A taken-over worker, played by a spec: a process with a worker's uid that says to the authority
--- what it is told to.
---
---   local rogue <close> = require("support.rogue").start(server)
---   local link = rogue:connect()
---   local answer, how = link:ask { type = "begin", ... }    -- how: ok, closed, timeout
---
--- This file is also that process: `lest run rogue.lua CONTROL`.
local cjson = require "cjson"
local core = require "lest.core"
local task = require "lest.task"

local M = {}

-- ---- the process

local links = {}

local commands = {}

function commands.connect(address)
  local link = { answers = {} }
  link.channel = assert(core.channel.connect { path = address,
    on_close = function()
      link.closed = true
      if link.callback then link.callback() end
    end })
  link.channel:on_message(function(packet)
    table.insert(link.answers, packet)
    if link.callback then link.callback() end
  end)
  table.insert(links, link)
  return #links
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

local function serve(control)
  local listener <close> = assert(core.channel.listen { path = control, -- luacheck: ignore 211
    on_accept = function(channel)
      channel:on_close(function() os.exit(0) end)
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
    end })
  while true do core.loop.turn() end
end

-- ---- the spec's side

---@class support.rogue
local Rogue = {}
Rogue.__index = Rogue

---@class support.rogue.link
local Link = {}
Link.__index = Link

local started = 0

--- Start one. options: uid (default: the worker's).
---@param server support.server
---@param options? { uid: integer }
---@return support.rogue
function M.start(server, options)
  local process = require "support.process"
  local host = require "support.host"
  started = started + 1
  local worker = server:pids("worker")[1]
  local uid = options and options.uid or tonumber(host.status(worker, "Uid"):match "^%d+")
  local script = server.folder .. "/rogue.lua"
  process.write(script, process.read "spec/support/rogue.lua")
  local control = ("@rogue-%d-%d"):format(core.process.pid, started)
  local words = { LEST_PREFIX .. "/bin/lest", "run", script, control }
  if host.is_root then
    local drop = { "setpriv", "--reuid=" .. uid, "--regid=" .. uid, "--clear-groups" }
    table.move(words, 1, #words, #drop + 1, drop)
    words = drop
  end
  local self = setmetatable({ server = server, uid = uid, callback = function() end }, Rogue)
  self.address = process.read(("/proc/%d/cmdline"):format(worker)):match "%-%-authority%z([^%z]+)"
  self.pid = process.start(words, server.folder .. "/rogue.out", server.folder .. "/rogue.err")
  self.channel = process.wait_for(function()
    if not process.alive(self.pid) then error(process.read(server.folder .. "/rogue.err")) end
    return (core.channel.connect { path = control,
      on_message = function(packet) self.callback(packet) end,
      on_close = function() self.callback '[false, "the rogue ended"]' end })
  end, "the rogue", 20)
  return self
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
  return setmetatable({ rogue = self, number = self:call("connect", self.address) }, Link)
end

function Rogue:close()
  local process = require "support.process"
  process.kill(self.pid, "KILL")
  self.channel:close()
end
Rogue.__close = Rogue.close

--- Send a packet (bytes, or the table of a message), as often as `times` says; how many were taken.
function Link:send(packet, times)
  if type(packet) == "table" then packet = assert(core.message.encode(packet)) end
  return tonumber(self.rogue:call("send", self.number, packet, times or 1))
end

--- The next answer.
---@return table? answer
---@return string how "ok", "closed" or "timeout"
function Link:read(milliseconds)
  local how, packet = self.rogue:call("read", self.number, milliseconds or 20000)
  local answer = packet and assert(core.message.decode(core.base64.decode(packet),
    { answer = true, hello = true }))
  if answer and answer.type == "hello" then return self:read(milliseconds) end
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

if arg and arg[0] and arg[0]:find "rogue%.lua$" then serve(arg[1]) end

return M
