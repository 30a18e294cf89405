--- Keys that are made for clients (RFC 7030 4.4). A key is made once its request is approved, in a
--- thread of its own, which the networks that want one share by turns; it is in the answer and
--- nowhere else, and is overwritten after that.
local core = require "lest.core"
local lanes_module = require "lest.server.authority.lanes"
local limiter = require "lest.server.wire.limiter"
local profiles = require "lest.server.authority.profile"
local refusal = require "lest.server.wire.refusal"
local task = require "lest.task"

local M = {}

-- Keys that wait to be made; those of RSA take a second each.
local WAITING_MAX <const> = 64

---@class lest.authority.keygen
---@field authority lest.authority
---@field lanes lest.lanes
local Keygen = {}
Keygen.__index = Keygen

---@param authority lest.authority
---@return lest.authority.keygen
function M.new(authority)
  local pool = core.pool.new { threads = 1, queue = 1 }
  return setmetatable({ authority = authority, lanes = lanes_module.new {
    running = 1, waiting = WAITING_MAX,
    run = function(job, done)
      local queued, err = pool:generate(job.kind, function(...)
        done()
        job.done(...)
      end)
      if queued then return end
      done()
      job.done(nil, err)
    end,
    drop = function(job) job.done(nil) end,
  } }, Keygen)
end

-- The key length of a suite by its name, which is OpenSSL's or IANA's; 0 for one that has not been
-- heard of here.
local function cipher_bits(name)
  if name:find "CHACHA20" then return 256 end
  return tonumber(name:match "AES_?(%d+)") or 0
end

--- RFC 7030 4.4: the suite "MUST offer confidentiality commensurate with the private key being
--- delivered".
local function check_suite(request, key)
  local cipher = request.begin.tls.cipher
  if cipher_bits(cipher) >= key.security_bits then return end
  local kind = key.type
  key:close()
  refusal.raise(403, ("a key of type %s is stronger than the connection (%s): a suite with AES-256 "
    .. "is needed"):format(kind, cipher))
end

-- What a client has asked for that there cannot be.
local ASKED <const> = { key_unsupported = true, refused = true, malformed = true }

--- The key in an envelope, signed by the CA, which has made it. It is never given in the clear
--- where that was asked for.
local function seal(issuer, to, key)
  local sealed, err = core.envelope.seal { key = key, signer_cert = issuer.cert,
    signer_key = issuer.key, cert = to.cert, shared = to.shared, id = to.id,
    capabilities = to.capabilities }
  if sealed then return sealed end
  key:close()
  if ASKED[err.code] then refusal.raise_for(400, err) end
  error(err, 0)
end

--- Make the key of an approved request, which waits. Where its approval is none, as the plan will
--- say, none is made.
---@param request lest.authority.request
---@param finish table
function Keygen:make(request, finish)
  local name = profiles.of_approval(request.label, finish.profile)
  local profile = self.authority.config.profiles[name]
  local issuer = self.authority.issuers[profiles.ca_of(request.label, finish.ca) or false]
  if not (profile and issuer and issuer.issuer) then return end
  local kind = profiles.kind_to_make(profile, finish.key, request.csr)
  if not kind then return end
  local key, err = task.await(function(callback)
    local job = { kind = kind, done = callback }
    if not self.lanes:add(limiter.site(request.begin.address), job) then callback(nil) end
  end)
  if not key then
    refusal.raise(503, "too many keys are being made", { retry_after = 5,
      detail = err and tostring(err) })
  end
  if request.recipient then
    request.sealed = seal(issuer, request.recipient, key)
  else
    check_suite(request, key)
  end
  request.made = key
end

return M
