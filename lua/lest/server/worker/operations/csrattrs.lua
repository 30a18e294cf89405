--- csrattrs (RFC 7030 4.5): what the label wants in a CSR, by the policy's hook or as configured.
--- Anybody may ask; where the policy has a hook, it sees who is proven to.
local answer = require "lest.server.worker.answer"
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local lines = require "lest.server.wire.lines"
local policy = require "lest.policy"
local question = require "lest.server.worker.question"
local refusal = require "lest.server.wire.refusal"
local view = require "lest.server.worker.view"

local M = {}

local failures <const> = lines.new "policy failed"

local EMPTY <const> = "\x30\x00"

--- The status of a hook's verdict, where it is one that refuses. Who is not known is asked who they
--- are, where there is a way to say so.
local function refused_with(verdict, principal)
  if not policy.is_verdict(verdict) then return nil end
  if verdict.verdict == "unavailable" then return 503 end
  return verdict.verdict == "reject" and (principal and 403 or 401) or nil
end

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
  local status = refused_with(stopped or ok and list, proven.principal)
  if status then refusal.raise(status, (stopped or list).reason or "the request is refused") end
  if ok and list == nil then return label.csrattrs end
  local der, err
  if ok and policy.is_verdict(list) then
    err = ("csrattrs takes no policy.%s: of verdicts, it takes policy.reject and "
      .. "policy.unavailable"):format(list.verdict)
  elseif ok then
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

--- Who is proven to ask, in the authority, where the client offers a proof.
---@return table|nil facts as of wanted()
local function prove(worker, exchange, request)
  if not next(request.offered or {}) then return nil end
  local told = worker.authority:ask(request.id, question.packet(exchange, request, {}))
  if not told.principal then return nil end
  request.who, request.device = told.who, told.device
  return { principal = question.principal(told), device = told.device, auth = told.auth }
end

--- 204 where nothing is wanted (4.5.2).
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(worker, exchange, request)
  local der = M.wanted(worker, exchange, request, prove(worker, exchange, request))
  if not der or der == EMPTY then return answer.plain(exchange, request, 204, {}) end
  answer.base64(exchange, request, der)
end

return M
