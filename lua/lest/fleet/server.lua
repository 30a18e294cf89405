--- The server of a simulation: started by the fleet's clock, stopped and started again as its
--- events want, and what it has cost.
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local task = require "lest.task"

local M = {}

-- This binary, whatever its name.
local SELF <const> = "/proc/self/exe"

local WEEK_MS <const> = 7 * 86400 * 1000
local OUTPUT_MAX <const> = 1024 * 1024
local LOG_MAX <const> = 512 * 1024 * 1024
-- What the kernel counts processors' time in.
local TICKS <const> = 100
-- Names that one command makes credentials for: what it prints has an end.
local NAMES_AT_ONCE <const> = 2000

---@class lest.fleet.server
---@field url string once it was started
---@field folder string of its configuration
local Server = { __name = "lest.fleet.server" }
Server.__index = Server

--- A server that is not started yet.
---@param config string
---@param options { clock?: string, log: string, start: integer }
---@return lest.fleet.server
function M.new(config, options)
  return setmetatable({ config = config, folder = config:match "^(.*)/" or ".", cpu_s = 0,
    clock = options.clock, log = options.log, start_s = options.start }, Server)
end

--- The words that begin a command of lest, by this clock.
---@param words string[]
---@return string[]
function Server:command(words)
  local line = { SELF }
  if self.clock then line[2], line[3] = "--clock", self.clock end
  return table.move(words, 1, #words, #line + 1, line)
end

--- Run a program to its end.
---@param words string[]
---@param input? string
---@return string? output
---@return lest.error? err
function M.run(words, input)
  local program
  local ended, problem = task.await(function(callback)
    local err
    program, err = core.process.program(words, { input = input or "", timeout_ms = WEEK_MS,
      max = OUTPUT_MAX, callback = callback })
    if not program then callback(nil, err) end
    return program
  end)
  if not ended then return nil, problem end
  if ended.code == 0 then return ended.output end
  local line = table.concat(words, " "):gsub("^" .. SELF, "lest")
  return fail("io", ("%s: failed (%s): %s"):format(line, ended.code or "killed",
    (ended.errors:gsub("%s+$", ""))))
end

-- What the log says that was written since this run began.
local function ready_line(self)
  local text = core.file.read(self.log, LOG_MAX) or ""
  for line in text:sub(self.log_from + 1):gmatch "[^\n]+" do
    if line:find('"event":"ready"', 1, true) then return json.decode(line) end
  end
end

local function wait_until_ready(self)
  local until_ms = core.clock.monotonic_ms() + self.start_s * 1000
  repeat
    local ready = ready_line(self)
    if ready then return ready end
    task.sleep(0.02)
  until not self.program or core.clock.monotonic_ms() > until_ms
  return fail("unavailable", ("the server did not start: %s says why"):format(self.log))
end

--- Make the folder of results, and in it a server of the fleet's own: its CA, configuration and
--- ledger. One that was made so before goes.
---@param out string
---@param clock? string
---@return string? config
---@return lest.error? err
function M.make(out, clock)
  local folder = out .. "/server"
  local maker = M.new(folder .. "/server.lua", { clock = clock, log = "", start = 0 })
  local ok, err = M.run { "rm", "-rf", "--", folder }
  if ok then
    ok, err = M.run(maker:command { "ca", "init", folder, "--name", "Fleet CA", "--host",
      "localhost" })
  end
  if not ok then return nil, err end
  return folder .. "/server.lua"
end

--- Start it, and wait until it serves. Once it had a port, it has the same again.
---@return true?
---@return lest.error? err
function Server:start()
  self.log_from = #(core.file.read(self.log, LOG_MAX) or "")
  local words = self:command { "serve", self.config, "--listen",
    "127.0.0.1:" .. (self.port or 0) }
  local err
  self.program, err = core.process.program(words, { input = "", timeout_ms = WEEK_MS,
    log = self.log, callback = function() self.program = nil end })
  if not self.program then return nil, err end
  local ready
  ready, err = wait_until_ready(self)
  if not ready then
    self:kill()
    return nil, err
  end
  self.port = ready.listen:match ":(%d+)"
  self.url = "https://localhost:" .. self.port
  return true
end

--- Stop it, and wait until it has.
function Server:stop()
  if not self.program then return end
  self:cpu()
  self.program:stop()
  while self.program do task.sleep(0.02) end
  self.cpu_s, self.now_s = self.cpu_s + (self.now_s or 0), nil
end

--- End it at once, for one that cannot be asked.
function Server:kill()
  if self.program then self.program:close() end
  self.program = nil
end

-- The time of a process in user and system mode, and that of its children that have ended.
local function seconds_of(pid)
  local text = core.file.read(("/proc/%d/stat"):format(pid), 4096)
  local fields = {}
  for word in (text and text:match "%) (.*)$" or ""):gmatch "%S+" do fields[#fields + 1] = word end
  local total = 0
  for i = 12, 15 do total = total + (tonumber(fields[i]) or 0) end
  return total / TICKS
end

--- What its processes have used of the processor, all times that it ran.
---@return number seconds
function Server:cpu()
  local pid = self.program and self.program.pid
  if not pid then return self.cpu_s end
  local total = seconds_of(pid)
  local children = core.file.read(("/proc/%d/task/%d/children"):format(pid, pid), 65536) or ""
  for child in children:gmatch "%d+" do total = total + seconds_of(math.tointeger(child)) end
  self.now_s = math.max(total, self.now_s or 0)
  return self.cpu_s + self.now_s
end

--- Give names credentials by which they enroll, as often as they must.
---@param names string[]
---@return table<string, string>? secrets
---@return lest.error? err
function Server:credentials(names)
  local secrets = {}
  for first = 1, #names, NAMES_AT_ONCE do
    local part = table.move(names, first, math.min(first + NAMES_AT_ONCE - 1, #names), 1, {})
    local output, err = M.run(self:command { "credential", "add", "--from", "/dev/stdin",
      "--reusable", "--another", "--json", "--config", self.config },
      table.concat(part, "\n") .. "\n")
    if not output then return nil, err end
    for _, each in ipairs(assert(json.decode(output))) do
      secrets[each.name] = each.secret
    end
  end
  return secrets
end

return M
