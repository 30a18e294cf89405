--- Refusals that end before a policy is asked, kept so that an operator finds one by the id that
--- the device was told: a wrong password, a revoked or unknown certificate, a limit, a CSR that
--- cannot be read. Strangers cause them. So each network, and all together, have some kept in a
--- minute, and the others are counted; what is kept is short, and the oldest makes room; it is
--- written with what a batch writes anyway, or alone once a second.
---
---   early:note(request, { status = 401, reason = "..." }, detail)
---   early:flush()   -- before a commit
local core = require "lest.core"
local limiter = require "lest.server.wire.limiter"
local terminal = require "lest.base.terminal"

local M = {}

-- In a minute: from one network, in all.
local PER_NETWORK <const>, PER_MINUTE <const> = 30, 300
-- Rows of the ledger: those of half an hour while strangers cause as many as they may.
local ROWS <const> = 10000
local WAIT_MS <const> = 1000
local TEXT_MAX <const> = 200 -- bytes of each text

---@class lest.authority.early
---@field turn lest.authority.turn
---@field kept table[] rows to be written
---@field left_out integer refusals that were not kept since the last that was
local Early = {}
Early.__index = Early

---@param turn lest.authority.turn
---@return lest.authority.early
function M.new(turn)
  local now_ms = core.clock.monotonic_ms
  return setmetatable({
    turn = turn, kept = {}, left_out = 0,
    of_network = limiter.new { per_minute = PER_NETWORK, now_ms = now_ms },
    of_all = limiter.new { per_minute = PER_MINUTE, now_ms = now_ms },
  }, Early)
end

local function short(text)
  return text and terminal.line(text, TEXT_MAX)
end

--- The name that a client gives itself, and the serial number of the certificate that it shows.
local function claims_of(begin)
  local leaf = begin.certificate and core.cert.parse(begin.certificate[1])
  local by_name = begin.basic or begin.digest
  return by_name and by_name.username or leaf and tostring(leaf.subject),
    leaf and leaf.serial
end

--- Keep what a request was refused with, unless there were too many.
---@param request lest.authority.request
---@param answer { status: integer, reason: string? }
---@param detail string? for operators alone
function Early:note(request, answer, detail)
  local begin = request.begin
  local network = limiter.network(begin.address)
  if self.of_network:wait(network) or self.of_all:wait "all" then
    self.left_out = self.left_out + 1
    return
  end
  self.of_network:count(network)
  self.of_all:count "all"
  local claimed, serial = claims_of(begin)
  table.insert(self.kept, {
    id = request.id, time_us = core.clock.wall_us(), operation = begin.operation,
    label = begin.label, address = begin.address, status = answer.status,
    reason = short(answer.reason), detail = short(detail), principal = short(request:who()),
    device = short(request:about()), claimed = short(claimed), certificate = short(serial),
    subject = short(request.csr and tostring(request.csr.subject)), left_out = self.left_out,
  })
  self.left_out = 0
  self.timer = self.timer or core.loop.timer(WAIT_MS, function()
    self.timer = nil
    self:flush()
  end)
end

local function must(result, err)
  if not result then error(err, 0) end
end

local function write(ledger, rows)
  for _, row in ipairs(rows) do must(ledger:run("refusal_add", row)) end
  must(ledger:run("refusal_trim", { rows = ROWS }))
end

--- Write what was kept, in the open transaction or in one of its own. Where the ledger takes none
--- of it, it is counted only: no request depends on it.
function Early:flush()
  local rows = self.kept
  if not rows[1] then return end
  self.kept = {}
  if pcall(self.turn.unit, self.turn, write, self.turn.ledger, rows) then return end
  self.left_out = self.left_out + #rows
end

return M
