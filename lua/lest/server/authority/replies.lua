--- What a step of a request comes to, as a message to its worker: what the step returns, or what
--- its error means. It is recorded, and leaves once what it promises is on disk.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local message = require "lest.server.wire.message"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local wiping = require "lest.server.wire.wiping"

local M = {}

local LEDGER_CODES <const> = { ledger = true, ledger_busy = true, ledger_lost = true }

local function is_of_ledger(problem)
  return core.error.is(problem) and LEDGER_CODES[problem.code]
end

local refusals <const>, failures <const> = lines.new "refusal", lines.new "message failed"

--- The answer that an error stands for.
---@param id string
---@param problem any
---@return table answer
function M.of(id, problem)
  if refusal.is_of_memory(problem) then problem = refusal.out_of_memory() end
  if refusal.is(problem) then
    if problem.detail then
      refusals:write("info",
        { "id", id, "status", problem.status, "detail", lines.short(problem.detail) })
    end
    return { status = problem.status, reason = problem.reason,
      retry_after = problem.retry_after, stale = problem.stale }
  end
  failures:write("error", { "id", id, "message", tostring(problem) })
  if is_of_ledger(problem) then
    return { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  return { status = 500, reason = "the request " .. id .. " failed" }
end

-- What went wrong, for operators alone: of a refusal what its reason does not say.
local function detail_of(problem)
  if refusal.is(problem) then return problem.detail end
  return tostring(problem)
end

local DETAIL_MAX <const> = 8000

-- Record a request that ends otherwise than by its verdict: a refusal, or an error. What is wrong
-- with the ledger is no row of it. False and why: it was not recorded.
local function record_end(authority, request, problem, finish)
  if is_of_ledger(problem) then return false, problem end
  local verdict = refusal.is(problem) and "reject" or "error"
  local extra = refusal.is(problem) and { reason = problem.reason, detail = problem.detail }
    or { detail = tostring(problem):sub(1, DETAIL_MAX) }
  return pcall(authority.turn.unit, authority.turn, record.request, authority, request,
    finish or {}, verdict, extra)
end

--- A request that was kept for a verdict gets none.
---@param authority lest.authority
---@param request lest.authority.request
---@param why string
function M.lost(authority, request, why)
  core.log.write("error", "no verdict", { "id", request.id, "message", why })
  local recorded, problem = record_end(authority, request, why,
    { reason = why, policy_file = request.label.policy })
  if recorded then return end
  core.log.write("error", "request not recorded",
    { "id", request.id, "message", tostring(problem) })
end

--- The answer to a message of a request: what step(authority, request, finish) returns, or what its
--- error means.
---@param authority lest.authority
---@param request lest.authority.request
---@param step function
---@param finish? table the verdict
---@return table answer
function M.to(authority, request, step, finish)
  local ok, result = pcall(step, authority, request, finish)
  if ok then return result end
  request.refused = result
  -- Strangers must not be able to fill the ledger: it is known whom this concerns.
  if request.is_known then
    local recorded, why = record_end(authority, request, result, finish)
    if not recorded then result = why end
  end
  local answer = M.of(request.id, result)
  if not request.is_known then authority.early:note(request, answer, detail_of(result)) end
  if request.is_proven then answer.who, answer.device = request:who(), request:about() end
  answer.verdict = request.verdict
  return answer
end

--- What a message of CMC comes to: step(...), or what its error means.
---@param id string
---@param step function
---@return table answer
function M.of_cmc(id, step, ...)
  local ok, answer = pcall(step, ...)
  return ok and answer or M.of(id, answer)
end

--- Nobody waits at a channel that has ended; one that does not read loses its answers.
---@param durable boolean
---@param channel lest.authority.channel
---@param id string
---@param answer table
function M.send(durable, channel, id, answer)
  if channel.closed then return end
  if not durable then
    answer = { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  answer.type, answer.id = "answer", id
  local packet, problem = message.encode(answer)
  if not packet then
    core.log.write("error", "answer cannot be sent", { "id", id, "message", problem })
    packet = assert(message.encode { type = "answer", id = id, status = 500,
      reason = "the request " .. id .. " failed" })
  end
  channel.socket:send(packet)
  -- Not before: it was held until the ledger had it.
  if answer.key then wiping.soon() end
end

--- A handle promises nothing yet and leaves at once. All else may come from what is not durable; a
--- certificate that was issued before may even be another authority's, of just now.
---@param authority lest.authority
---@param channel lest.authority.channel
---@param id string
---@param answer table
function M.reply(authority, channel, id, answer)
  if answer.handle then return M.send(true, channel, id, answer) end
  if answer.order then
    return authority.orders:answer(answer.order, function(final)
      final.who, final.device, final.verdict = answer.who, answer.device, answer.verdict
      M.reply(authority, channel, id, final)
    end)
  end
  local is_issued = answer.certificate or answer.cmc
  local wait = is_issued and authority.turn.when_synced or authority.turn.when_durable
  wait(authority.turn, M.send, channel, id, answer)
end

return M
