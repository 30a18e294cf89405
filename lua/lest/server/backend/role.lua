--- The backend: asks the CAs that are elsewhere, and fetches the keys of tokens' issuers. It has
--- credentials for them and the network, and no key of a CA, no ledger and no policy. The authority
--- says what to ask for, and checks what comes of it.
---
--- A CA's backend is a file beside this one, by the name that the configuration has for it. Its
--- new(where, options) reads what it needs, as whoever started the server, and gives an object with
---
---   issue(request)    -> outcome    the certificate that was approved, and no other
---   revoke(request)   -> outcome
---   cacerts()         -> lest.cert[] | nil (it cannot tell) | nil, err
---   status()          -> boolean | nil, why    if there is one: whether it answers; nil: it cannot
---                                              tell, and cacerts() is asked
---   start()           -> true | nil, err       if there is one: as `backend_user`
---
--- of which all but the last run in a task and may wait. An outcome is { outcome = "issued",
--- certificate = DER }, or "revoked", "later" (retry_after, note), "refused", "away" (it was not
--- asked), "failed" (it was, and nothing came of it) or "unknown" (something may have); detail is
--- for operators.
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local key_source = require "lest.server.backend.key_source"
local key_sources = require "lest.server.config.key_sources"
local lines = require "lest.server.wire.lines"
local list = require "lest.base.list"
local message = require "lest.server.wire.message"
local request_of = require "lest.server.backend.request"
local snapshot = require "lest.server.config.snapshot"
local standing = require "lest.server.backend.standing"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"
local terminal = require "lest.base.terminal"

local M = {}

local ASKED <const> = { order = true, recall = true, renew = true }
-- How long a start waits for the first keys of tokens: clients that come at once find them.
local FIRST_MS <const> = 3000
local DETAIL_MAX <const> = 990
local failures <const> = lines.new "backend failed"

---@class lest.backend
---@field cas table<string, { backend: table, timeout: integer, cert: lest.cert, where: string }>
---@field standing lest.backend.standing
---@field sources lest.backend.key_source[]
---@field channel? lest.channel the authority's
---@field asking table<lest.task, boolean> orders under way
---@field is_ending boolean the authority ends, or this process: what was not sent is not to be
local Backend = {}
Backend.__index = Backend

-- ---- one order

local function fitting(text)
  return text and terminal.line(tostring(text), DETAIL_MAX) or nil
end

local LATE <const> = "the CA has not answered in time"

--- Ask a CA, within its time. What goes wrong in between may have been too late; that nothing was
--- sent, the CA's backend says.
function Backend:ask(ca, order)
  local backend = ca.backend
  local asking = task.start({ quiet = true }, function()
    return backend[order.kind](backend, request_of(order))
  end)
  self.asking[asking] = true
  local timer <close> = core.loop.timer(ca.timeout * 1000, function() -- luacheck: ignore 211
    asking:withdraw(LATE)
    asking:cancel(LATE)
  end)
  local ok, outcome = pcall(asking.wait, asking)
  self.asking[asking] = nil
  if ok and type(outcome) == "table" then return outcome end
  return { outcome = "unknown", detail = ok and "the backend has answered nonsense" or outcome }
end

--- Answer an order. One whose CA is not here any more was not asked.
function Backend:on_order(order, channel)
  local ca = self.cas[order.ca or ""]
  core.process.beat(order.request_id)
  local outcome = ca and self:ask(ca, order)
    or { outcome = "away", detail = "there is no such CA" }
  if ca and not self.is_ending then self.standing:heard(order.ca or "", outcome) end
  if self.channel ~= channel then return end
  local packet, problem = message.encode { type = "outcome", number = order.number,
    outcome = outcome.outcome, certificate = outcome.certificate, note = outcome.note,
    retry_after = outcome.retry_after, detail = fitting(outcome.detail) }
  if not packet then
    failures:write("error", { "id", order.request_id, "message", problem })
    packet = assert(message.encode { type = "outcome", number = order.number, outcome = "unknown",
      detail = fitting(problem) })
  end
  channel:send(packet)
end

--- Take back the orders of which no CA was sent anything yet. Each is answered as of a CA that was
--- not asked; what was sent goes on.
function Backend:recall()
  self.is_ending = true
  local all = {}
  for asking in pairs(self.asking) do table.insert(all, asking) end
  for _, asking in ipairs(all) do asking:withdraw "the server ends, and nothing was sent" end
end

-- ---- the authority

--- Tell the authority what a source of keys has; of one that was not asked yet there is nothing.
function Backend:tell(source)
  if self.channel and source.is_settled then
    self.channel:send(assert(message.encode(source:keys())))
  end
end

function Backend:on_message(packet, channel)
  local asked, problem = message.decode(packet, ASKED)
  if not asked then
    core.log.write("error", "bad order from the authority", { "message", problem })
  elseif asked.type == "recall" then
    self:recall()
  elseif asked.type == "renew" then
    local source = self.sources[asked.source]
    if source then source:refresh() end
  else
    task.start({ quiet = true }, function()
      local ok, why = pcall(self.on_order, self, asked, channel)
      if ok then return end
      failures:write("error", { "id", asked.request_id, "message", tostring(why) })
    end)
  end
end

function Backend:take(channel)
  if self.channel then self.channel:close() end
  self.channel = channel
  channel:on_message(function(packet) self:on_message(packet, channel) end)
  channel:on_close(function()
    if self.channel ~= channel then return end
    self.channel = nil
    core.process.ask_channel()
  end)
  channel:send(assert(message.encode { type = "hello" }))
  for _, source in ipairs(self.sources) do self:tell(source) end
end

-- ---- start

local function open(config)
  local cas, sources = {}, {}
  for _, each in ipairs(chain.cas(config)) do
    local where, options = table.unpack(each)
    if options.backend then
      local backend, err = require("lest.server.backend." .. options.backend).new(where, options,
        config)
      if not backend then return nil, nil, err end
      cas[where:match "^cas%.(.*)$" or ""] = { backend = backend, timeout = options.timeout,
        cert = core.cert.load(options.cert), where = where }
    end
  end
  for place, each in ipairs((key_sources.list(config))) do
    local err
    sources[place], err = key_source.new(place, each)
    if not sources[place] then return nil, nil, err end
  end
  return cas, sources
end

--- Begin to fetch keys, and wait a little for the first.
function Backend:fetch()
  local is_late, missing = false, #self.sources
  local timer <close> = core.loop.timer(FIRST_MS, function() is_late = true end)
  for _, source in ipairs(self.sources) do
    function source.on_change()
      missing = missing - 1
      self:tell(source)
    end
    source:refresh()
  end
  while missing > 0 and not is_late do core.loop.turn() end
  return timer and missing == 0
end

function Backend:serve()
  local is_stopping = false
  core.process.on_channel(function(channel) self:take(channel) end)
  local terminate <close> = core.loop.signal(15, function() is_stopping = true end)
  self:fetch()
  core.process.ready()
  self.standing:start()
  while not is_stopping do core.loop.turn() end
  self:recall()
  return terminate and 0
end

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local cas, sources, err = open(config)
  local ok = cas ~= nil
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  for _, name in ipairs(ok and list.sorted_keys(cas) or {}) do
    local backend = cas[name].backend
    if ok and backend.start then ok, err = backend:start() end
  end
  for _, source in ipairs(ok and sources or {}) do
    if ok then ok, err = source:start() end
  end
  if not ok then return start_failure.report(launch, err) end
  if launch.check then return 0 end
  return setmetatable({ cas = cas, sources = sources, standing = standing.new(cas, config),
    asking = {}, is_ending = false }, Backend):serve()
end

return M
