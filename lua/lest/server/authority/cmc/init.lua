--- fullcmc (RFC 7030 4.3, RFC 5272): a message that asks for several things at once. Each
--- certificate that it asks for is a request of its own, decided by the policy and recorded one
--- after the other; what became of each is a status of the one response.
---
--- The signer of the message is who asks, if a certificate tells who that is. Where the key of a
--- request has signed, what TLS and HTTP have proven tells it.
local answers = require "lest.server.authority.cmc.answer"
local challenges = require "lest.server.wire.challenges"
local cmc = require "lest.base.cmc"
local confirmations = require "lest.server.authority.cmc.confirmations"
local core = require "lest.core"
local kinds = require "lest.server.wire.kinds"
local linking = require "lest.server.authority.linking"
local links = require "lest.server.authority.cmc.links"
local messages = require "lest.server.authority.cmc.message"
local proofs = require "lest.server.authority.proofs"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local replies = require "lest.server.authority.replies"
local request_module = require "lest.server.authority.request"
local services = require "lest.server.authority.cmc.services"
local steps = require "lest.server.authority.steps"

local M = {}

---@class lest.authority.cmc.part
---@field id integer the body part that its status is about
---@field request lest.authority.request

---@class lest.authority.cmc a message that is being answered
---@field authority lest.authority
---@field base lest.authority.request the whole; the first of its requests where it has some
---@field id string of its first request; those of the others begin with it
---@field outer? lest.authority.cmc the batch in which it came, by an RA (RFC 5272 6.17)
---@field inner lest.authority.cmc[] the messages of a batch, each with an asker of its own
---@field inner_at integer how many of them are answered
---@field batched? integer the requests in them that are opened
---@field message? lest.cmc once it could be read
---@field parts lest.authority.cmc.part[]
---@field at integer how many of them were begun
---@field services integer how many controls were done, each as a request of its own
---@field reg_info? string what the message says beside its requests, to policies
---@field said lest.authority.cmc.answer
---@field http_status integer
---@field issuer? string DER of its name, where something was issued
---@field retry_after? integer
---@field serial? string the last that was issued
---@field may_be_late? boolean it asks for certificates alone: one that has expired may renew itself
local Talk = {}
Talk.__index = Talk

-- What an HTTP status is in RFC 5272 6.1.4, where what refused does not say.
local function failure_of(status, refused)
  if refusal.is(refused) and refused.failure then return refused.failure end
  if status == 401 then return "badIdentity" end
  if status == 429 or status == 503 then return "tryLater" end
  return status >= 500 and "internalCAError" or "badRequest"
end

-- What weighs more in the answer to the whole: what waits, what was done, what failed.
local function weight(status)
  return status == 202 and 3 or status == 200 and 2 or status and 1 or 0
end

function Talk:note_http(status, retry_after)
  if weight(status) > weight(self.http_status) then
    self.http_status, self.retry_after = status, retry_after
  end
end

function Talk:say(status)
  table.insert(self.said.statuses, status)
end

--- Say of body parts that they failed, as an answer of the authority has it.
function Talk:fail(bodies, answer, refused)
  self:note_http(answer.status, answer.retry_after)
  local word = refusal.is(refused) and refused.status_word
  self:say { status = word or "failed", bodies = refusal.is(refused) and refused.bodies or bodies,
    failure = not word and failure_of(answer.status, refused) or nil, text = answer.reason }
end

-- The token that a client asks again with, and when: as it was told first (RFC 5272 6.13).
function Talk:say_pending(part, answer)
  local row = record.rows(self.authority.ledger, "pending_get", { id = part.request.pending_id })[1]
  self:note_http(202, answer.retry_after)
  self:say { status = "pending", bodies = { part.id }, text = answer.reason, token = row.id,
    time = row.created + part.request.label.retry_after }
end

local function add_issued(self, part, answer)
  local cert = assert(core.cert.parse(answer.certificate))
  table.insert(self.said.certificates, 1, cert)
  self.issuer = cert.issuer_der
  self.serial = answer.serial
  self:note_http(200)
  local is_open = confirmations.is_open(self.authority, answer.serial)
  self:say { status = is_open and "confirmRequired" or "success", bodies = { part.id } }
end

