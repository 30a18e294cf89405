--- The authority: the CA's keys, the profiles, the credentials, the ledger. It has no network and
--- runs no script of the user's, and it believes no worker: it verifies the CSR, the secret, the
--- chain and the renewal by itself, and only then hands out a single-use handle.
---
--- A request comes in two messages: begin (who asks for what) is answered with a handle and the
--- facts that a policy sees, finish (the policy's verdict) with what follows from it. Between them
--- a policy may ask what else is known of the request (ask). messages.lua takes them, steps.lua
--- does them, replies.lua answers. Here is how the authority starts, and what it does meanwhile.
local backend = require "lest.server.authority.backend"
local backends = require "lest.server.config.backends"
local channels = require "lest.server.authority.channels"
local clock = require "lest.server.authority.clock"
local confirmations = require "lest.server.authority.cmc.confirmations"
local core = require "lest.core"
local crls = require "lest.server.authority.crls"
local documents = require "lest.server.authority.documents"
local early = require "lest.server.authority.early"
local key_source = require "lest.server.authority.key_source"
local keygen = require "lest.server.authority.keygen"
local limits = require "lest.server.config.limits"
local lost = require "lest.server.authority.lost"
local message = require "lest.server.wire.message"
local messages = require "lest.server.authority.messages"
local meters = require "lest.server.authority.meters"
local nonces = require "lest.server.authority.nonces"
local ocsp = require "lest.server.authority.ocsp"
local outbox = require "lest.server.authority.outbox"
local rates = require "lest.server.authority.rates"
local replies = require "lest.server.authority.replies"
local revocations = require "lest.server.authority.revocations"
local server_certificate = require "lest.server.authority.server_certificate"
local setup = require "lest.server.authority.setup"
local successions = require "lest.server.authority.successions"
local shadows = require "lest.server.authority.shadows"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local turn = require "lest.server.authority.turn"
local wiping = require "lest.server.wire.wiping"

local M = {}

local SWEEP_MS <const> = 10000
-- A policy's time, and what the messages take besides.
local HANDLE_MARGIN_S <const> = 60

---@class lest.authority
---@field config table
---@field issuers table<string, table> by the name in cas; "" is `ca`. Each signs, and has in
--- `siblings` the other generations of a CA whose key changes: the next one, or the one before,
--- with `issuer` and `key` where the key is here
---@field issuers_by_id table<string, table> by what the ledger calls them, siblings too
---@field cmc { cert: lest.cert, key: lest.key }? who signs the answers of fullcmc
---@field anchors table<string, { store: lest.store, vouched: table }> by name
---@field jwks? table<string, lest.authority.jwks> by file, where a label takes JSON Web Tokens
---@field key_sources table<string, lest.authority.key_source> by label, where their keys are at an
--- address
---@field backend? lest.authority.backend where a CA or an issuer's keys are elsewhere
---@field ledger lest.ledger
---@field credentials lest.credentials
---@field lanes lest.lanes of scrypt
---@field failures table<string, lest.limiter> of secrets: network, name_there, name,
--- kind_there
---@field requests lest.limiter by device
---@field issued table<string, lest.limiter> by profile
---@field nonces lest.authority.nonces of Digest
---@field keygen? lest.authority.keygen where a profile has server_keys
---@field rates lest.authority.rates of policies
---@field channels lest.authority.channels
---@field documents lest.authority.documents
---@field crls lest.authority.crls
---@field turn lest.authority.turn
---@field early lest.authority.early
---@field shadows lest.authority.shadows
---@field outbox lest.authority.outbox
---@field ocsp lest.authority.ocsp
---@field revocations lest.authority.revocations
---@field orders? lest.authority.orders where a CA is elsewhere
---@field doubts lest.authority.doubts
---@field own? lest.authority.server_certificate where the server's certificate renews itself
---@field identities? lest.authority.identities where clients name themselves in handshakes
---@field clock fun(): integer seconds since 1970
local Authority = {}
Authority.__index = Authority

--- Tell all workers what was revoked.
function Authority:tell_revoked(rows, more)
  local serials = {}
  for i, row in ipairs(rows) do serials[i] = row.serial end
  self.channels:send_to_all(assert(message.encode { type = "revoked", serials = serials,
    more = more or nil }))
end

--- Have the server's own certificate, and give each worker the next one.
---@return boolean|nil ok
---@return lest.error|nil err
function Authority:start_own()
  local own = server_certificate.new(self)
  local ok, err = own:start()
  if not ok then return nil, err end
  self.own = own
  own.on_change = function() self.channels:send_to_all(own:packet()) end
  return true
end

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local authority = setmetatable({
    config = config, issuers = {}, issuers_by_id = {}, anchors = {},
    issued = {}, key_sources = {}, clock = clock.wall_s,
  }, Authority)
  local ok, err = setup.before_drop(authority, launch)
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  if ok and not launch.check then ok, err = setup.ledger(authority) end
  if ok and launch.check then ok, err = setup.check_ledger(authority) end
  if not ok then return start_failure.report(launch, err) end
  if launch.check then return 0 end
  return authority:serve(launch)
end

--- Look for verdicts that do not come, at the clock, the ledger and the calendar, now and then.
function Authority:sweep()
  if self.is_stopping then return end
  self.channels:sweep(clock.monotonic_s())
  self.watch_clock()
  self.turn:check()
  confirmations.sweep(self)
  successions.sweep(self)
  meters.measure(self)
  self.sweeper = core.loop.timer(clock.every_ms(SWEEP_MS), function() self:sweep() end)
  self.doubts:tell_daily(self.ledger)
end

-- How long a verdict is waited for: an operator at the console may take a policy's time and the
-- whole of the answer's.
local function handle_lifetime(config)
  local decision, answer = config.limits.decision, config.limits.answer
  return (config.control and math.max(decision, answer) or decision) + HANDLE_MARGIN_S
end

--- Turn the loop until SIGTERM.
function Authority:serve(launch)
  local config = self.config
  self.turn = turn.new(self.ledger)
  self.early, self.shadows = early.new(self.turn), shadows.new(self.turn)
  self.outbox = outbox.new(self.turn, config, self.clock, launch.workers)
  self.nonces = nonces.new { now_s = clock.monotonic_s }
  if wiping.is_needed(config) then wiping.start() end
  if wiping.makes_keys(config) then self.keygen = keygen.new(self) end
  self.rates = rates.new { now_ms = core.clock.monotonic_ms }
  self.turn.before_commit = function()
    self.early:flush()
    self.shadows:flush()
  end
  if snapshot.has_backend(config) then
    self.backend = backend.new()
    self.key_sources = key_source.open(config, self.backend)
  end
  if backends.any(config) then
    self.orders = require("lest.server.authority.orders").new(self)
    self.orders:start()
  end
  self.channels = channels.new {
    share = limits.share(config.limits.requests, launch.workers),
    lifetime = handle_lifetime(config),
    on_lost = function(request, why) replies.lost(self, request, why) end,
    on_end = function(channel) self.outbox:lost(channel) end,
  }
  self.documents = documents.new(self.channels)
  self.documents:publish_cas(self.issuers, self.issuers_by_id)
  self.crls = crls.new(self)
  for _, each in ipairs(config.listen) do
    if each.psk or each.srp then
      self.identities = require("lest.server.authority.identities").new(self)
    end
  end
  local stopping = false
  core.process.on_channel(function(...) messages.on_channel(self, ...) end)
  local terminate <close> = core.loop.signal(15, function() stopping = true end)
  core.loop.on_turn_end(function() self.turn:settle() end)
  self.ocsp, self.revocations = ocsp.new(self, launch.workers), revocations.new(self)
  self.revocations:on_revoked(function(rows, more)
    local is_over = self.ocsp:forget(rows, more)
    self:tell_revoked(rows, more or is_over)
    self.crls:note(rows, more)
  end)
  self.revocations:start()
  self.watch_clock = clock.watcher()
  self:sweep()
  self.outbox:start()
  meters.start(self)
  -- What a worker of this generation is asked for, it is to have.
  self.crls:start(function() return stopping or self.turn.failed end)
  if config.tls and config.tls.auto then
    local ok, err = self:start_own()
    if not ok then return start_failure.report(launch, err) end
  end
  core.process.ready()
  while not (stopping or self.turn.failed) do core.loop.turn() end
  self.is_stopping = true
  if self.orders then self.orders:stop() end
  self.outbox:stop()
  self.revocations:stop()
  self.crls:stop()
  if self.own then self.own:stop() end
  if not self.turn.failed then self.channels:close() end
  self.early:flush()
  self.shadows:flush()
  self.turn:finish()
  self.ledger:close()
  if self.turn.lost then
    self.channels:hang_up()
    lost.wait(self.turn.lost, function() return stopping end)
  end
  return terminate and (self.turn.failed and 1 or 0)
end

return M
