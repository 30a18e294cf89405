--- The proof "bearer": a token (RFC 6750) of a credential in the ledger, which says whose it is;
--- or, where the label has `bearer`, a JSON Web Token, which its issuer has signed.
---
--- None can be guessed: a good one is taken at any time. What was tried in vain counts for the
--- network alone, since a token that is nobody's names nobody.
local fail = require "lest.base.fail"
local message = require "lest.server.wire.message"
local principals = require "lest.server.ledger.principal"
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- A token of the ledger has no dot, and one that is signed has two.
local function prove_signed(authority, request, token, wanted)
  local jwt = require "lest.server.authority.jwt"
  local set = authority.key_sources[request.begin.label] or authority.jwks[wanted.jwks]
  local attempt = proof.attempt(authority, request)
  set:refresh()
  local found, problem, detail = jwt.verify(token, wanted, set, authority.clock())
  if not found then
    refusal.raise_memory(problem)
    local _, err = fail("unauthenticated", problem, { reason = problem, detail = detail })
    proof.refuse(request, err, attempt)
  end
  request:prove("bearer", { name = found.name, claims = found.text },
    { kind = "bearer", name = found.name, claims = found.claims },
    principals.of_token(wanted.issuer, found.name))
end

---@param authority lest.authority
---@param request lest.authority.request
---@param token string
function M.prove(authority, request, token)
  proof.start(request, "bearer")
  local wanted = request.label.bearer
  if wanted and token:find(".", 1, true) then
    return prove_signed(authority, request, token, wanted)
  end
  local attempt = proof.attempt(authority, request)
  if #token > message.SECRET_MAX then
    proof.refuse(request, select(2, fail("unauthenticated", "no credential has this token")),
      attempt)
  end
  local credential, err = authority.credentials:check_token(token, request.purpose)
  if not credential then proof.refuse(request, err, attempt) end
  proof.take(authority, request, credential)
end

return M
