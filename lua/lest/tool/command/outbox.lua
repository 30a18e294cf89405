--- `lest outbox`: events that a policy's hook is still to hear of.
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local function add_events(command)
  command:argument "id":args "*":description "Events, as `lest outbox list` names them."
  command:flag "--failed":description "All that were given up, instead."
  command:option "--label":argname "LABEL":description "With --failed: those of this label."
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest outbox", summary = "List what the hooks `issued` and `revoked` of policies are "
      .. "still to hear of, and begin anew with what failed.",
    example = "lest outbox list --state failed",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List events that were not heard of yet, one "
    .. "for each policy, newest first.", "lest outbox list")
  list:option "--state":argname "STATE":choices { "waiting", "failed" }
    :description "Those that are due again, or those that were given up."
  list:option "--label":argname "LABEL":description "Those of this label."
  operate.lists(list, "10000")
  add_events(operate.subcommand(parser, "retry", "Call the hooks for events soon, and for as "
    .. "long as for a new event. Of one that is being tried it may be twice.",
    "lest outbox retry issued-6a1b"))
  add_events(operate.subcommand(parser, "drop", "Forget events, for all policies: no hook will "
    .. "hear of them.", "lest outbox drop issued-6a1b"))
  return parser
end

local function next_of(row)
  return row.state == "waiting" and support.time(row.next_at) or ""
end

-- What fits a terminal.
local NARROW <const> = {
  header = { "ID", "STATE", "TRIES", "NEXT", "PROBLEM" },
  line = function(row)
    return { row.id, row.state, row.tries, next_of(row):sub(1, 16), row.problem }
  end,
}

local function list(options, config)
  return operate.print_list(options, config, {
    command = "lest outbox list", operation = "outbox_list",
    arguments = { state = options.state, label = options.label },
    fixed = { STATE = options.state },
    header = { "ID", "TIME", "LABEL", "POLICY", "STATE", "TRIES", "NEXT", "PROBLEM" },
    line = function(row)
      return { row.id, support.time(row.time), row.label, row.policy, row.state, row.tries,
        next_of(row), row.problem }
    end,
    narrow = NARROW,
  })
end

local WORDS <const> = { retry = "is due again", drop = "is forgotten" }
local WORDS_OF_ALL <const> = { retry = "due again", drop = "forgotten" }

-- One entry for each policy that did not hear.
local function change_failed(options, ledger)
  local result, err = operator.run(ledger, "outbox_" .. options.subcommand .. "_failed",
    { label = options.label })
  if not result then return nil, err end
  if options.json then
    support.print_json(result)
  else
    io.write(("%d %s\n"):format(result.entries, WORDS_OF_ALL[options.subcommand]))
  end
  return 0
end

-- Each stands for itself: one that is over keeps no other from being changed.
local function change(options, config)
  if options.failed == (options.id[1] ~= nil) then
    support.usage "name events, or all that were given up with --failed"
  elseif options.label and not options.failed then
    support.usage "--label is of --failed"
  end
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  if options.failed then return change_failed(options, ledger) end
  local results, last = {}, nil
  for _, id in ipairs(options.id) do
    local result, err = operator.run(ledger, "outbox_" .. options.subcommand, { id = id })
    table.insert(results, result)
    if result and not options.json then
      local why = result.problem and (" (%s)"):format(result.problem) or ""
      io.write(support.clean(id), ": ", WORDS[options.subcommand], why, "\n")
    end
    if err and last then support.complain("lest outbox " .. options.subcommand, last) end
    last = err or last
  end
  if options.json then support.print_json(results) end
  return last == nil and 0 or nil, last
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, { list = list, retry = change, drop = change })
end

return M
