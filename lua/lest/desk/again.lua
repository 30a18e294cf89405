--- Recorded requests decided again, in a process of its own: by the policies of a configuration, or
--- by another one in place of a label's. Nothing is asked outside: the record answers.
---
---   local again = assert(M.prepare(config, { label = "default", policy = "next.lua" }))
---   again:decide(row)          -- of server/ledger/recorded
---   again.tally:plain()
local account = require "lest.desk.account"
local core = require "lest.core"
local desk = require "lest.desk.policy"
local difference = require "lest.desk.difference"
local globals = require "lest.server.worker.globals"
local hooks = require "lest.server.worker.hooks"
local list = require "lest.base.list"
local row_module = require "lest.desk.row"

local M = {}

---@class lest.desk.again
---@field policies table<string, lest.desk.policy> by label
---@field tally lest.desk.tally
local Again = { __name = "lest.desk.again" }
Again.__index = Again

-- What is to be decided by, for each label that is asked for. Another policy has the options of the
-- one whose place it takes.
local function candidates(config, options)
  local names = options.label and { options.label } or list.sorted_keys(config.labels)
  local result = {}
  for i, name in ipairs(names) do
    local own = config.labels[name].policies
    result[i] = { label = name, policies = own }
    if options.policy then
      result[i].policies = { { file = core.file.absolute(options.policy),
        options = #own == 1 and own[1].options or nil } }
      result[i].file = options.policy
    end
  end
  return result
end

-- What a policy prints would be taken for the process's own words, and what it reads are the rows.
local function keep_streams()
  io.stdin = assert(io.open "/dev/null") -- luacheck: ignore 122
  io.input(io.stdin)
  local function to_stderr(...) io.stderr:write(table.concat({ ... }, "\t"), "\n") end
  io.stdout, print = io.stderr, to_stderr -- luacheck: ignore 121 122
  io.output(io.stderr)
end

--- Read what is to decide, give up root's rights, and load it.
---@param config table
---@param options { label?: string, policy?: string } label: that one alone; policy: a file in place
--- of its own
---@return lest.desk.again|nil
---@return lest.error|nil err
function M.prepare(config, options)
  local files, asked = {}, candidates(config, options)
  local ok, err = true, nil
  for _, each in ipairs(asked) do
    if ok then ok, err = hooks.read(each.policies, files) end
  end
  hooks.preload()
  if ok then ok, err = account.become(config) end
  if ok then ok, err = core.process.harden() end
  if not ok then return nil, err end
  keep_streams()
  globals.close()
  local policies = {}
  for _, each in ipairs(asked) do
    policies[each.label], err = desk.load(each.file, { config = config, label = each.label,
      files = files, options = each.policies[1].options })
    if not policies[each.label] then return nil, err end
  end
  return setmetatable({ policies = policies, tally = difference.new() }, Again)
end

local OLDER <const> = "the policy asked something outside, and an older version wrote the row"

-- What was decided then, as what the profile makes of it today: it differs by the policy alone.
local function position_then(policy, row, facts, stated)
  if row_module.says_all(row) then
    return difference.position(policy:outcome(facts, stated), row.rule)
  end
  local issued = row.issued or {}
  return { verdict = row.verdict, reason = row.reason or row.detail, subject = issued.subject,
    san = issued.san }
end

local function position_now(policy, facts, source)
  local verdict, _, outcome = policy:decide(facts, { outside = source })
  return difference.position(outcome, type(verdict.rule) == "string" and verdict.rule or nil)
end

--- Decide a row again, and count it.
---@param row table
function Again:decide(row)
  local request = { id = row.id, time = row.time_us // 1000000, label = row.label,
    name = row.principal_name, device = row.device, address = row.address }
  local function leave_out(kind, why) self.tally:leave_out(kind, why, request) end
  if row.problem then return leave_out("corrupt", row.problem) end
  local policy = self.policies[row.label]
  if not policy then return leave_out("not decidable", "the configuration has no such label") end
  local stated, problem = row_module.stated(row)
  if problem then return leave_out("corrupt", problem) end
  if not stated then return leave_out("no policy was asked", row.reason or row.verdict) end
  local facts, source = row_module.read(row)
  if not facts then return leave_out("corrupt", source) end
  request.subject = tostring(facts.csr.subject)
  local ok, before = pcall(position_then, policy, row, facts, stated)
  if not ok then return leave_out("corrupt", "what was stated cannot be read") end
  local after = position_now(policy, facts, source)
  if source.missing then
    return leave_out("not decidable", row_module.says_all(row)
      and "the record has no answer to " .. source.missing or OLDER)
  end
  self.tally:add(request, before, after)
end

return M
