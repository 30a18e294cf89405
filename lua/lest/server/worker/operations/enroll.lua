--- simpleenroll and simplereenroll (RFC 7030 4.2) and serverkeygen (4.4): begin to the authority,
--- which proves who asks, the policy, finish to the authority, the answer.
local answer = require "lest.server.worker.answer"
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local csrattrs = require "lest.server.worker.operations.csrattrs"
local decision = require "lest.server.worker.decision"
local journals = require "lest.policy.journal"
local message = require "lest.server.wire.message"
local question = require "lest.server.worker.question"
local refusal = require "lest.server.wire.refusal"
local view = require "lest.server.worker.view"
local wiping = require "lest.server.wire.wiping"

local M = {}

local REASON_MAX <const> = 800 -- of what a CSR lacks

--- What the policy sees, as facts of a view.
local function shown_facts(worker, exchange, request, facts)
  local previous = facts.previous
  request.expired_for = previous and previous.expired_for
  if previous then previous.certificate = assert(core.cert.parse(previous.certificate)) end
  return {
    id = request.id, time = core.clock.wall_us() // 1000000, operation = request.operation,
    cmc = request.operation == "fullcmc" and { reg_info = facts.reg_info } or nil,
    label = request.label.name, csr = request.csr, principal = question.principal(facts),
    device = request.device, auth = facts.auth, tls = request.tls, address = exchange.address,
    headers = request.headers, previous = previous, approvals = facts.approvals,
    history = function(about)
      local told, problem = worker.authority:inquire(request, { history = about })
      return told and told.history, problem
    end,
    rate = function(asked)
      local told, problem = worker.authority:inquire(request, { rate = {
        name = asked.name or asked.place, per = asked.per, most = asked.most,
        every = asked.every } })
      return told and told.rate, problem
    end,
  }
end

-- Locals: a policy may put something else into a module.
local new_journal <const>, texts_of <const> = journals.new, journals.texts

--- The `finish` message of a verdict, and its packet. One that the authority would not take is an
--- error of the policy, and of this request alone; the journal of one that is so large stays here.
local function finish_of(request, fields, noted)
  local policy = noted.policy
  local function whole(finish, trace, outside)
    finish.type, finish.id, finish.handle = "finish", request.id, request.handle
    finish.policy_file, finish.policy_hash = policy.file, policy.hash
    finish.duration_us, finish.asked_at = noted.duration_us, noted.asked_at
    finish.rule, finish.trace, finish.outside = request.rule, trace, outside
    return finish, message.encode(finish)
  end
  local finish, packet, problem = whole(fields, noted.trace, noted.outside)
  if not packet then finish, packet, problem = whole(fields) end
  if packet then return finish, packet end
  return whole({ verdict = "error", detail = decision.at(policy.hooks[request.row.hook],
    "the verdict is not taken: " .. problem) }, noted.trace, noted.outside)
end

--- What runs a policy on a request once, within its limits. One that an operator holds tells who
--- holds it of each step.
local function runner(worker, request, seen)
  local options, run = request.label.options, {}
  return function(policy, held)
    local limits = worker:decision_limits(request)
    limits.on_limit = held and function(limit) held.limit = held.limit or limit end
    limits.journal = new_journal { keeps_answers = options.record,
      watch = held and function(event) held:watch(event) end }
    request.limits, run.journal = limits, limits.journal
    return decision.run(policy.hooks[request.row.hook], seen, limits, options.profiles)
  end, run
end

--- The policy's verdict on a request, and what is noted of how it came to it.
---@param ok boolean
---@param shown any what the policy sees as facts of a view, or the error
local function decide(worker, request, ok, shown)
  local policy = request.label.policy
  local started_us = core.clock.monotonic_us()
  if not ok then
    refusal.raise_memory(shown)
    return { verdict = "error", detail = tostring(shown) }, { duration_us = 0, policy = policy }
  end
  local seen = view.new(shown)
  local run, ran = runner(worker, request, seen)
  local verdict
  if worker.console then
    verdict, policy = worker.console:decide(request, seen, run)
  else
    verdict = run(policy)
  end
  local noted = { asked_at = seen.time, policy = policy,
    duration_us = core.clock.monotonic_us() - started_us }
  if ran.journal then
    noted.trace, noted.outside = texts_of(ran.journal, verdict.verdict)
    if request.label.shadow then request.decided = { facts = shown, journal = ran.journal } end
  end
  request.rule = decision.rule_of(verdict, policy.hooks[request.row.hook])
  return verdict, noted
end

--- Refuse a CSR that lacks what the label asks for, before a policy is asked. The authority records
--- it as refused; what the client gets is that its request was wrong (RFC 7030 4.2.3).
---@return table|nil answer of the authority, to one of several requests
local function enforce(worker, exchange, request, proven)
  local der = csrattrs.wanted(worker, exchange, request, proven)
  local lacks = der and request.label.enforcement.lacks(der, request.csr,
    request.label.options.channel_binding == "required")
  if not lacks then return end
  local reason = ("the request lacks what /csrattrs asks for: %s"):format(lacks)
  local packet = assert(message.encode { type = "finish", id = request.id, handle = request.handle,
    verdict = "reject", reason = decision.text(reason:sub(1, REASON_MAX)) })
  request.is_committed = true
  local ok, problem = pcall(worker.authority.ask, worker.authority, request.id, packet,
    request.channel)
  if ok then return problem end -- a message of CMC goes on, and its answer says so
  if refusal.is(problem) and problem.status == 403 then problem.status = 400 end
  error(problem, 0)
end

--- Ask the policy about a request whose principal is proven, and the authority for what follows.
---@return table answer of the authority
function M.judge(worker, exchange, request, facts)
  request.handle = facts.handle
  local ok, shown = pcall(shown_facts, worker, exchange, request, facts)
  if ok and request.label.enforcement then
    local answered = enforce(worker, exchange, request, shown)
    if answered then return answered end
  end
  local verdict, noted = decide(worker, request, ok, shown)
  local finish, packet = finish_of(request, decision.fields(verdict), noted)
  if finish.verdict == "error" then
    core.log.write("error", "policy failed",
      { "id", request.id, "policy", noted.policy.file, "message", finish.detail })
  end
  request.is_committed = true
  return (worker.authority:ask(request.id, packet, request.channel))
end

---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(worker, exchange, request)
  local der, err = core.est.body_decode(exchange.body or "")
  if not der then refusal.raise_for(400, err) end
  -- One that cannot be read is refused by the authority, which keeps that for operators.
  request.csr, err = core.csr.parse(der, { key_later = true })
  if not request.csr then refusal.raise_memory(err) end
  request.headers = question.headers(exchange)
  local result
  result, request.channel = worker.authority:ask(request.id,
    question.packet(exchange, request, { csr = der }))
  if not request.csr then refusal.raise_for(400, err) end
  local masked = challenges.masked(request.csr, request.label)
  if masked then request.csr = assert(core.csr.parse(masked, { key_later = true })) end
  request.who, request.device = result.who, result.device
  request.tls.channel_bound = result.channel_bound or false
  if not result.certificate then result = M.judge(worker, exchange, request, result) end
  request.verdict, request.serial = result.verdict, result.serial
  request.device = result.device
  request.is_replayed = result.replayed or false
  local bag = core.pkcs7.encode { result.certificate }
  local profile = worker.config.profiles[result.profile or ""]
  local window = profile and profile.renewal_window
  if not request.row.makes_key then return answer.base64(exchange, request, bag, window) end
  answer.key_and_certificate(exchange, request, result, bag, window)
  wiping.soon()
end

return M
