--- The two steps of a request: begin finds out who asks for what, and gives a handle and what a
--- policy sees; finish does what follows from the policy's verdict, in one unit of the ledger. Each
--- raises refusals.
local admission = require "lest.server.authority.admission"
local challenges = require "lest.server.wire.challenges"
local channels = require "lest.server.authority.channels"
local issuance = require "lest.server.authority.issuance"
local json = require "lest.json"
local kinds = require "lest.server.wire.kinds"
local linking = require "lest.server.authority.linking"
local passphrases = require "lest.server.authority.passphrases"
local proofs = require "lest.server.authority.proofs"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- What a worker gets to ask its policy about.
local function facts_of(request)
  local principal, previous = request.principal, request.previous
  return {
    who = request:who(), device = request:about(), auth = request.proven,
    reg_info = request.cmc and request.cmc.reg_info,
    approvals = request.approvals, channel_bound = request.begin.tls.channel_bound,
    previous = previous and {
      certificate = previous:der(), facts = json.decode(request.own.facts),
      expired_for = request.expired_for,
    },
    principal = {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      is_own = principal.certificate ~= nil and request.own ~= nil,
      credential = principal.credential,
      certificate = principal.certificate and principal.certificate:der(),
    },
  }
end

--- What a known principal asks for: its certificate again, or a handle for the policy's verdict.
---@param authority lest.authority
---@param request lest.authority.request
---@return table answer
function M.open(authority, request)
  admission.check(authority, request)
  local again = record.lost_answer(authority, request)
  if again then
    again.who, again.device, again.verdict = request:who(), request:about(), request.verdict
    return again
  end
  for _, credential in ipairs(request.credentials) do
    if credential.may == "fetch" then refusal.raise(401, "the credentials are not accepted") end
  end
  local order = authority.orders and authority.orders:find(request)
  if order then
    return { order = order, who = request:who(), device = request:about(),
      verdict = request.verdict }
  end
  request.approvals = record.find_pending(authority, request)
  local answer = facts_of(request)
  answer.handle = authority.channels:keep(request)
  return answer
end

--- Whoever is known leaves a row of the ledger at each request, and must not be able to fill it.
---@param authority lest.authority
---@param request lest.authority.request
function M.count_request(authority, request)
  local wait = authority.requests:take(request.device)
  if wait then refusal.raise(429, "too many requests", { retry_after = wait }) end
end

--- The question about an enrollment, which has taken its place.
---@param authority lest.authority
---@param request lest.authority.request
---@return table answer
function M.begin(authority, request)
  local begin = request.begin
  request:read_csr()
  linking.read(request)
  proofs.authenticate(authority, request)
  request.is_proven = true
  begin.csr = challenges.masked(request.csr, request.label) or begin.csr
  for _, kind in ipairs(kinds.list) do begin[kind.name] = nil end -- not needed any more
  -- The channel may have ended while a password was hashed. No policy was asked: nothing to record.
  if request.channel.closed then channels.refuse_crowd() end
  M.count_request(authority, request)
  request.is_known = true
  return M.open(authority, request)
end

--- The question who asks for what anybody may ask for. It leaves no row of the ledger.
---@param authority lest.authority
---@param request lest.authority.request
---@return table answer
function M.identify(authority, request)
  request.is_proven = proofs.identify(authority, request)
  if not request.is_proven then return {} end
  M.count_request(authority, request)
  return facts_of(request)
end

-- What follows from a verdict.
local function follow(authority, request, finish)
  local verdict = finish.verdict
  if verdict == "approve" then return issuance.issue(authority, request, finish) end
  if verdict == "pending" then return issuance.hold(authority, request, finish) end
  record.request(authority, request, finish, verdict, {})
  if verdict == "reject" then
    return { status = 403, reason = finish.reason or "the request is refused" }
  elseif verdict == "unavailable" then
    return { status = 503, reason = finish.reason or "the request cannot be decided now",
      retry_after = finish.retry_after or request.label.retry_after }
  end
  return { status = 500, reason = "the request " .. request.id .. " failed" }
end

--- The verdict on a kept request.
---@param authority lest.authority
---@param request lest.authority.request
---@param finish table the worker's message
---@return table answer
function M.finish(authority, request, finish)
  if request.operation.makes_key and finish.verdict == "approve" then
    authority.keygen:make(request, finish)
    -- The channel may have ended meanwhile: nobody would get the key.
    if request.channel.closed then refusal.raise(503, "the worker ended while the key was made") end
  end
  if finish.verdict == "approve" and passphrases.has(request) then
    passphrases.hash(authority, request)
  end
  local answer = authority.turn:unit(follow, authority, request, finish)
  answer.device, answer.verdict = request:about(), request.verdict
  return answer
end

return M
