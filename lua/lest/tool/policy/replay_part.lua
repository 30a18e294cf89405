--- The processes of `lest policy replay`, which starts them (tool/policy/parts): of each pair one
--- reads the ledger as its owner and decides nothing, and one decides as `user` and can reach no
--- ledger.
---
---   lest policy --part span JOB
---   lest policy --part read JOB | lest policy --part decide JOB
---
--- They write lines of JSON. The first: { floor, before }. The reader: { row }, and { done } after
--- so many places of the ledger. The last: { done }, and at the end { tally }. What goes wrong in
--- one is { failed }. `lest policy fuzz` starts one more reader, `newest`: { row }, then { done }.
local core = require "lest.core"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
local load_config = require "lest.server.config.load"
local recorded = require "lest.server.ledger.recorded"

local M = {}

-- Places of the ledger that one part reads in one go, before the next part's.
local STRETCH <const> = 500

---@class lest.replay.job
---@field config string
---@field ledger? string in place of the configuration's
---@field policy? string in place of the label's
---@field label? string
---@field since? integer
---@field until_time? integer
---@field floor? integer between which rows: the same for all parts
---@field before? integer
---@field most? integer of the newest
---@field part integer from 0
---@field parts integer

-- Whoever does not read any more has ended; so does this.
local function put(output, value)
  if not output:write(json.line(value), "\n") then os.exit(1) end
end

local function open(job, config)
  config.ledger = job.ledger or config.ledger
  return ledger_file.open_to_read(config)
end

local function span(job, config)
  local ledger <close>, err = open(job, config)
  if not ledger then return nil, err end
  local floor, before = recorded.span(ledger, job.since, job.until_time)
  if not floor then return nil, before end
  put(io.stdout, { floor = floor, before = before })
  return true
end

local function read(job, config)
  local ledger <close>, err = open(job, config)
  if not ledger then return nil, err end
  local size = job.parts * STRETCH
  local first = job.floor + job.part * STRETCH
  for floor = first, job.before - 2, size do
    local before = math.min(floor + STRETCH + 1, job.before)
    for rows in recorded.pages(ledger, { floor = floor, before = before, label = job.label,
      since = job.since, until_time = job.until_time }) do
      for _, row in ipairs(rows) do
        if not io.stdout:write(recorded.line(row), "\n") then os.exit(1) end
      end
    end
    put(io.stdout, { done = before - 1 - floor })
  end
  return true
end

-- The newest, so many at most.
local function newest(job, config)
  local ledger <close>, err = open(job, config)
  if not ledger then return nil, err end
  local floor, before = recorded.span(ledger)
  if not floor then return nil, before end
  local left = job.most
  for rows in recorded.pages(ledger, { floor = floor, before = before, label = job.label }) do
    for i = 1, math.min(left, #rows) do io.stdout:write(recorded.line(rows[i]), "\n") end
    left = left - math.min(left, #rows)
    if left == 0 then break end
  end
  put(io.stdout, { done = job.most - left })
  return true
end

local function decide(job, config)
  local input, output = io.stdin, io.stdout
  output:setvbuf "full"
  local again, err = require "lest.desk.again".prepare(config,
    { label = job.label, policy = job.policy })
  if not again then return nil, err end
  for line in input:lines() do
    local said = assert(json.decode(line))
    if said.failed then
      put(output, said)
      return true
    end
    if said.row then
      again:decide(recorded.row(said))
    else
      put(output, said)
      output:flush()
    end
  end
  put(output, { tally = again.tally:plain() })
  return true
end

local ACTIONS <const> = { span = span, read = read, newest = newest,
  decide = decide }

--- Be one of the processes.
---@param args string[] which, and the job
---@return integer exit_code
function M.main(args)
  local output = io.stdout
  local job = assert(json.decode(args[2]))
  local ok, result, err = xpcall(function()
    local config, problem = load_config.load(job.config)
    if not config then return nil, problem end
    return ACTIONS[args[1]](job, config)
  end, function(problem) return core.error.is(problem) and problem or debug.traceback(problem) end)
  if not ok then err = result end
  if ok and result then return 0 end
  local is_known = core.error.is(err)
  put(output, { failed = { code = is_known and err.code or "internal",
    message = is_known and tostring(err) or tostring(err):match "^[^\n]*" } })
  output:flush()
  return 1
end

return M
