--- `lest policy shadow`: what the shadows of a server's labels would have decided otherwise, from
--- the ledger alone; no policy is run.
local core = require "lest.core"
local desk = require "lest.desk.policy"
local difference = require "lest.desk.difference"
local differences = require "lest.tool.policy.differences"
local fail = require "lest.base.fail"
local ledger_file = require "lest.server.ledger.file"
local load_config = require "lest.server.config.load"
local recorded = require "lest.server.ledger.recorded"
local row_module = require "lest.desk.row"
local schema = require "lest.base.schema"
local support = require "lest.tool.command.support"

local M = {}

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "shadow",
    summary = "Print what the shadow of a label would have decided otherwise on live requests: "
      .. "another verdict or other names, as 'lest policy replay' does. Of a shadow that was "
      .. "changed the newest text counts. Exit code 0: all alike; 1: something differs; 2 or more: "
      .. "it could not be told.",
    example = "lest policy shadow --config server.lua --since 1d",
  })
  differences.options(command)
  command:option "--label":argname "LABEL":description "The requests of this label; absent: all."
end

-- The texts of shadows whose verdicts count: the newest of each label.
local function is_newest(newest, said)
  newest[said.label] = newest[said.label] or said.policy_hash
  return newest[said.label] == said.policy_hash
end

-- Both verdicts, as what the profile makes of them today; nil and why they cannot be compared.
local function positions_of(policy, row, said)
  local stated, problem = row_module.stated(row)
  if not stated then return nil, problem or "no policy was asked" end
  local facts
  facts, problem = row_module.read(row)
  if not facts then return nil, problem end
  local shadow
  shadow, problem = row_module.shadow_stated(said)
  if not shadow then return nil, problem end
  local ok, before, after = pcall(function()
    return difference.position(policy:outcome(facts, stated), row.rule),
      difference.position(policy:outcome(facts, shadow), said.rule)
  end)
  if ok then return facts, before, after end
  return nil, "what was stated cannot be read"
end

local function compare(tally, policy, row, said, is_of_now)
  local request = { id = said.request_id, time = said.time_us // 1000000, label = said.label }
  if not row then -- a client that asked twice has one certificate, and one row
    return tally:leave_out("not counted", "the request has no row of its own", request)
  end
  request.name, request.device, request.address = row.principal_name, row.device, row.address
  if not is_of_now then
    return tally:leave_out("not counted", "an older text of the shadow said it", request)
  elseif not policy then
    return tally:leave_out("not decidable", "the configuration has no such label", request)
  elseif said.missing then
    return tally:leave_out("not decidable", "nobody could answer " .. said.missing, request)
  end
  local facts, before, after = positions_of(policy, row, said)
  if not facts then return tally:leave_out("corrupt", before, request) end
  request.subject = tostring(facts.csr.subject)
  tally:add(request, before, after)
end

-- The tally, and of how many verdicts; nil and an error.
local function compare_all(config, ledger, options)
  local tally, newest, policies = difference.new(), {}, {}
  for name in pairs(config.labels) do policies[name] = desk.without_policy(config, name) end
  local done = 0
  for rows in recorded.shadows(ledger, options) do
    for _, said in ipairs(rows) do
      local row, err = recorded.get(ledger, said.request_id)
      if err then return nil, err end
      compare(tally, policies[said.label], row, said, is_newest(newest, said))
    end
    done = done + #rows
    support.status(("%d requests"):format(done))
  end
  support.status()
  return tally, done
end

-- Why there is nothing to compare.
local function nothing(config, options)
  for name, label in pairs(config.labels) do
    if label.shadow and (not options.label or options.label == name) then
      support.complain("lest policy shadow", "the shadow has not decided about any request "
        .. (options.since and "since then" or "yet"))
      return nil
    end
  end
  local who = options.label and ("the label '%s' has no shadow"):format(options.label)
    or "no label has a shadow"
  return select(2, fail("not_found", ("%s: %s, and the ledger has no verdict of one"):format(
    options.config, who)))
end

local function shadow(options)
  local config, err = load_config.load(options.config)
  if not config then return nil, err end
  if options.label and not config.labels[options.label] then
    return fail("usage", ("--label: there is no label '%s'%s"):format(options.label,
      schema.hint(options.label, config.labels)))
  end
  if options.ledger then
    config.ledger, err = core.file.resolve(options.ledger)
    if not config.ledger then return nil, err end
  end
  local ledger <close>, problem = ledger_file.open_to_read(config)
  if not ledger then return nil, problem end
  local tally, done = compare_all(config, ledger, options)
  if not tally then return nil, done end
  err = done == 0 and nothing(config, options)
  if err then return nil, err end
  return differences.print(tally, options)
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  return differences.run(shadow, options)
end

return M
