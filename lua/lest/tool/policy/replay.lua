--- `lest policy replay`: recorded requests decided again, and who would get another verdict or
--- other names. Nothing is issued, changed or asked outside.
local core = require "lest.core"
local difference = require "lest.desk.difference"
local differences = require "lest.tool.policy.differences"
local fail = require "lest.base.fail"
local load_config = require "lest.server.config.load"
local parts = require "lest.tool.policy.parts"
local schema = require "lest.base.schema"
local support = require "lest.tool.command.support"

local M = {}

local JOBS_MAX <const> = 64

local function jobs(text)
  local number = math.tointeger(tonumber(text, 10))
  if number and number >= 1 and number <= JOBS_MAX then return number end
  return nil, ("'%s' is no number from 1 to %d"):format(text, JOBS_MAX)
end

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "replay",
    summary = "Decide recorded requests again, and print who would get another verdict or other "
      .. "names. With POLICY: by that one, in place of the label's and with its options. Without: "
      .. "by the configuration's own, to see whether they decide today as they did; a whole other "
      .. "configuration is compared so, too. Nothing is issued or changed, and nothing asked "
      .. "outside: answers of HTTP calls, inventories and the history come from the record, and a "
      .. "request without them is not decidable. Rows of an older version have no such answers. "
      .. "Exit code 0: all as before; 1: something differs; 2 or more: it could not be told.",
    example = "lest policy replay next.lua --config server.lua --since 7d",
  })
  command:argument "policy":argname "POLICY":args "?"
    :description "The policy to decide by."
  differences.options(command)
  command:option "--label":argname "LABEL"
    :description "The requests of this label. With POLICY: 'default', unless told; without: all."
  command:option "--jobs":argname "N":convert(jobs)
    :description "How many processes decide; absent: one for each processor."
end

-- The processors that this process may use.
local function processors()
  local status <close> = io.open "/proc/self/status"
  local count = 0
  for from, to in (status and status:read "a":match "Cpus_allowed_list:%s*(%S+)" or "")
    :gmatch "(%d+)%-?(%d*)" do
    count = count + (to ~= "" and to - from or 0) + 1
  end
  return math.max(1, math.min(JOBS_MAX, math.tointeger(count) or 1))
end

local function start(job, count)
  local pipes = {}
  for part = 0, count - 1 do
    job.part, job.parts = part, count
    pipes[part + 1] = parts.open(job, "read", "decide")
  end
  return pipes
end

-- One line of each in turn: they advance alike, and none writes much before its end.
local function collect(pipes, tally, progress)
  local left = #pipes
  while left > 0 do
    for i, pipe in pairs(pipes) do
      local said, err = parts.next(pipe)
      if not said then return nil, err end
      if said.tally then
        tally:merge(said.tally)
        pipe:close()
        pipes[i], left = nil, left - 1
      else
        progress(said.done)
      end
    end
  end
  return true
end

-- Between which rows the others look. This process opens no ledger: as root it would become the
-- ledger's owner, and what it starts could become nobody else.
local function add_span(job)
  local pipe <close> = parts.open(job, "span")
  local span, err = parts.next(pipe)
  if not span then return nil, err end
  job.floor, job.before = span.floor, span.before
  return true
end

local function decide(job, count)
  local tally = difference.new()
  local total, done = math.max(0, job.before - 1 - job.floor), 0
  local pipes = start(job, math.min(count, total // 500 + 1))
  local ok, err = collect(pipes, tally, function(more)
    done = done + more
    support.status(("%d of %d rows"):format(done, total))
  end)
  support.status()
  for _, pipe in pairs(pipes) do pipe:close() end
  if not ok then return nil, err end
  return tally
end

local function label_problem(config, label)
  if not label or config.labels[label] then return nil end
  return select(2, fail("usage", ("--label: there is no label '%s'%s"):format(label,
    schema.hint(label, config.labels))))
end

local function replay(options)
  local config, err = load_config.load(options.config)
  if not config then return nil, err end
  local label = options.label or options.policy and "default" or nil
  err = label_problem(config, label)
  local ledger = options.ledger
  if ledger and not err then ledger, err = core.file.resolve(ledger) end
  if err then return nil, err end
  local job = { config = core.file.absolute(options.config), ledger = ledger, label = label,
    policy = options.policy and core.file.absolute(options.policy), since = options.since,
    until_time = options.until_time }
  local ok, tally
  ok, err = add_span(job)
  if ok then tally, err = decide(job, options.jobs or processors()) end
  if not tally then return nil, err end
  return differences.print(tally, options)
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  return differences.run(replay, options)
end

return M
