--- `lest cert`: certificates that the server issued.
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local function new_parser()
  local parser = support.parser {
    name = "lest cert", summary = "List, show and revoke certificates that the server issued.",
    example = "lest cert list --device device001",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List certificates, newest first.",
    "lest cert list --device device001")
  operate.of_whom(list)
  operate.limit(list, "1000")
  local show = operate.subcommand(parser, "show", "Show a certificate and how it was issued.",
    "lest cert show 0a1b2c3d4e5f60718293a4b5c6d7e8f9")
  show:argument "serial":description "Its serial number, in hexadecimal."
  local revoke = operate.subcommand(parser, "revoke", "Revoke a certificate for good: the server "
    .. "refuses it at once. Credentials of its name stay until `lest credential remove`.",
    "lest cert revoke 0a1b2c3d4e5f60718293a4b5c6d7e8f9 --reason keyCompromise")
  revoke:argument "serial":args "?":description "Its serial number, in hexadecimal."
  revoke:option "--device":argname "NAME"
    :description "Instead: all that are valid of one device, its renewals among them."
  revoke:option "--reason":argname "REASON":default "unspecified"
    :choices(operator.REVOCATION_REASONS):description("One of "
      .. table.concat(operator.REVOCATION_REASONS, ", ") .. ".")
  return parser
end

local function state_of(row, now)
  if row.revoked_at then return "revoked" end
  return row.not_after <= now and "expired" or "valid"
end

local function with_facts(row)
  row.facts = json.object(json.decode(row.facts) or {})
  return row
end

local function whole(row)
  row.pem = operate.pem("CERTIFICATE", row.der)
  row.der = nil
  return with_facts(row)
end

local function list(options, config)
  local now = core.clock.wall_us() // 1000000
  return operate.print_list(options, config, {
    command = "lest cert list", operation = "cert_list",
    arguments = { name = options.name, device = options.device },
    header = { "SERIAL", "PRINCIPAL", "SUBJECT", "PROFILE", "NOT AFTER", "STATE" },
    line = function(row)
      return { row.serial, row.principal_name, row.subject, row.profile,
        support.time(row.not_after), state_of(row, now) }
    end,
    object = with_facts,
  })
end

local FIELDS <const> = { "serial", "subject", "san", "principal_name", "principal_kind", "device",
  "label",
  "operation", "profile", "fingerprint", "key_hash", "issuer", "request_id", "renews",
  "revocation_reason" }

local function print_certificate(row)
  operate.print_fields(row, FIELDS)
  operate.print_times(row, { "not_before", "not_after", "issued_at", "revoked_at" })
  for key, value in pairs(row.facts) do
    operate.print_field("fact", support.clean(key) .. "=" .. support.clean(tostring(value)))
  end
  io.write(row.pem)
end

local function show(options, config)
  local rows, err = operator.call(config, "cert_show", { serial = options.serial })
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    whole(row)
    if not options.json then print_certificate(row) end
  end
  if options.json then support.print_json(rows) end
end

local function revoke_device(options, config)
  local result, err = operator.call(config, "cert_revoke_device", { device = options.device,
    reason = options.reason })
  if not result then return nil, err end
  if options.json then return support.print_json(result) end
  for _, serial in ipairs(result.revoked) do io.write("revoked ", serial, "\n") end
end

local function revoke(options, config)
  if (options.serial ~= nil) == (options.device ~= nil) then
    return fail("usage", "name a certificate by its serial number, or a device with --device")
  end
  if options.device then return revoke_device(options, config) end
  local row, err = operator.call(config, "cert_revoke", { serial = options.serial,
    reason = options.reason })
  if not row then return nil, err end
  if options.json then return support.print_json(whole(row)) end
  io.write "revoked\n"
end

local actions <const> = { list = list, show = show, revoke = revoke }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(new_parser(), args, actions)
end

return M
