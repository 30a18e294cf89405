--- The worker: TLS, HTTP, EST and the policy. It holds no key of the CA, and no other process
--- believes it.
---
--- A request is judged by its head (head.lua), then answered by the file of its operation
--- (operations/), which may wait for the authority (link.lua) and ask the policy (decision.lua).
local answer = require "lest.server.worker.answer"
local core = require "lest.core"
local documents = require "lest.server.worker.documents"
local events = require "lest.server.worker.events"
local globals = require "lest.server.worker.globals"
local head = require "lest.server.worker.head"
local health = require "lest.server.worker.health"
local hooks = require "lest.server.worker.hooks"
local identity = require "lest.server.worker.identity"
local later = require "lest.server.worker.later"
local limiter = require "lest.server.wire.limiter"
local limits = require "lest.server.config.limits"
local lines = require "lest.server.wire.lines"
local link = require "lest.server.worker.link"
local listen = require "lest.server.config.listen"
local ocsp = require "lest.server.worker.ocsp"
local operations = require "lest.server.wire.operations"
local public = require "lest.server.worker.public"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.worker.request"
local setup = require "lest.server.worker.setup"
local shadow = require "lest.server.worker.shadow"
local snapshot = require "lest.server.config.snapshot"
local staple = require "lest.server.worker.staple"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"
local wiping = require "lest.server.wire.wiping"

local M = {}

local CONSOLE <const> = "lest.server.worker.console"

local answerers <const> = {}
for name, row in pairs(operations) do
  answerers[name] = require("lest.server.worker.operations." .. row.answered_by).answer
end

---@class lest.worker
---@field config table
---@field labels table<string, lest.worker.label>
---@field authority lest.worker.link
---@field health lest.worker.health
---@field cas lest.cert[] of the configuration, with their chains
---@field ocsp lest.worker.ocsp
---@field judged table<lest.exchange, lest.worker.request> by their heads; their bodies are to come
---@field under_way table<lest.worker.request, lest.task> those that wait
---@field console lest.console? where operators may look at it, once one did
---@field control lest.channel? to the control role
---@field started_ms integer
---@field is_stopping? boolean
---@field server lest.server
---@field plain? lest.server of plain HTTP, where the configuration has addresses for it
---@field requests lest.limiter? by address
---@field plain_requests lest.limiter? likewise
---@field shadows lest.worker.shadows
---@field documents lest.worker.documents
---@field identities? table lest.server.worker.identities, where clients name themselves
local Worker = {}
Worker.__index = Worker

-- Requests

local failures <const> = lines.new "request failed"

--- Run one step of a request; a refusal raised in it becomes the answer.
local function guard(exchange, request, step, ...)
  local ok, problem = xpcall(step, function(problem)
    local is_known = refusal.is(problem) or refusal.is_of_memory(problem)
    return is_known and problem or debug.traceback(tostring(problem), 2)
  end, ...)
  if ok then return true end
  if refusal.is_of_memory(problem) then problem = refusal.out_of_memory() end
  if exchange.aborted then return false end
  if not refusal.is(problem) then
    failures:write("error", { "id", request.id, "message", problem })
    problem = { status = 500, reason = "the request " .. request.id .. " failed" }
  end
  request.who = request.who or problem.who
  request.device = problem.device or request.device
  answer.refusal(exchange, request, problem)
  return false
end

--- One client is not to keep the others waiting, whatever it asks for.
local function count(requests, exchange)
  local wait = requests:take(limiter.network(exchange.address))
  if wait then
    refusal.raise(429, "too many requests from this address", { retry_after = wait })
  end
end

--- Judge a request by its head.
function Worker:on_head(exchange)
  local request = request_module.new(exchange)
  request.link = self.authority
  if self.identities then self.identities.tell(self.authority, exchange) end
  self:judge(exchange, request, self.requests, head.check)
end

