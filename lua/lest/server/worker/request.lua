--- One request in a worker, from its head to its answer: all that is known of it, in one place.
--- What a policy sees of it is server/worker/view.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local meters = require "lest.server.wire.meters"

local M = {}

---@class lest.worker.request
---@field id string
---@field started_us integer monotonic
---@field tls { version: string, cipher: string, channel_bound: boolean }
---@field operation? string its name
---@field row? table of server/wire/operations
---@field label? lest.worker.label
---@field is_plain? boolean it came without TLS
---@field is_public? boolean it is for what anybody may fetch
---@field answerer? fun(worker, exchange, request) what answers it, where no operation of EST does
---@field delivered_ms? integer monotonic: its answer is due so long after
---@field offered? table<string, any> the proofs that the client offers, by kind, until the
--- authority has them
---@field link lest.worker.link to the authority
---@field claimed? string the name that it gives itself
---@field has_token? boolean it has a Bearer token
---@field csr? lest.csr
---@field headers? table<string, string> those that a policy sees
---@field handle? string the authority's, until a verdict is sent
---@field channel? any the connection to the authority that knows the handle
---@field limits? lest.decision.limits those of its decision
---@field questions? integer how many its policy has asked the authority
---@field is_committed? boolean the verdict is on its way: the client's leaving changes nothing
---@field who? string the proven principal
---@field device? string whom it is about, as the ledger has it
---@field expired_for? integer seconds since the end of the certificate that is renewed
---@field status? integer what the client was answered
---@field reason? string
---@field verdict? string as the ledger has it
---@field rule? string which of the policy's rules decided, where it says so
---@field decided? { facts: table, journal: lest.journal } what the policy saw, for a shadow
---@field serial? string
---@field is_replayed? boolean it got the answer that was lost
---@field cut? { status: integer?, reason: string } what it got instead of our answer
local Request = {}
Request.__index = Request

---@param exchange lest.exchange
---@return lest.worker.request
function M.new(exchange)
  local tls = exchange.tls
  return setmetatable({
    id = exchange.id, started_us = core.clock.monotonic_us(),
    tls = { version = tls.version, cipher = tls.cipher, channel_bound = false },
    -- Room for what it gets: Lua makes a table anew each time that it grows.
    operation = nil, row = nil, label = nil, offered = nil, claimed = nil, has_token = nil,
    delivered_ms = nil, csr = nil, headers = nil, handle = nil, channel = nil, limits = nil,
    who = nil, device = nil, expired_for = nil, status = nil, verdict = nil, rule = nil,
    serial = nil,
  }, Request)
end

-- Why a request ended without the server's own answer.
local CUT_SHORT <const> = { closed = "the client left",
  stopped = "the server closed the connection" }

--- Have fn() called when our answer is not waited for any more; `cut` then says what the client got
--- instead.
---@param exchange lest.exchange
---@param fn function
function Request:on_cut(exchange, fn)
  exchange:on_abort(function(why, status, reason)
    self.cut = { status = status, reason = reason or CUT_SHORT[why] or why }
    fn()
  end)
end

-- What nobody proven asks for: a stranger could fill the log with it.
local strangers <const> = lines.new "request"

-- What anybody fetches, as often as it likes: it leaves no other's line out.
local fetches <const> = lines.new "request"

local OPERATIONS <const>, VERDICTS <const> = meters.operations.places, meters.verdicts.places

--- Count the request, and write the one line that the log has of each but the probes that are
--- answered; "status" is what the client was sent, 0 for nothing.
---@param exchange lest.exchange
function Request:log(exchange)
  local label, cut = self.label, self.cut
  local status = cut and cut.status or not cut and self.status or 0
  local unknown = (status == 401 or status == 429) and not self.who
  local us = core.clock.monotonic_us() - self.started_us
  core.meter.request(label and label.number or 0, status, OPERATIONS[self.operation or ""] or 0,
    VERDICTS[self.verdict or ""] or 0, us)
  if self.operation == meters.PROBE then return end
  local among = not self.who and (self.is_public and fetches or strangers)
  if among and among:leaves_out() then return end
  local level, short = status >= 500 and "error" or "info", lines.short
  local fields = {
    "id", self.id, "method", exchange.method, "operation", short(self.operation),
    "target", not label and short(exchange.target),
    "label", label and label.name or false, "plain", self.is_plain or false,
    "address", exchange.address,
    "principal", self.who or false, "device", self.device or false,
    "claimed", unknown and short(self.claimed),
    "certificate", not self.expired_for and short(exchange.peer_refusal),
    "expired_for", self.expired_for or false,
    "status", status, "verdict", self.verdict or false,
    "rule", short(self.rule), "reason", short(cut and cut.reason or self.reason),
    "serial", self.serial or false, "replayed", self.is_replayed or false,
    "us", us,
  }
  if among then return among:write(level, fields) end
  core.log.write(level, "request", fields)
end

return M
