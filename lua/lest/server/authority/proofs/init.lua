--- Who asks: each kind of proof that the worker passes on and the label takes is proven here, by
--- the file of its name; the worker is believed about none.
local kinds = require "lest.server.wire.kinds"
local refusal = require "lest.server.wire.refusal"

local M = {}

local provers <const> = {}
for _, kind in ipairs(kinds.list) do
  provers[kind.name] = require("lest.server.authority.proofs." .. kind.name)
end

--- Prove who asks, or refuse. May wait, as for scrypt.
---@param authority lest.authority
---@param request lest.authority.request whose proven, principal and ledger_name are filled
function M.authenticate(authority, request)
  local begin, accepts = request.begin, request.label.accepts
  if not (request.identity or request.secret) then begin.challenge = nil end
  for _, kind in ipairs(kinds.list) do
    local name = kind.name
    local offered = begin[name]
    if offered and accepts[name] then
      kinds.try(name, request, request.label.auth, request.proven, provers[name].prove, authority,
        request, offered)
    end
  end
  if request:is_satisfied_by(request.proven) then return end
  refusal.raise(kinds.missing(accepts, begin,
    request.operation.renews and not request.proven.certificate))
end

return M