function Talk:note(part, answer)
  self.verdict, self.device = answer.verdict, answer.device
  if answer.certificate then return add_issued(self, part, answer) end
  if answer.status == 202 then return self:say_pending(part, answer) end
  self:fail({ part.id }, answer, part.request.refused)
end

--- The message's own end: what it is answered with.
function Talk:close()
  local authority = self.authority
  -- RFC 5272 4.2: with what stands above what was issued.
  for _, issuer in pairs(self.issuer and authority.issuers or {}) do
    local is_above = issuer.cert and core.name.equal(issuer.cert.subject_der, self.issuer)
    for _, cert in ipairs(is_above and issuer.bag or {}) do
      table.insert(self.said.certificates, cert)
    end
  end
  local base = self.base
  return { cmc = answers.build(authority, self.message, self.said), cmc_status = self.http_status,
    retry_after = self.retry_after, serial = self.serial, verdict = self.verdict,
    who = base.is_proven and base:who() or nil, device = self.device }
end

local function has_more(self)
  if self.at < #self.parts then return true end
  for _, inner in ipairs(self.inner) do
    if has_more(inner) then return true end
  end
  return false
end

--- Go on with no more of the requests.
local function give_up(self, problem)
  for i = self.at + 1, #self.parts do
    self:fail({ self.parts[i].id }, { status = 503, reason = problem.reason, retry_after = 5 })
  end
  self.at = #self.parts
  for _, inner in ipairs(self.inner) do give_up(inner, problem) end
end

--- Go on with the next request: its handle and what a policy sees, or the response.
function Talk:next()
  while self.at < #self.parts do
    self.at = self.at + 1
    local part = self.parts[self.at]
    local answer = replies.to(self.authority, part.request, steps.open)
    if answer.handle then
      answer.csr = part.request.begin.csr
      return answer
    end
    self:note(part, answer)
  end
  -- What becomes of a message of a batch is said in its own response.
  while self.inner_at < #self.inner do
    local answer = self.inner[self.inner_at + 1]:next()
    if answer.handle then return answer end
    self.inner_at = self.inner_at + 1
    table.insert(self.said.responses, answer.cmc)
  end
  return self:close()
end

--- A verdict was followed: go on.
function Talk:went_on(answer)
  self:note(self.parts[self.at], answer)
  local whole = self.outer or self
  if not has_more(whole) then return whole:next() end
  local channels, channel = self.authority.channels, self.base.channel
  local ok, problem = pcall(channels.enter, channels, channel)
  if not ok then
    give_up(whole, problem)
    return whole:next()
  end
  local next_answer
  ok, next_answer = pcall(whole.next, whole)
  if not (ok and next_answer.handle) then channels:leave(channel) end
  return ok and next_answer or error(next_answer, 0)
end

-- ---- beginning

-- What the message asks for, as if it had come alone.
local function new_request(self, id, csr)
  local whole, begin = self.base, {}
  for name, value in pairs(whole.begin) do begin[name] = value end
  begin.cmc, begin.csr, begin.tls = nil, csr, {}
  for name, value in pairs(whole.begin.tls) do begin.tls[name] = value end
  local request = request_module.new(whole.channel, begin, whole.label, whole.started)
  if id ~= begin.id then request.asked_as, request.id = begin.id, id end
  request.cmc = self
  return request
end

-- Number by number: the first has the message's own.
local function id_of(self, number)
  return number == 1 and self.id or ("%s.%d"):format(self.id, number)
end

