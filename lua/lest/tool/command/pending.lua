--- `lest pending`: requests that wait for an operator.
local core = require "lest.core"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest pending", summary = "List and decide requests that wait for an operator. "
      .. "The policy runs again, and sees who approved, when the device next asks.",
    example = "lest pending approve k5xq7zr2ab --comment 'seen on the bench'",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List requests that wait.", "lest pending list")
  list:option "--state":argname "STATE"
    :choices { "waiting", "approved", "rejected", "issued", "expired" }
    :description "List those in this state."
  operate.limit(list, "10000")
  local show = operate.subcommand(parser, "show", "Show a request with its approvals and its CSR.",
    "lest pending show k5xq7zr2ab")
  show:argument "id":description "The request, as `lest pending list` names it."
  for _, verdict in ipairs { "approve", "reject" } do
    local command = operate.subcommand(parser, verdict, verdict == "approve"
      and "Approve a request. An operator counts once and may still change to reject."
      or "Reject a request: the device is refused, whatever others approved.",
      ("lest pending %s k5xq7zr2ab --as alice"):format(verdict))
    command:argument "id":description "The request, as `lest pending list` names it."
    command:option "--as":argname "NAME":target "operator"
      :description "Who decides; the name of the user who runs this unless told."
    command:option "--comment":argname "TEXT":description "Kept with the decision."
  end
  return parser
end

local FIELDS <const> = { "id", "state", "principal_name", "principal_kind", "label", "operation",
  "subject", "key_hash", "reason", "request_id", "serial" }

local function print_request(row)
  operate.print_fields(row, FIELDS)
  operate.print_times(row, { "created", "updated", "expires" })
  for _, approval in ipairs(row.approvals) do
    operate.print_field("verdict", ("%s by %s, %s%s"):format(approval.verdict,
      support.clean(approval.operator), support.time(approval.time),
      approval.comment and ": " .. support.clean(approval.comment) or ""))
  end
  io.write(operate.pem("CERTIFICATE REQUEST", row.csr))
end

local function list(options, config)
  return operate.print_list(options, config, {
    command = "lest pending list", operation = "pending_list",
    arguments = { state = options.state },
    header = { "ID", "PRINCIPAL", "LABEL", "OPERATION", "SUBJECT", "STATE", "APPROVALS", "EXPIRES",
      "REASON" },
    line = function(row)
      return { row.id, row.principal_name, row.label, row.operation, row.subject, row.state,
        row.approvals, support.time(row.expires), row.reason }
    end,
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

local function decide(options, config)
  local name = options.operator or user_name()
  if name == "" then support.usage "--as needs a name" end
  local row, err = operator.call(config, "pending_" .. options.subcommand, { id = options.id,
    operator = name, comment = options.comment })
  if not row then return nil, err end
  if options.json then
    support.print_json(row)
  else
    io.write(row.state, "\n")
  end
  if options.subcommand == "approve" and row.state == "rejected" then
    return nil, core.error.new { code = "refused",
      message = "your approval is kept, but another operator has rejected the request" }
  end
end

local actions <const> = { list = list, show = show, approve = decide, reject = decide }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
