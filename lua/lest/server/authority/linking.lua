--- Proof of possession linked to the channel (RFC 7030 3.5): whoever signed the CSR knew the TLS
--- connection that brings it, so that nobody else's can be sent on as one's own. The worker says
--- which connection that is, and is believed; what the CSR says is compared here.
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local refusal = require "lest.server.wire.refusal"

local M = {}

local function fail(reason) refusal.raise(400, reason, { failure = "popFailed" }) end

--- Tell what the CSR's challenge attributes are: links to the connection, which are compared
--- whole, in constant time, or a secret. A challengePassword that is not the connection's is a
--- secret where the label takes such and otpChallenge is none.
---@param request lest.authority.request whose CSR is read
function M.read(request)
  local begin, csr, label = request.begin, request.csr, request.label
  local secret = label.accepts.challenge and challenges.secret(csr) or nil
  local is_bound, wrong = false, nil
  if challenges.may_link(csr, label.channel_binding) then
    for _, link in ipairs(challenges.LINKS) do
      local field, name = table.unpack(link)
      local value = csr[field]
      local is_right = value and begin.binding and core.secret.equal(value, begin.binding)
      local may_be_secret = field == "challenge_password" and secret and not csr.otp_challenge
      if is_right and may_be_secret then secret = nil end
      is_bound = is_bound or is_right or false
      if value and not is_right and not may_be_secret then wrong = wrong or name end
    end
  end
  begin.binding, begin.tls.channel_bound = nil, is_bound and not wrong
  request.secret, request.wrong_link = secret, wrong
end

--- Raise a refusal unless the CSR is linked as the label wants it. An RA may send on what others
--- have linked to their connection to it (3.7), also as messages of a batch.
---@param request lest.authority.request of a proven principal
function M.check(request)
  local how = request.label.channel_binding
  local is_of_batch = request.cmc and request.cmc.outer
  if how == "off" or is_of_batch or request:is_of_ra() then return end
  if request.wrong_link then
    fail(("the CSR is linked to another TLS connection: its %s is not the channel binding of this "
      .. "one (RFC 7030 3.5)"):format(request.wrong_link))
  elseif how == "required" and not request.begin.tls.channel_bound then
    fail("the CSR must be linked to its TLS connection (RFC 7030 3.5): it has no "
      .. "challengePassword with the channel binding")
  end
end

return M
