--- What the kinds share that a client proves in its handshake, without certificates: see
--- server/authority/identities.
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- Take a grant for the proof that its handshake was, if the credential is good still.
---@param authority lest.authority
---@param request lest.authority.request
---@param kind string
---@param grant string
function M.prove(authority, request, kind, grant)
  proof.start(request, kind)
  local holder = authority.identities:holder(request.channel, kind, grant)
  if not holder then
    -- An authority that was started anew knows of no handshake before: another one is needed.
    refusal.raise(503, "the connection is too old: connect again", { retry_after = 5 })
  end
  local credential, err = authority.credentials:check_holder(holder, request.purpose)
  if not credential then proof.refuse(request, err) end
  proof.take(authority, request, credential)
end

return M
