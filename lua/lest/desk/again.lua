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
local list = require "lest.base.list"
local records = require "lest.desk.record"

local M = {}

---@class lest.desk.again
---@field policies table<string, lest.desk.policy> by label
---@field tally lest.desk.tally
local Again = { __name = "lest.desk.again" }
Again.__index = Again

-- What is to be decided by, for each label that is asked for.
local function candidates(config, options)
  local names = options.label and { options.label } or list.sorted_keys(config.labels)
  local result, file = {}, options.policy and core.file.absolute(options.policy)
  for i, name in ipairs(names) do
    result[i] = { label = name, policies = desk.in_place(config.labels[name], file), file = file }
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
    if ok then ok, err = desk.read(each.policies, files) end
  end
  if ok then
    keep_streams()
    ok, err = account.settle(config)
  end
  if not ok then return nil, err end
  local policies = {}
  for _, each in ipairs(asked) do
    policies[each.label], err = desk.load(each.file, { config = config, label = each.label,
      files = files, options = each.policies[1].options })
    if not policies[each.label] then return nil, err end
  end
  return setmetatable({ policies = policies, tally = difference.new() }, Again)
end

--- Decide a row again, and count it.
---@param row table
function Again:decide(row)
  local request = { id = row.id, time = row.time_us // 1000000, label = row.label,
    name = row.principal_name, device = row.device, address = row.address }
  local function leave_out(kind, why) self.tally:leave_out(kind, why, request) end
  local policy = self.policies[row.label]
  if not row.problem and not policy then
    return leave_out("not decidable", "the configuration has no such label")
  end
  local record, kind, why = records.open(row)
  if not record then return leave_out(kind, why) end
  request.subject = tostring(record.facts.csr.subject)
  local ok, before = pcall(record.before, record, policy)
  if not ok then return leave_out("corrupt", "what was stated cannot be read") end
  local after = record:decide(policy)
  if after.missing then return leave_out("not decidable", after.missing) end
  self.tally:add(request, before, after.position)
end

return M
