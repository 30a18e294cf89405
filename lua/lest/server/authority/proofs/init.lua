--- Who asks: each kind of proof that the worker passes on and the label takes is proven here, by
--- the file of its name; the worker is believed about none.
local kinds = require "lest.server.wire.kinds"
local refusal = require "lest.server.wire.refusal"

local M = {}

local provers <const> = {}
for _, kind in ipairs(kinds.list) do
  provers[kind.name] = require("lest.server.authority.proofs." .. kind.name)
end

local function prove(authority, request, kind)
  local offered, auth = request.begin[kind], request.label.auth
  if not offered or not request.label.accepts[kind] then return end
  if not kinds.is_whole(auth, request.begin, kind) then return end
  kinds.try(kind, request, auth, request.proven, provers[kind].prove, authority,
    request, offered)
end

--- Prove who asks, or refuse. May wait, as for scrypt.
---@param authority lest.authority
---@param request lest.authority.request whose proven, principal and ledger_name are filled
function M.authenticate(authority, request)
  local begin = request.begin
  if not (request.identity or request.secret) then begin.challenge = nil end
  for _, kind in ipairs(kinds.list) do prove(authority, request, kind.name) end
  if request:is_satisfied_by(request.proven) then return end
  refusal.raise(kinds.missing(request.label.accepts, begin,
    request.operation.renews and not request.proven.certificate))
end

--- Prove who asks for what anybody may ask for. Who shows too little is nobody, and so is who has a
--- certificate that is not accepted, which is no secret; a wrong secret is refused, and counted, as
--- in an enrollment: this is no place to guess at.
---@param authority lest.authority
---@param request lest.authority.request filled as by authenticate(), where somebody is proven
---@return boolean somebody
function M.identify(authority, request)
  request.begin.challenge = nil -- there is no CSR that it could be in
  for _, kind in ipairs(kinds.list) do
    local ok, problem = pcall(prove, authority, request, kind.name)
    local is_nobodys = kind.name == "certificate" and refusal.is(problem) and problem.status == 403
    if not ok and not is_nobodys then error(problem, 0) end
  end
  if request:is_satisfied_by(request.proven) then return true end
  request.proven, request.principal, request.ledger_name, request.device = {}, nil, nil, nil
  return false
end

return M
