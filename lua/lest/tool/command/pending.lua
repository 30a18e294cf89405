--- `lest pending`: requests that wait for an operator.
local core = require "lest.core"
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local function add_decision(command)
  command:argument "id":args "+":description "Requests, as `lest pending list` names them."
  command:option "--as":argname "NAME":target "operator"
    :description "Who decides; the name of the user who runs this unless told."
  command:option "--note":argname "TEXT"
    :description "Kept with the decision for operators and policies; no device sees it."
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest pending", summary = "List and decide requests that wait for an operator. "
      .. "The policy runs again, and sees who approved, when the device next asks.",
    example = "lest pending approve k5xq7zr2ab --note 'seen on the bench'",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List requests that wait.", "lest pending list")
  list:option "--state":argname "STATE"
    :choices { "waiting", "approved", "rejected", "issued", "expired", "held" }
    :description("List those in this state. Those that are held are approved, and wait for a CA "
      .. "elsewhere.")
  operate.lists(list, "10000")
  local show = operate.subcommand(parser, "show", "Show a request with its approvals and its CSR, "
    .. "also one that waits for its CA.",
    "lest pending show k5xq7zr2ab")
  show:argument "id":description "The request, as `lest pending list` names it."
  operate.reads(show)
  local approve = operate.subcommand(parser, "approve", "Approve requests, each for itself. An "
    .. "operator counts once and may still change to reject.",
    "lest pending approve k5xq7zr2ab --as alice --note 'seen on the bench'")
  add_decision(approve)
  local reject = operate.subcommand(parser, "reject", "Reject requests, each for itself: the "
    .. "device is refused, whatever others approved.",
    "lest pending reject k5xq7zr2ab --as alice --tell 'call us' --for 30d")
  add_decision(reject)
  reject:option "--tell":argname "TEXT":description "What the device is told, and shows."
  reject:option "--for":argname "TIME":convert(support.duration):target "hold_s"
    :description "How long the same request is refused; unless told, the label's pending_expires."
  return parser
end

-- "1 of 2"; a policy need not say how many it wants.
local function count_text(row)
  local count = 0
  for _, approval in ipairs(row.approvals) do
    if approval.verdict == "approve" then count = count + 1 end
  end
  return row.needed and ("%d of %d"):format(count, row.needed) or tostring(count)
end

-- When the device should ask again, as it was told to.
local function expected(row)
  return row.polled and row.polled + row.retry_after
end

local FIELDS <const> = { "id", "state", "principal_name", "principal_kind", "device", "label",
  "operation", "subject", "key_hash", "ca", "tries", "reason", "request_id", "credential_id",
  "credential_removed", "serial" }

local function print_approval(approval)
  local parts = { ("%s by %s, %s"):format(approval.verdict, support.clean(approval.operator),
    support.time(approval.time)) }
  if approval.note then table.insert(parts, ": " .. support.clean(approval.note)) end
  if approval.tell then
    table.insert(parts, ("; the device is told: %s"):format(support.clean(approval.tell)))
  end
  if approval.holds_until then
    table.insert(parts, "; until " .. support.time(approval.holds_until))
  end
  operate.print_field("verdict", table.concat(parts))
end

local function print_request(row)
  operate.print_fields(row, FIELDS)
  if not row.ca then operate.print_field("approvals", (count_text(row))) end
  row.expected = (row.state == "waiting" or row.state == "approved") and expected(row) or nil
  operate.print_times(row, { "created", "updated", "polled", "expected", "next", "expires" })
  for _, approval in ipairs(row.approvals) do print_approval(approval) end
  io.write(operate.pem("CERTIFICATE REQUEST", row.csr))
end

-- What fits a terminal.
local NARROW <const> = {
  header = { "ID", "PRINCIPAL", "STATE", "APPROVALS", "SUBJECT" }, name = "PRINCIPAL",
  line = function(row)
    return { row.id, row.principal_name, row.state, count_text(row), row.subject }
  end,
}

local function list(options, config)
  return operate.print_list(options, config, {
    command = "lest pending list", operation = "pending_list",
    arguments = { state = options.state }, fixed = { STATE = options.state },
    header = { "ID", "PRINCIPAL", "LABEL", "OPERATION", "SUBJECT", "STATE", "APPROVALS", "EXPIRES",
      "REASON" },
    line = function(row)
      return { row.id, row.principal_name, row.label, row.operation, row.subject, row.state,
        count_text(row), support.time(row.expires), row.reason }
    end,
    narrow = NARROW,
  })
end

local function show(options, config)
  local row, err = operator.ask(config, "pending_show", { id = options.id })
  if not row then return nil, err end
  if options.json then return support.print_json(row) end
  print_request(row)
end

-- Behind sudo, the person and not root.
local function user_name()
  return operate.user_name() or support.usage "say who decides, with --as NAME"
end

-- What happens next, by the state that a decision comes to.
local NEXT <const> = {
  approved = function(row, now)
    local at = expected(row)
    if not at then return "the device gets its certificate when it asks again" end
    return ("the device was told to ask again at %s%s"):format(support.time(at),
      at > now and "" or ", and has not yet")
  end,
  waiting = function() return "the policy wants more operators" end,
  rejected = function() return "the device is told so when it asks again" end,
  expired = function() return "the device has to ask anew" end,
}

local function print_outcome(row)
  local count = row.state == "rejected" and "" or (" (%s)"):format(count_text(row))
  io.write(("%s: %s%s until %s; %s%s\n"):format(row.id, row.state, count,
    support.time(row.expires), NEXT[row.state](row, core.clock.wall_us() // 1000000),
    row.credential_removed and "; its secret was removed, and it needs another one" or ""))
end

local function decide_one(options, config, ledger, id)
  local row, err = operator.run(ledger, "pending_" .. options.subcommand, { id = id,
    operator = options.operator, note = options.note, tell = options.tell,
    hold_s = options.hold_s }, { labels = config.labels })
  if not row then return nil, err end
  if not options.json then print_outcome(row) end
  if options.subcommand == "approve" and row.state == "rejected" then
    err = core.error.new { code = "refused", message = ("your approval of '%s' is kept, but "
      .. "another operator has rejected it"):format(id) }
  end
  return row, err
end

-- Each stands for itself: one that is over keeps no other from being decided.
local function decide(options, config)
  options.operator = options.operator or user_name()
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local rows, last = {}, nil
  for _, id in ipairs(options.id) do
    local row, err = decide_one(options, config, ledger, id)
    table.insert(rows, row)
    if err and last then support.complain("lest pending " .. options.subcommand, last) end
    last = err or last
  end
  if options.json then support.print_json(rows) end
  return last == nil and 0 or nil, last
end

local actions <const> = { list = list, show = show, approve = decide, reject = decide }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
