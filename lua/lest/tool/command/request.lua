--- `lest request`: every decision of the server, with what it was made from.
local core = require "lest.core"
local decisions = require "lest.tool.command.decisions"
local fail = require "lest.base.fail"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local recorded = require "lest.server.ledger.recorded"
local support = require "lest.tool.command.support"

local M = {}

local VERDICTS <const> = decisions.VERDICTS
local reason_of <const>, outcome_of <const> = decisions.reason, decisions.outcome

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest request", summary = "List and show what the server decided, and why.",
    example = "lest request list --device device001",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List decisions, newest first; with --id or "
    .. "--serial, in that order.", "lest request list --device device001 --verdict reject")
  operate.narrowed(list, "100", "a name of the CSR, in the principal or in what was claimed")
  list:option "--until":target "until_time":argname "TIME":convert(operate.moment(-1))
    :description "Those before this, written as --since is."
  list:flag "--refused-early"
    :description("Instead: what was refused before a policy was asked, as a wrong password or a "
      .. "revoked certificate; the newest of them.")
  list:option "--id":argname "PART":description "Those whose id begins so."
  list:option "--serial":argname "PART"
    :description "Those that issued a certificate whose serial number begins so."
  list:option "--verdict":argname "VERDICT":choices(VERDICTS)
    :description("Those that ended so: " .. table.concat(VERDICTS, ", ") .. ".")
  local show = operate.subcommand(parser, "show", "Show a decision with all it was made from.",
    "lest request show 0f3c9a")
  show:argument "id"
    :description "The request's id, as in the log and in X-Request-Id, or how only it begins."
  operate.reads(show)
  local record = operate.subcommand(parser, "record", "Print what the ledger has of a decision "
    .. "that a policy made, as one line of JSON: its request with the CSR and the certificate, "
    .. "what was answered from outside, and what the policy stated. 'lest repl --request' puts it "
    .. "on the desk again.", "lest request record device001")
  record:argument "what"
    :description("The request's id, the serial number of its certificate, or a name, of which it "
      .. "is the last decision.")
  operate.reads(record)
  return parser
end

local function verdict_of(row)
  local outcome = outcome_of(row)
  return outcome and ("%s, now %s"):format(row.verdict, outcome) or row.verdict
end

-- What fits a terminal.
local NARROW <const> = {
  header = { "ID", "TIME (UTC)", "VERDICT", "DEVICE", "REASON" }, name = "DEVICE",
  line = function(row)
    return { row.id, support.time(row.time_us // 1000000):sub(1, 16),
      outcome_of(row) or row.verdict, row.device, reason_of(row) }
  end,
}

local EARLY <const> = {
  header = { "ID", "TIME (UTC)", "STATUS", "CLAIMED", "REASON" }, name = "CLAIMED",
  line = function(row)
    return { row.id, support.time(row.time_us // 1000000):sub(1, 16), row.status,
      row.device or row.claimed, row.reason }
  end,
}

local function list_early(options, config, arguments)
  if arguments.verdict then support.usage "--verdict is not of what was refused early" end
  return operate.print_list(options, config, {
    command = "lest request list", operation = "refusal_list", arguments = arguments,
    header = { "ID", "TIME", "OPERATION", "LABEL", "STATUS", "PRINCIPAL", "CLAIMED", "CERTIFICATE",
      "SUBJECT", "ADDRESS", "LEFT OUT", "REASON", "DETAIL" },
    line = function(row)
      return { row.id, support.time(row.time_us // 1000000), row.operation, row.label, row.status,
        row.principal_name, row.claimed, row.certificate, row.subject, row.address, row.left_out,
        row.reason, row.detail }
    end,
    narrow = EARLY,
  })
end

local function list(options, config)
  local arguments = { principal_name = options.principal_name, device = options.device,
    label = options.label, part = options.part, id = options.id, serial = options.serial,
    since = options.since, until_time = options.until_time, verdict = options.verdict }
  if options.refused_early then return list_early(options, config, arguments) end
  return operate.print_list(options, config, {
    command = "lest request list", operation = "request_list", arguments = arguments,
    header = { "ID", "TIME", "OPERATION", "LABEL", "VERDICT", "PRINCIPAL", "DEVICE", "ADDRESS",
      "SERIAL", "REASON" },
    line = function(row)
      return { row.id, support.time(row.time_us // 1000000), row.operation, row.label,
        verdict_of(row), row.principal_name, row.device, row.address, row.serial, reason_of(row) }
    end,
    narrow = NARROW,
    -- One that was pending has an outcome since, each its own.
    fixed = { DEVICE = options.device,
      VERDICT = options.verdict ~= "pending" and options.verdict or nil },
    order = (options.id or options.serial) and "first" or nil,
  })
end

local FIELDS <const> = { "id", "operation", "label", "verdict", "status", "reason", "detail",
  "profile", "serial", "pending_id", "pending_state", "previous", "principal_name",
  "principal_kind", "principal", "device", "claimed", "certificate", "subject", "san", "left_out",
  "credential_id", "key_hash", "approvals", "tls", "address", "headers", "policy_file",
  "policy_hash", "rule", "stated" }
local JSON_FIELDS <const> = { "principal", "tls", "headers", "approvals", "stated", "trace",
  "outside" }

local function print_request(row)
  operate.print_field("time", support.time(row.time_us // 1000000))
  operate.print_fields(row, FIELDS)
  if row.csr then io.write(operate.pem("CERTIFICATE REQUEST", row.csr)) end
  if not row.issued then return end
  operate.print_fields(row.issued, { "state", "subject", "san" })
  operate.print_times(row.issued, { "not_before", "not_after", "revoked_at" })
  io.write(row.issued.pem)
end

local function show(options, config)
  local row, err = operator.ask(config, "request_show", { id = options.id })
  if not row then return nil, err end
  if row.issued then operate.certificate(row.issued) end
  if not options.json then return print_request(row) end
  for _, field in ipairs(JSON_FIELDS) do row[field] = row[field] and json.decode(row[field]) end
  support.print_json(row)
end

-- Of a name the last decision, whatever it was.
local function find(ledger, what)
  local id, name = decisions.id(ledger, what)
  if not id or not name then return id, name end
  return decisions.id_at(ledger, name, core.clock.wall_us() // 1000000)
end

local function record(options, config)
  local ledger <close>, err = ledger_file.open_to_read(config)
  if not ledger then return nil, err end
  local id, problem = find(ledger, options.what)
  if not id then return nil, problem end
  local row
  row, err = recorded.get(ledger, id)
  if err then return nil, err end
  if not row then
    return fail("not_found", ("no policy was asked about the request %s"):format(id))
  end
  io.write(recorded.line(row), "\n")
end

local actions <const> = { list = list, show = show, record = record }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
