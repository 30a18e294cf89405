--- csrattrs (RFC 7030 4.5): what the label wants in a CSR, by the policy's hook or as configured.
local answer = require "lest.server.worker.answer"
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local lines = require "lest.server.wire.lines"
local refusal = require "lest.server.wire.refusal"
local view = require "lest.server.worker.view"

local M = {}

local failures <const> = lines.new "policy failed"

local EMPTY <const> = "\x30\x00"

--- The attributes that the policy's hook gives for this request, or the label's own.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
---@param proven? table the facts of who is proven to ask: principal, device, auth
---@return string|false|nil der
function M.wanted(worker, exchange, request, proven)
  local label = request.label
  local hook = label.policy.hooks.csrattrs
  if not hook then return label.csrattrs end
  proven = proven or {}
  local seen = view.new {
    id = request.id, time = core.clock.wall_us() // 1000000, operation = "csrattrs",
    label = label.name, tls = request.tls, address = exchange.address,
    principal = proven.principal, device = proven.device, auth = proven.auth,
  }
  local ok, list, stopped = decision.call(hook, seen, worker:decision_limits(request))
  if stopped then
    refusal.raise(stopped.verdict == "unavailable" and 503 or 403, stopped.reason)
  end
  if ok and list == nil then return label.csrattrs end
  local der, err
  if ok then
    local encoded
    encoded, der, err = pcall(core.csrattrs.encode, list)
    if encoded and der then der, err = challenges.named(der, label) end
    if encoded and der then return der end
  end
  refusal.raise_memory(err or der)
  failures:write("error", { "id", request.id, "policy", label.policy.file,
    "message", ok and decision.at(hook, tostring(err or der)) or list })
  refusal.raise(500, "the request " .. request.id .. " failed")
end

--- 204 where nothing is wanted (4.5.2).
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(worker, exchange, request)
  local der = M.wanted(worker, exchange, request)
  if not der or der == EMPTY then return answer.plain(exchange, request, 204, {}) end
  answer.base64(exchange, request, der)
end

return M
