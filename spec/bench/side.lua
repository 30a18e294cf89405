--- What is measured: a server of one build of lest, or the nginx that it is compared with.
---   local side = side_module.lest(build, { requests = 5000 })
---   local cost = side:load(FILE, { count = 1000, threads = 64 })
---   side:stop()
local cjson = require "cjson"
local nginx = require "bench.nginx"
local process = require "support.process"
local processes = require "bench.processes"
local server_module = require "support.server"

local M = {}

local WORKERS <const> = 2
local LOAD <const> = LEST_PREFIX .. "/bench/load_bench"

---@class bench.side
---@field name string
---@field port integer
---@field roles { pid: integer, role: string }[]
local Side = {}
Side.__index = Side

--- Roles of lest's processes, in the order of the report.
local function roles_of(pid)
  local roles = {}
  for _, each in ipairs(processes.tree(pid)) do
    local role = processes.command(each):match "%-%-role (%w+)" or "supervisor"
    table.insert(roles, { pid = each, role = role })
  end
  return roles
end

local function configure(options)
  return function(text)
    local count
    text, count = text:gsub("names = \"principal\",", "%0\n      per_minute = 1000000,")
    assert(count == 1, "the configuration of `lest ca init` has changed")
    return (text:gsub("listen = ", ("workers = %d,\n  limits = { %s },\n  %s%%0"):format(WORKERS,
      options.limits or "", options.more or ""), 1))
  end
end

--- A server of a build, with `requests` enrollments prepared; it does not run yet.
---@param build { name: string, prefix: string }
---@param options { requests: integer, limits: string?, more: string? } more: further lines of the
--- configuration
---@return bench.side
function M.make(build, options)
  local server = server_module.make { lest = build.prefix .. "/bin/lest",
    config = configure(options) }
  local self = setmetatable({ name = build.name, server = server, dir = server.dir,
    folder = server.folder, requests = server.folder .. "/requests" }, Side)
  process.must { server.lest, "run", "spec/bench/prepare.lua", server.dir .. "/server.lua",
    options.requests, self.requests }
  return self
end

function Side:run()
  self.server:run()
  self.port, self.roles = self.server.port, roles_of(self.server.pid)
end

--- make() and run().
function M.lest(build, options)
  local self = M.make(build, options)
  self:run()
  return self
end

--- A bare nginx with the certificate of another side and answers of the same size.
---@param of bench.side
---@param size integer
---@param clients? boolean whether it requires certificates of that side's CA
---@param plain? boolean without TLS
---@return bench.side
function M.nginx(of, size, clients, plain)
  local folder = process.folder()
  process.must { "chmod", "755", folder }
  local self = setmetatable({ name = "nginx", folder = folder, port = process.free_port() }, Side)
  local started = nginx.start { folder = folder, dir = of.dir, port = self.port, size = size,
    workers = WORKERS, clients = clients and of.dir .. "/ca.pem", plain = plain }
  self.pid, self.requests, self.roles = started.pid, started.requests, {}
  for i, each in ipairs(processes.tree(self.pid)) do
    self.roles[i] = { pid = each, role = i == 1 and "nginx master" or "nginx worker" }
  end
  return self
end

--- Seconds of CPU of each process so far, and in all.
function Side:cpu_s()
  local spent, sum = {}, 0
  for i, each in ipairs(self.roles) do
    spent[i] = processes.cpu_s(each.pid)
    sum = sum + spent[i]
  end
  return spent, sum
end

--- Run load_bench; what it found, with the CPU of each process in microseconds a request.
---@param file string
---@param options { count: integer, threads: integer, rate: number?, certs: boolean?, psk: string?,
--- srp: string?, plain: integer? } plain: at this port, without TLS; with a rate some may fail: a
--- server sheds what it cannot bear; psk:
--- "IDENTITY:HEX"; srp: "NAME:PASSWORD"
function Side:load(file, options)
  local count = options.count
  local words = { LOAD, options.plain or self.port, options.threads, count, file }
  if options.plain then table.insert(words, "plain") end
  if options.rate then table.insert(words, ("rate=%.1f"):format(options.rate)) end
  if options.certs then table.insert(words, "certs") end
  if options.psk then table.insert(words, "psk=" .. options.psk) end
  if options.srp then table.insert(words, "srp=" .. options.srp) end
  local before, sum_before = self:cpu_s()
  local result = cjson.decode(process.must(words))
  local after, sum_after = self:cpu_s()
  if result.failed > 0 and not options.rate then
    error(("%s: %d of %d requests failed"):format(self.name, result.failed, count), 0)
  end
  result.cpu_us = (sum_after - sum_before) * 1e6 / count
  result.per_s = count / result.seconds
  result.each_us = {}
  for i in ipairs(self.roles) do result.each_us[i] = (after[i] - before[i]) * 1e6 / count end
  return result
end

--- Memory of each process.
function Side:memory()
  local list = {}
  for i, each in ipairs(self.roles) do list[i] = processes.memory(each.pid) end
  return list
end

--- Call back while so many connections are open that have asked once and are idle.
---@generic T
---@param count integer
---@param callback fun(): T
---@return T
function Side:with_idle(count, callback)
  local file, out, err = self.folder .. "/idle", self.folder .. "/idle.out",
    self.folder .. "/idle.err"
  local path = self.server and "/.well-known/est/cacerts" or "/cert"
  local get = ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path)
  process.write(file, ("%d\n%s"):format(#get, get))
  local pid = process.start({ LOAD, self.port, "idle", count, file }, out, err)
  local ok, result = xpcall(function()
    process.wait_for(function()
      assert(process.alive(pid), process.read(err))
      return process.read(out):find "ready"
    end, count .. " connections", 120)
    return callback()
  end, debug.traceback)
  process.kill(pid, "KILL")
  if not ok then error(result, 0) end
  return result
end

--- A random secret that a name may use again and again.
function Side:credential(name)
  return self.server:credential(name, { "--reusable" })
end

--- End the server, but keep its folder and its ledger.
function Side:halt()
  process.kill(self.server.pid)
  self.server:exit_code()
  os.remove(self.folder .. "/code")
end

function Side:stop()
  if self.server then return self.server:stop() end
  process.kill(self.pid)
  process.wait_for(function() return not process.alive(self.pid) end, "nginx's end")
  os.execute("rm -rf " .. process.quote(self.folder))
end

return M