--- Likewise over plain HTTP.
function Worker:on_plain_head(exchange)
  local request = request_module.new(exchange)
  request.link, request.is_plain = self.authority, true
  self:judge(exchange, request, self.plain_requests, public.check_plain)
end

---@param requests? lest.limiter
---@param check function of the head: answers it, or lets it go on
function Worker:judge(exchange, request, requests, check)
  local ok = not requests or guard(exchange, request, count, requests, exchange)
  ok = ok and guard(exchange, request, check, self, exchange, request)
  if not ok or request.status then return request:log(exchange) end
  self.judged[exchange] = request
  request:on_cut(exchange, function()
    if self.judged[exchange] ~= request then return end
    self.judged[exchange] = nil
    request:log(exchange)
  end)
end

--- A client that leaves before its verdict is on the way to the authority ends its request; after
--- that the issue completes and is recorded, and the client's next try finds it.
function Worker:on_request(exchange)
  local request = self.judged[exchange]
  self.judged[exchange] = nil
  request.delivered_ms = core.clock.monotonic_ms()
  local running = task.start({ quiet = true }, function()
    local answerer = request.answerer or answerers[request.operation]
    local ok = guard(exchange, request, answerer, self, exchange, request)
    -- A failure after the authority began to hold the request: it need hold it no longer.
    if not ok and request.handle and not request.is_committed then
      self.authority:give_up(request, "the request failed")
    end
    core.process.beat(nil)
    request:log(exchange)
    if request.decided then self.shadows:take(request) end
  end)
  if running.done then return end
  self.under_way[request] = running
  request:on_cut(exchange, function()
    if request.is_committed or running.done then return end
    running:cancel(request.cut.reason)
    if request.handle then self.authority:give_up(request, request.cut.reason) end
    request:log(exchange)
  end)
end

--- The bounds of one decision; the watchdog names the request that is on.
---@param request lest.worker.request
---@return table limits for decision.call
function Worker:decision_limits(request)
  local config = self.config.limits
  return {
    seconds = config.decision, memory = config.decision_memory,
    on_step = function() core.process.beat(request.id) end,
  }
end

-- Start

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local worker = setmetatable({
    config = config, labels = {}, judged = setmetatable({}, { __mode = "k" }),
    under_way = setmetatable({}, { __mode = "k" }), started_ms = core.clock.monotonic_ms(),
  }, Worker)
  local tls, certified = worker:prepare(launch)
  if not tls then return start_failure.report(launch, certified) end
  if launch.check then return 0 end
  return worker:serve(launch, tls, certified)
end

--- Read every file as the user that started, since what is above them may be closed to others (as
--- /root is), then drop; a policy never runs as root.
function Worker:prepare(launch)
  local tls, certified = setup.tls(self.config)
  local ok, err = tls ~= nil, certified
  if ok then
    self.health, err = health.new(self.config)
    ok = self.health ~= nil
  end
  if ok then
    self.cas, err = staple.load_cas(self.config)
    ok = self.cas ~= nil
  end
  for name in pairs(self.config.labels) do
    if not ok then break end
    self.labels[name], err = setup.label(self.config, name)
    ok = self.labels[name] ~= nil
  end
  hooks.preload()
  for _, each in ipairs(self.config.listen) do
    if each.psk or each.srp then self.identities = require "lest.server.worker.identities" end
  end
  if self.config.control then later.keep(CONSOLE) end
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  globals.close()
  for _, label in pairs(self.labels) do
    if not ok then break end
    ok, err = setup.policy(self.config, label)
  end
  self.config.files = nil
  if not ok then return nil, err end
  return tls, certified
end

--- The channel of the control role, in place of the one before. The console is loaded by the first
--- packet: to most workers none comes, and what is not there keeps nothing else out of the
--- processor's cache.
function Worker:take_control(channel, launch)
  if self.console then return self.console:take(channel) end
  if self.control then self.control:close() end
  self.control = channel
  channel:on_message(function(packet)
    self.console = require(CONSOLE).new(self, launch)
    if self.is_stopping then self.console:stop() end
    self.console:take(channel)
    self.console:on_packet(channel, packet)
  end)
