--- A real supervisor over roles that do what a spec tells them (spec/support/roles): the binary
--- stands in a folder of its own, so that it finds these in place of the real ones.
---
---   local host = require("support.host").start { workers = 2 }
---   host:ask("worker", 1, "return core.process.uid")
---   host:stop()
local core = require "lest.core"
local process = require "support.process"
local sockets = require "support.sockets"

local M = {}

M.is_root = core.process.uid == 0

---@class support.host
local Host = {}
Host.__index = Host

local serial = 0

local function make_tree(folder)
  process.must(([[
    set -e
    root=$PWD; prefix=%s; cd %s; chmod 755 .
    mkdir -p bin fixture share/lua/5.4/lest share/lua/5.4/support
    cp $prefix/fixture/sockets.so fixture
    cp "$root"/spec/support/sockets.lua share/lua/5.4/support
    ln $prefix/bin/lest bin/lest 2>/dev/null || cp $prefix/bin/lest bin/lest
    cp -r $prefix/share/lua/5.4/lest/. share/lua/5.4/lest/
    cp -r "$root"/spec/support/roles/. share/lua/5.4/lest/
    chmod -R a+rX fixture share]]):format(LEST_PREFIX, folder))
end

local function serialize(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for key, item in pairs(value) do
    table.insert(parts, ("[%s] = %s"):format(serialize(key), serialize(item)))
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- Write a configuration: a table, or the text of a file.
function Host:configure(config)
  if type(config) == "string" then return process.write(self.folder .. "/server.lua", config) end
  local full = { listen = { "127.0.0.1:0" }, workers = 1, control = self.control }
  if M.is_root and not config.unprivileged then full.user, full.authority_user = "daemon", "bin" end
  for key, value in pairs(config) do full[key] = value end
  process.write(self.folder .. "/server.lua", "return " .. serialize(full) .. "\n")
end

--- A folder with a configuration; nothing runs yet.
---@param config table|string
---@return support.host
function M.make(config)
  serial = serial + 1
  local self = setmetatable({
    folder = process.folder(), control = ("lest-%d-%d"):format(core.process.pid, serial),
  }, Host)
  make_tree(self.folder)
  self.lest = self.folder .. "/bin/lest"
  self.log_file = self.folder .. "/log"
  self:configure(config)
  return self
end

--- `lest serve` to its end.
---@return integer code
---@return string stdout
---@return string stderr
function Host:run(...)
  return process.run { "timeout", "20", self.lest, "serve", self.folder .. "/server.lua", ... }
end

--- Start it in the background, with words before the command.
function Host:launch(...)
  local words = { ... }
  for _, word in ipairs { self.lest, "serve", self.folder .. "/server.lua" } do
    table.insert(words, word)
  end
  self.pid = process.start(words, self.folder .. "/out", self.log_file)
  return self:wait_ready(1)
end

--- make() and launch().
---@param config table|string
---@return support.host
function M.start(config)
  return M.make(config):launch()
end

function Host:log()
  return process.exists(self.log_file) and process.read(self.log_file) or ""
end

--- The log's lines with this event.
function Host:logged(event)
  return process.logged(self.log_file, event)
end

--- Wait until check() is true; shows the log when it does not become so.
function Host:wait(what, check, seconds)
  local ok, result = pcall(process.wait_for, check, what, seconds or 10)
  if ok then return result end
  error(tostring(result) .. "\n" .. self:log(), 2)
end

function Host:wait_logged(event, count)
  return self:wait(event, function()
    local lines = self:logged(event)
    return #lines >= (count or 1) and lines
  end)
end

function Host:wait_ready(generation)
  self.generation = generation
  self:wait("readiness", function()
    for _, line in ipairs(self:logged "ready") do
      if line.generation == generation then
        self.listen = line.listen
        return true
      end
    end
    if not process.alive(self.pid) then error "the server ended" end
  end)
  return self
end

--- Evaluate code in a role of a generation (the current one); context, config and core are at hand.
---@return string result
function Host:ask(role, index, code, generation)
  local address = ("@%s-%s-%d-%d"):format(self.control, role, index, generation or self.generation)
  local answer
  local channel <close> = self:wait(address, function()
    return sockets.connect(address, { on_message = function(bytes) answer = bytes end,
      on_close = function() answer = answer or "closed" end })
  end)
  assert(channel:send(code))
  return self:wait("an answer", function() return answer end)
end

--- As ask(), without waiting for an answer.
function Host:tell(role, index, code)
  local address = ("@%s-%s-%d-%d"):format(self.control, role, index, self.generation)
  local channel = assert(sockets.connect(address))
  assert(channel:send(code))
  return channel
end

function Host:role_pid(role, index)
  return process.own(math.tointeger(tonumber(self:ask(role, index, "return core.process.pid"))))
end

--- A line of /proc/PID/status.
function M.status(pid, key)
  return process.read(("/proc/%d/status"):format(pid)):match(key .. ":[ \t]*([^\n]*)")
end

--- Bound another process, with words for prlimit. Its own account may say so.
---@param pid integer
---@param ... string "--nofile=6"
function M.limit(pid, ...)
  local uid, gid = M.status(pid, "Uid"):match "^%d+", M.status(pid, "Gid"):match "^%d+"
  process.must { "setpriv", "--reuid=" .. uid, "--regid=" .. gid, "--clear-groups", "prlimit",
    "--pid", tostring(pid), ... }
end

function Host:signal(signal)
  process.kill(self.pid, signal)
end

function Host:alive()
  return process.alive(self.pid)
end

--- Stop it, whatever its state, and remove the folder.
function Host:stop()
  if self.pid and self:alive() then
    self:signal "KILL"
    self:wait("the end", function() return not self:alive() end)
  end
  local log = self:log()
  os.execute("rm -rf " .. self.folder)
  process.check_sanitizers(log)
end

return M
