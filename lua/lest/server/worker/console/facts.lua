--- What a worker says of itself at the console: no secret, and nothing that leads to one.
local core = require "lest.core"
local list = require "lest.base.list"
local meters = require "lest.server.wire.meters"

local M = {}

local SHOWN_MAX <const> = 200
local STACK_MAX <const> = 8000

-- Of the configuration, what is shown. The rest has paths of keys and of passphrases, commands, or
-- options of a policy, which may be anything.
local SHOWN <const> = { "crl_required", "drain", "ledger", "limits", "listen", "log_level",
  "metrics", "profiles", "shutdown_delay", "watchdog", "workers" }
local SHOWN_OF_LABEL <const> = { "anchors", "auth", "ca", "csrattrs", "digest_first",
  "error_bodies", "expired_grace", "lost_answer", "pending_expires", "profile", "profiles", "realm",
  "record", "renews", "retry_after", "transfer_encoding", "wrap" }
local SHOWN_OF_TLS <const> = { "ciphers", "client_certificate", "min_version" }

local function age_s(since_us)
  return (core.clock.monotonic_us() - since_us) / 1000000
end

local function some(from, names)
  local taken = {}
  for _, name in ipairs(names) do taken[name] = from[name] end
  return taken
end

--- The configuration, as far as it is shown.
---@param console lest.console
---@return table
function M.config(console)
  local config = console.worker.config
  local shown = some(config, SHOWN)
  shown.tls = config.tls and some(config.tls, SHOWN_OF_TLS)
  shown.labels = {}
  for name, label in pairs(config.labels) do shown.labels[name] = some(label, SHOWN_OF_LABEL) end
  return shown
end

--- The labels, with what decides for each.
---@param console lest.console
---@return table
function M.labels(console)
  local shown = {}
  for name, label in pairs(console.worker.labels) do
    shown[name] = { policy = label.policy.file, hash = label.policy.hash,
      hooks = list.sorted_keys(label.policy.hooks), accepts = list.sorted_keys(label.accepts),
      profiles = label.options.profiles }
  end
  return shown
end

-- How many requests are under way.
local function under_way(console)
  local count = 0
  for _, running in pairs(console.worker.under_way) do count = count + (running.done and 0 or 1) end
  return count
end

---@param console lest.console
---@return table
function M.worker(console)
  local worker = console.worker
  return { worker = console.number, pid = core.process.pid, linked = worker.authority.is_up,
    uptime = (core.clock.monotonic_ms() - worker.started_ms) // 1000,
    connections = worker:connections(),
    requests = under_way(console), parked = console.parking.parked }
end

-- Where a request is on its way.
local function state_of(console, request)
  for held in pairs(console.parking.holdings) do
    if held.request == request and held.place then return "parked" end
  end
  if request.is_committed then return "finishing" end
  if request.handle then return "deciding" end
  return "proving"
end

--- The requests under way, the oldest first.
---@param console lest.console
---@return table[]
function M.requests(console)
  local found = {}
  for request, running in pairs(console.worker.under_way) do
    if not running.done and #found < SHOWN_MAX then
      found[#found + 1] = { id = request.id, worker = console.number,
        age = age_s(request.started_us), state = state_of(console, request),
        principal = request.who, operation = request.operation,
        label = request.label and request.label.name }
    end
  end
  table.sort(found, function(a, b) return a.age > b.age end)
  return found
end

--- Those that a session has parked.
---@param console lest.console
---@param session lest.console.session
---@return table[]
function M.parked(console, session)
  local found = {}
  for held in pairs(console.parking.holdings) do
    if held.session == session and held.place then
      local shown = held:describe()
      shown.worker = console.number
      found[#found + 1] = shown
    end
  end
  return found
end

local function add_stack(lines, title, running)
  if running.done or not running.co then return end
  lines[#lines + 1] = title
  for line in debug.traceback(running.co):gmatch "\n%s+([^\n]+)" do
    lines[#lines + 1] = "  " .. line
  end
  for part in pairs(running.parts or {}) do add_stack(lines, title .. " (a part of it)", part) end
end

--- The functions that a request waits in; nil where it is not under way here.
---@param console lest.console
---@param id any
---@return { worker: integer, stack: string }|nil
function M.stack(console, id)
  for request, running in pairs(console.worker.under_way) do
    if request.id == id and not running.done then
      local lines = {}
      local deciding = request.limits and request.limits.running
      if deciding then add_stack(lines, "the policy:", deciding) end
      add_stack(lines, "the request:", running)
      return { worker = console.number, stack = table.concat(lines, "\n"):sub(1, STACK_MAX) }
    end
  end
end

-- What this worker has answered since it started, by status and by verdict.
local function answered(console)
  local by_status, by_verdict, names = {}, {}, core.meter.names
  local rows = core.meter.read(meters.SECTIONS.worker + console.number - 1)
  for _, row in ipairs(rows or {}) do
    if row[1] == names.requests then
      local status, verdict = tostring(row[3]), meters.verdicts.words[row[5]]
      by_status[status] = (by_status[status] or 0) + row[6]
      if verdict then by_verdict[verdict] = (by_verdict[verdict] or 0) + row[6] end
    end
  end
  return by_status, by_verdict
end

--- Numbers of this worker.
---@param console lest.console
---@return table
function M.stats(console)
  local parking, worker = console.parking, console.worker
  local by_status, by_verdict = answered(console)
  local waiting = 0
  for _ in pairs(worker.authority.waiting) do waiting = waiting + 1 end
  return { worker = console.number, statuses = by_status, verdicts = by_verdict,
    under_way = under_way(console), connections = worker:connections(),
    waiting_for_authority = waiting, memory_kib = math.ceil(collectgarbage "count"),
    parked = parking.parked, parked_most = parking.most, passed_by = parking.passed_by,
    breaks = #parking.breaks, traces = #parking.traces }
end

return M