--- A request for one certificate.
local function add_part(self, id, csr)
  local request = new_request(self, id_of(self, #self.parts + 1), csr)
  request:read_csr()
  linking.read(request)
  table.insert(self.parts, { id = id, request = request })
end

--- What waits under a token, asked for again.
local function add_pending(self, control)
  local row = record.rows(self.authority.ledger, "pending_get", { id = control.value })[1]
  local begin = self.base.begin
  if not row or row.label ~= begin.label or row.operation ~= begin.operation then
    refusal.raise(400, "nothing waits under this token",
      { failure = "badRequest", bodies = { control.id } })
  end
  add_part(self, control.id, row.csr)
  self.parts[#self.parts].waits = row
end

--- Who the first request has proven to be asks for the others too.
local function inherit(base, request)
  for _, name in ipairs { "proven", "principal", "ledger_name", "device", "own", "is_unknown",
    "credentials" } do
    request[name] = base[name]
  end
  local purpose = {}
  for name, value in pairs(base.purpose or {}) do purpose[name] = value end
  purpose.key_hash = request.key_hash
  request.purpose = base.purpose and purpose
end

--- Whether a request renews the certificate that has signed: it has its names. Other names than its
--- own are for a policy to grant by ChangeSubjectName, and for an RA (RFC 6402 2.4).
local function judge_names(request)
  local cert, csr = request.principal.certificate, request.csr
  if not request.own then return end
  request.is_renewal = core.name.equal(csr.subject_der, cert.subject_der)
    and core.san.equal(csr.san_der, cert.san_der)
  if request.is_renewal or request:is_of_ra() then return end
  refusal.raise(403, "the names of the request are not those of the certificate that signed it")
end

-- What a profile has a say in, and what this server writes itself.
local SUPPORTED <const> = { ["2.5.29.14"] = true, ["2.5.29.15"] = true, ["2.5.29.17"] = true,
  ["2.5.29.19"] = true, ["2.5.29.35"] = true, ["2.5.29.37"] = true }

--- RFC 5272 3.1: what the client says to need and would not get.
local function check_extensions(part)
  for _, extension in ipairs(part.request.csr.extensions) do
    if extension.critical and not SUPPORTED[extension.oid] then
      refusal.raise(400, ("the extension %s is not supported"):format(extension.oid),
        { failure = "unsupportedExt", bodies = { part.id } })
    end
  end
end

local function judge(self, part)
  local request = part.request
  local waits = part.waits
  if waits and (waits.principal_kind ~= request.principal.kind
    or waits.principal_name ~= request.ledger_name) then
    refusal.raise(403, "nothing waits under this token",
      { failure = "badIdentity", bodies = { part.id } })
  end
  check_extensions(part)
  judge_names(request)
  steps.count_request(self.authority, request)
  request.is_known = true
end

-- What only an RA of ours may say (RFC 6402 2.5, RFC 5272 6.8).
local OF_RA <const> = { lraPOPWitness = "popFailed", raIdentityWitness = "badRequest",
  batchRequests = "badRequest" }

-- What a service is asked for, for operators.
local function detail_of(control)
  local named = control.value
  return ("%s %sof %s"):format(control.name, named.serial and named.serial .. " " or "",
    named.issuer)
end

--- Do what a control asks for. It leaves a row of its own, which no policy has decided.
function Talk:serve(first, control, service)
  self.services = self.services + 1
  local request = new_request(self, id_of(self, #self.parts + self.services))
  inherit(first, request)
  request.is_proven, request.is_known = true, true
  local found
  local answer = replies.to(self.authority, request, function(authority, _, finish)
    services.prepare(authority, request, control)
    found = authority.turn:unit(function()
      local done = service(authority, request, control.value)
      record.request(authority, request, finish, "approve", {})
      return done
    end)
    return {}
  end, { detail = detail_of(control) })
  if answer.status then return self:fail({ control.id }, answer, request.refused) end
  for kind, list in pairs(found or {}) do
    table.move(list, 1, #list, #self.said[kind] + 1, self.said[kind])
  end
  self:note_http(200)
  self:say { status = "success", bodies = { control.id } }
end

local function check_ra(self, request)
  for _, control in ipairs(self.message.controls) do
    local failure = OF_RA[control.name]
    if failure and not request:is_of_ra() then
      refusal.raise(403, control.name .. " is for a registration authority to say",
        { failure = failure, bodies = { control.id } })
    end
  end
end

-- Messages of a batch, and requests for certificates in all of them: the answer has room for them.
local BATCH_MAX <const>, BATCH_PARTS_MAX <const> = 16, 40

local function new_talk(authority, base, id)
  local self = setmetatable({ authority = authority, base = base, id = id, parts = {}, at = 0,
    inner = {}, inner_at = 0, services = 0,
    said = { statuses = {}, certificates = {}, crls = {}, responses = {} } }, Talk)
  base.cmc = self
  return self
end

--- Count the requests of a message of a batch.
local function count_in_batch(batch, count)
  batch.batched = (batch.batched or 0) + count
  if batch.batched <= BATCH_PARTS_MAX then return end
  refusal.raise(400, ("a batch asks for more than %d certificates"):format(BATCH_PARTS_MAX),
    { failure = "badRequest" })
end

--- Take the messages of a batch. Who sent it proves nothing for them: each says by itself who asks.
local function add_batch(self, batch, control)
  local function bad(reason)
    refusal.raise(400, reason, { failure = "badRequest", bodies = { control.id } })
  end
  if self.outer then bad "a batch stands within another one" end
  if #batch > BATCH_MAX then bad(("a batch has more than %d messages"):format(BATCH_MAX)) end
  local contents = {}
  for _, content in ipairs(self.message.contents) do contents[content.id] = content.der end
  for i, id in ipairs(batch) do
    local der = contents[id]
    if not der then bad(("the body part %d is no message, or stands twice"):format(id)) end
    contents[id] = nil
    local name = ("%s.m%d"):format(self.id, i)
    local base = new_request(self, name)
    base.begin.cmc, base.begin.binding = der, nil
    for _, kind in ipairs(kinds.list) do base.begin[kind.name] = nil end
    base.begin.challenge = base.label.accepts.challenge -- it is in the message, if at all
    local inner = new_talk(self.authority, base, name)
    inner.outer = self
    table.insert(self.inner, inner)
  end
end

local function asks_for_certificates_alone(self)
  for _, control in ipairs(self.message.controls) do
    if services.by_name[control.name] or control.name == "batchRequests" then return false end
  end
  return true
end

--- Read the message, prove who asks, and make a request of each certificate that it asks for.
local function open(authority, base)
  local self = base.cmc
  local begin = base.begin
  self.message = messages.parse(begin.cmc)
  self.reg_info = cmc.find(self.message, "regInfo")
  local checked = messages.check(authority, begin, self.message)
  if checked.certs then
    begin.certificate = {}
    for i, cert in ipairs(checked.certs) do begin.certificate[i] = cert:der() end
  end
  for _, request in ipairs(self.message.requests) do
    add_part(self, request.id, request.der)
  end
  for _, control in ipairs(self.message.controls) do
    if control.name == "queryPending" then add_pending(self, control) end
  end
  if self.outer then count_in_batch(self.outer, #self.parts) end
  local first = self.parts[1] and self.parts[1].request or base
  self.base, first.cmc = first, self
  if checked.identity and not first.begin.challenge then
    refusal.raise(403, "identity proofs are not taken here", { failure = "badIdentity" })
  end
  first.identity = checked.identity
  self.may_be_late = asks_for_certificates_alone(self)
  proofs.authenticate(authority, first)
  -- RFC 5272 6.2.1: unlike a header that comes along, it is never passed over.
  if checked.identity and not first.proven.challenge then
    refusal.raise(401, "the identity proof is not right")
  end
  messages.check_possession(checked)
  links.check(checked, first.link_keys)
  first.link_keys = nil
  first.is_proven = true
  for _, part in ipairs(self.parts) do
    if part.request ~= first then inherit(first, part.request) end
    for _, kind in ipairs(kinds.list) do part.request.begin[kind.name] = nil end
    part.request.is_proven = true
  end
  if base.channel.closed then refusal.raise(503, "too many requests are under way") end
  for _, part in ipairs(self.parts) do
    local request = part.request
    request.begin.csr = challenges.masked(request.csr, request.label) or request.begin.csr
    judge(self, part)
  end
  if #self.parts == 0 then steps.count_request(authority, first) end
  check_ra(self, first)
  local batch, batch_control = cmc.find(self.message, "batchRequests")
  if batch then add_batch(self, batch, batch_control) end
  for _, control in ipairs(self.message.controls) do
    local service = services.by_name[control.name]
    if service then self:serve(first, control, service) end
  end
  return {}
end

--- Open a message, or say why not, and those of a batch.
local function start(self)
  local base = self.base
  local answer = replies.to(self.authority, base, function() return open(self.authority, base) end)
  if answer.status then
    self.said.statuses, self.http_status = {}, nil
    self.parts, self.inner = {}, {}
    return self:fail({ 0 }, answer, base.refused)
  end
  for _, inner in ipairs(self.inner) do start(inner) end
  local batch, control = cmc.find(self.message, "batchRequests")
  if batch then
    self:note_http(200)
    self:say { status = "success", bodies = { control.id } }
  end
end

--- Begin with a worker's message; may wait.
---@param authority lest.authority
---@param base lest.authority.request
---@return table answer
function M.begin(authority, base)
  local self = new_talk(authority, base, base.begin.id)
  start(self)
  return self:next()
end

return M
