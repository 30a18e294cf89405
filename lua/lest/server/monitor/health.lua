--- GET /healthz for this machine: the same verdict as the workers', from what they and the
--- authority show of themselves, with what it is made of.
local core = require "lest.core"
local json = require "lest.json"
local meters = require "lest.server.wire.meters"

local M = {}

local SECTIONS <const> = meters.SECTIONS
local DAY_S <const> = 86400

--- How many of the server's own certificates are over, of those that are asked for.
local function over(periods, role, now)
  local count, all = 0, 0
  for _, each in ipairs(periods) do
    if each.role == role then
      all = all + 1
      if now > each.last or now < each.first then count = count + 1 end
    end
  end
  return count, all
end

local function workers_of(board)
  local serving, linked = 0, 0
  for _, section in ipairs(board.workers) do
    if board:value(section, "ready") > 0 then serving = serving + 1 end
    if board:value(section, "link") > 0 then linked = linked + 1 end
  end
  return serving, linked
end

local function days(periods, now)
  local result = {}
  for _, each in ipairs(periods) do
    table.insert(result, { role = each.role, name = each.name, subject = each.subject,
      days = each.last and math.floor((each.last - now) / DAY_S) or nil })
  end
  return result
end

--- Which CAs elsewhere answer, of those of which that is known; nil: of none. A server whose CA is
--- away still serves: it says so to whom it concerns, or holds what they ask for.
local function elsewhere(board, cas)
  local result = {}
  for _, row in ipairs(board:rows(SECTIONS.backend, "ca_up")) do
    local name = cas[row[2]]
    if name then
      table.insert(result, { name = name == "" and "ca" or name, up = row[6] == 1 })
    end
  end
  return result[1] and result or nil
end

--- What there is to say; `ready` is the verdict.
---@param board table
---@param periods lest.monitor.period[]
---@param cas string[] names of CAs, by their numbers
---@return table
function M.judge(board, periods, cas)
  local now = core.clock.wall_us() // 1000000
  local serving, linked = workers_of(board)
  local is_there = board:value(SECTIONS.authority, "ready") > 0
  local ledger = meters.LEDGER[board:value(SECTIONS.authority, "ledger")] or "unknown"
  local cas_over, own = over(periods, "ca", now)
  local is_stopping = board:value(SECTIONS.supervisor, "stopping") > 0
  return {
    ready = not is_stopping and is_there and serving > 0 and linked > 0
      and (ledger == "ok" or ledger == "unknown") and over(periods, "tls", now) == 0
      and cas_over < own,
    stopping = is_stopping, authority = is_there, ledger = ledger,
    workers = #board.workers, workers_serving = serving, workers_linked = linked,
    certificates = days(periods, now), cas = elsewhere(board, cas),
  }
end

--- As the body of an answer.
---@param health table of judge()
---@return string
function M.write(health)
  return json.encode(health) .. "\n"
end

return M
