--- What can be judged from a request's head, before its client sends a body in vain: path, label,
--- method, media type, whether there are credentials.
local core = require "lest.core"
local health = require "lest.server.worker.health"
local kinds = require "lest.server.wire.kinds"
local operations = require "lest.server.wire.operations"
local public = require "lest.server.worker.public"
local refusal = require "lest.server.wire.refusal"

local M = {}

local collectors <const> = {}
for _, kind in ipairs(kinds.list) do
  collectors[kind.name] = require("lest.server.worker.proofs." .. kind.name)
end

--- Collect what the client offers of the proofs that the label takes; the authority judges them.
local function collect_proofs(exchange, request)
  local accepts, auth, offered = request.label.accepts, request.label.options.auth, {}
  request.offered = offered
  for _, kind in ipairs(kinds.list) do
    local name = kind.name
    if accepts[name] then
      offered[name] = kinds.try(name, request, auth, offered, collectors[name].collect, exchange,
        request)
    end
  end
  local refused = accepts.certificate and not offered.certificate and exchange.peer_refusal
  if request.row.in_body or request.row.by_anybody then return end
  local is_enough = false
  for name in pairs(offered) do is_enough = is_enough or kinds.is_whole(auth, offered, name) end
  if is_enough and not (refused and request.row.renews) then return end
  local status, reason = kinds.missing(accepts, offered, request.row.renews)
  refusal.raise(status, refused or reason)
end

--- Fill the request from its head, or raise a refusal. A probe of the server's health is answered,
--- and so is what public.lua serves.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.check(worker, exchange, request)
  local route, status, sentence = core.est.route(exchange.path)
  if not route and exchange.path == health.PATH then
    return worker.health:answer(exchange, request)
  end
  if not route and public.check(worker, exchange, request) then return end
  if not route then refusal.raise(status, sentence) end
  local operation = route.operation
  request.operation, request.row = operation, operations[operation]
  local label = worker.labels[route.label or "default"]
  if not label then refusal.raise(404, "there is no such label here") end
  request.label = label
  if not request.row or request.row.makes_key and not label.options.makes_keys
    or operation == "fullcmc" and not label.options.fullcmc then
    refusal.raise(404, ("the operation '%s' is not offered here"):format(operation))
  end
  local good, detail
  good, status, detail = core.est.method_check(operation, exchange.method)
  if not good then
    refusal.raise(status, "the method is not allowed here", { allow = detail })
  end
  if exchange.method ~= "POST" then
    -- Without a hook, what is answered is the same for all.
    local hooks = request.row.by_anybody and label.policy.hooks
    if hooks and hooks[request.row.hook] then collect_proofs(exchange, request) end
    return
  end
  collect_proofs(exchange, request)
  good, status, sentence = core.est.request_media_check(operation,
    exchange:header "content-type", exchange:header "content-encoding")
  if not good then refusal.raise(status, sentence) end
end

return M