end

-- /cacerts is served without an authority, and so is a 503.
local HELLO_MS <const> = 1000

--- Begin to listen: at the addresses of TLS, and at those of plain HTTP, whose sockets come after.
--- Each has its own limits, so that a flood of strangers takes nothing from who proves itself.
---@return boolean|nil ok
---@return lest.error|nil err
function Worker:listen(launch, tls)
  local config, fds = self.config, launch.listen_fds
  local function on_request(exchange) self:on_request(exchange) end
  local err
  self.server, err = core.server.new {
    fds = table.move(fds, 1, #config.listen, 1, {}), tls = tls,
    balancers = listen.balancers(config.listen),
    limits = limits.of_worker(config.limits, launch.workers),
    on_head = function(exchange) self:on_head(exchange) end, on_request = on_request,
    on_identity = self.identities and self.identities.asker(self.authority),
  }
  if not self.server or not config.listen_http[1] then return self.server ~= nil, err end
  self.plain, err = core.server.new {
    fds = table.move(fds, #config.listen + 1, #fds, 1, {}), tls = false,
    balancers = listen.balancers(config.listen_http),
    limits = limits.of_plain(config.limits, launch.workers),
    on_head = function(exchange) self:on_plain_head(exchange) end, on_request = on_request,
  }
  return self.plain ~= nil, err
end

--- How many are open, with TLS and without.
---@return integer
function Worker:connections()
  return (self.server and self.server.connections or 0)
    + (self.plain and self.plain.connections or 0)
end

--- Accept no more, and end what is idle.
function Worker:stop()
  self.is_stopping = true
  if self.console then self.console:stop() end
  if self.server then self.server:stop() end
  if self.plain then self.plain:stop() end
end

--- Serve until SIGTERM, and then until connections have ended or the drain is over.
function Worker:serve(launch, tls, certified)
  local per_minute = self.config.limits.requests_per_address_per_minute
  if per_minute then
    local options = { per_minute = per_minute, now_ms = core.clock.monotonic_ms }
    self.requests, self.plain_requests = limiter.new(options), limiter.new(options)
  end
  self.authority, self.shadows = link.new(), shadow.new(self)
  self.health.link = self.authority
  self.documents = documents.new(self.authority)
  self.ocsp = ocsp.new(self.config, self.authority)
  if wiping.is_needed(self.config) then wiping.start() end
  events.start(self)
  local own = certified and self.config.tls.auto and identity.new(self, certified)
  local stopping_at
  local terminate <close> = core.loop.signal(15, function()
    if stopping_at then return end
    stopping_at = core.clock.monotonic_ms()
    self:stop()
  end)
  core.process.on_channel(function(channel, _, _, role)
    if role == "control" then return self:take_control(channel, launch) end
    self.authority:take(channel)
  end)
  self.authority:await_hello(HELLO_MS)
  if own then own:await(function() return stopping_at ~= nil end) end
  if stopping_at then return terminate and 0 end
  local ok, err = self:listen(launch, tls)
  if not ok then
    core.log.write("error", "cannot listen", { "message", tostring(err) })
    return 1
  end
  if certified then
    local stapler = staple.new(self, certified, self.cas)
    if own then own.on_change = function() stapler:look() end end
    stapler:start()
  end
  self.authority:show()
  core.process.ready()
  local tick
  local function busy()
    return self:connections() > 0
      and core.clock.monotonic_ms() - stopping_at < self.config.drain * 1000
  end
  while not stopping_at or busy() do
    if stopping_at and not tick then tick = core.loop.timer(100, function() tick = nil end) end
    core.loop.turn()
  end
  return terminate and 0
end

return M
