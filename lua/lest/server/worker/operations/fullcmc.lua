--- fullcmc (RFC 7030 4.3): the message goes to the authority as it is. That hands out the requests
--- in it one after the other, each with its handle, for the policy's verdict, and at last the
--- answer to the whole.
local answer = require "lest.server.worker.answer"
local core = require "lest.core"
local enroll = require "lest.server.worker.operations.enroll"
local question = require "lest.server.worker.question"

local M = {}

-- Stands for what is no DER: the answer to that, too, is for the authority to sign (7030 4.3.2).
local NOTHING <const> = "\x30\x00"

---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(worker, exchange, request)
  local der = core.est.body_decode(exchange.body or "") or NOTHING
  request.headers = question.headers(exchange)
  local result
  result, request.channel = worker.authority:ask(request.id,
    question.packet(exchange, request, { cmc = der }))
  local count = 0
  while result.handle do
    count = count + 1
    request.csr = assert(core.csr.parse(result.csr, { key_later = true }))
    request.who, request.device, request.is_committed = result.who, result.device, false
    request.tls.channel_bound = result.channel_bound or false
    result = enroll.judge(worker, exchange, request, result)
  end
  -- A shadow sees a request by the id that the ledger has of it.
  if count > 1 then request.decided = nil end
  request.who, request.device = result.who or request.who, result.device or request.device
  request.verdict, request.serial = result.verdict, result.serial
  answer.cmc(exchange, request, result)
end

return M
