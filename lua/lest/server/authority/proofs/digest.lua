--- The proof "digest": a response (RFC 7616) that only who knows a credential's secret can make.
--- The worker passes it on as the client has sent it, and never sees what it is compared with.
---
--- A guess takes two hashes and no thread. So what bounds guesses is that failures are counted as
--- those of Basic are, and with them.
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

local FOLDER <const> = "/.well-known/est/"

--- Whether a URI is of the operation and the label: a response for one is none for another.
local function is_of(uri, begin)
  local path = uri:gsub("^%a[%w+.-]*://[^/]*", ""):match "^[^?#]*":gsub("%%(%x%x)",
    function(pair) return string.char(tonumber(pair, 16)) end)
  return path == ("%s%s/%s"):format(FOLDER, begin.label, begin.operation)
    or begin.label == "default" and path == FOLDER .. begin.operation
end

-- A secret that a person chose may have been guessed: past the limit it is not said to be right. A
-- random one is taken at any time.
local function check(authority, request, said)
  local attempt = proof.attempt(authority, request, said.username)
  local credential, err = authority.credentials:check_digest(said, request.purpose,
    attempt.is_limited)
  if credential then return credential end
  proof.refuse(request, err, attempt)
end

---@param authority lest.authority
---@param request lest.authority.request
---@param said table as the message `begin` has it
function M.prove(authority, request, said)
  if not is_of(said.uri, request.begin) then
    refusal.raise(400, "the uri of the Digest credentials is not that of the request")
  end
  if said.realm ~= request.label.realm then
    refusal.raise(401, "the realm of the Digest credentials is not that of the label")
  end
  said.method = not request.operation.by_anybody and "POST" or said.head and "HEAD" or "GET"
  proof.start(request, "digest")
  local credential = check(authority, request, said)
  if not authority.nonces:take(said.realm, said.nonce, said.nc) then
    refusal.raise(401, "the nonce of the Digest credentials is over, or was used",
      { stale = true })
  end
  proof.take(authority, request, credential)
end

return M
