--- What a policy asks about its request, between begin and finish (the message `ask`): its history,
--- or to count it in a rate. A worker names nothing that is asked about: it has a handle, and the
--- authority knows the request that it stands for.
local history = require "lest.server.authority.history"

local M = {}

-- The questions of one request: each is some milliseconds of the ledger's time at most.
local QUESTIONS_MAX <const> = 16

---@param authority lest.authority
---@param request lest.authority.request one that is kept for its verdict
---@param ask table the worker's message
---@return table told the message without its head
function M.answer(authority, request, ask)
  request.questions = request.questions + 1
  if request.questions > QUESTIONS_MAX then
    return { problem = ("a policy asks no more than %d times about a request"):format(
      QUESTIONS_MAX) }
  elseif ask.rate then
    local rate, problem = authority.rates:take(request, ask.rate)
    return { rate = rate, problem = problem }
  elseif not ask.history then
    return { problem = "nothing is asked" }
  elseif authority.turn.hung then
    return { problem = "the ledger does not answer now" }
  end
  return { history = history.of(authority, request, ask.history) }
end

return M
