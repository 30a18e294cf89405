--- `lest log`: decisions in the order in which they were made, and as they are made.
local decisions = require "lest.tool.command.decisions"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"
local task = require "lest.task"

local M = {}

local POLL_S <const> = 0.5

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest log", summary = "Show decisions in the order in which they were made, the newest "
      .. "last. What was refused before a policy was asked is 'lest request list "
      .. "--refused-early'.",
    example = "lest log --follow --verdict reject --label plant",
  }
  operate.common(parser)
  operate.narrowed(parser, "100", "a name of the CSR or in the principal")
  parser:option "--until":target "until_time":argname "TIME":convert(operate.moment(-1))
    :description "Those before this, written as --since is."
  parser:option "--verdict":argname "VERDICT":choices(decisions.VERDICTS)
    :description("Those that ended so: " .. table.concat(decisions.VERDICTS, ", ") .. ".")
  parser:flag "--follow"
    :description("Then wait, and show each decision as it is made, until it is interrupted; JSON "
      .. "is a line for each.")
  return parser
end

--- The options and more, as the arguments of an operation.
local function with(arguments, more)
  for key, value in pairs(arguments) do more[key] = value end
  return more
end

local function run(ledger, operation, arguments)
  local rows, last = operator.run(ledger, operation, arguments)
  if not rows then error(last, 0) end
  return rows, last
end

--- The newest so many up to a row, in pages, the oldest first. The list is read backwards, and
--- where each page begins is kept; then the pages are read again.
---@return fun(): table[]?
local function history(ledger, arguments, most, newest)
  local function read(start)
    local rows, last = run(ledger, "request_list", with(arguments, { before = start.before,
      limit = not arguments.part and start.most or nil }))
    return table.move(rows, 1, math.min(#rows, start.most), 1, {}), last
  end
  local starts, last = {}, not arguments.until_time and newest + 1 or nil
  local rows
  repeat
    local start = { before = last, most = most }
    table.insert(starts, start)
    rows, last = read(start)
    most = most - #rows
  until not last or most == 0
  return function()
    local start = table.remove(starts)
    if not start then return nil end
    local page, turned = rows or read(start), {}
    rows = nil
    for i, row in ipairs(page) do turned[#page + 1 - i] = row end
    return turned
  end
end

--- Those after a row, as they come.
---@return fun(): table[]
local function coming(ledger, arguments, after)
  return function()
    while true do
      local rows, last = run(ledger, "request_after", with(arguments, { after = after }))
      after = last
      if rows[1] then return rows end
      task.sleep(POLL_S)
    end
  end
end

--- One after the other.
local function chained(first, second)
  return function()
    return first() or second and second()
  end
end

-- Which rule decided, and what was said: one line of both.
local function why(row)
  local reason = decisions.reason(row)
  if not (row.rule and reason) then return reason or row.rule end
  return reason:sub(1, #row.rule) == row.rule and reason or ("%s: %s"):format(row.rule, reason)
end

local function time_of(row)
  return support.time(row.time_us // 1000000)
end

-- What fits a terminal.
local NARROW <const> = {
  header = { "TIME (UTC)", "VERDICT", "DEVICE", "ID", "WHY" }, name = "DEVICE",
  line = function(row)
    return { time_of(row):sub(1, 19), row.verdict, row.device, row.id, why(row) }
  end,
}

local function show(options, config)
  if options.follow and options.until_time then
    support.usage "--until ends what --follow does not"
  end
  local arguments = { principal_name = options.principal_name, device = options.device,
    label = options.label, part = options.part, since = options.since,
    until_time = options.until_time, verdict = options.verdict }
  return operate.print_list(options, config, {
    command = "lest log", arguments = {}, is_endless = options.follow,
    pages = function(ledger)
      local _, newest = run(ledger, "request_after", {})
      return chained(history(ledger, arguments, options.limit, newest),
        options.follow and coming(ledger, arguments, newest))
    end,
    header = { "TIME", "VERDICT", "OPERATION", "LABEL", "PRINCIPAL", "DEVICE", "ADDRESS", "SERIAL",
      "MS", "ID", "RULE", "REASON" },
    line = function(row)
      return { time_of(row), row.verdict, row.operation, row.label, row.principal_name,
        row.device, row.address, row.serial,
        row.duration_us and ("%.1f"):format(row.duration_us / 1000), row.id, row.rule,
        decisions.reason(row) }
    end,
    narrow = NARROW,
  })
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, show)
end

return M
