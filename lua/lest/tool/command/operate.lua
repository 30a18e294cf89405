--- What the commands over a server's ledger share.
local core = require "lest.core"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

--- A subcommand with --config and --json.
---@param parser table
---@param name string
---@param summary string
---@param example string
---@return table command
function M.subcommand(parser, name, summary, example)
  local command = support.subcommand(parser, { name = name, summary = summary, example = example })
  command:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration."
  command:flag "--json":description "Print JSON."
  return command
end

--- For parser:option(...):convert(): how many rows a list may have.
---@param text string
---@return integer|nil count
---@return string|nil problem
function M.count(text)
  local number = math.tointeger(tonumber(text, 10))
  if number and number >= 1 and number <= operator.LIMIT_MAX then return number end
  return nil, ("'%s' is no count from 1 to %d"):format(text, operator.LIMIT_MAX)
end

--- DER that came as base64, as PEM.
---@param name string "CERTIFICATE"
---@param base64 string
---@return string
function M.pem(name, base64)
  local body = core.base64.encode(assert(core.base64.decode(base64)), 64)
  return ("-----BEGIN %s-----\n%s-----END %s-----\n"):format(name, body, name)
end

--- A line for one thing that is known of a row.
---@param name string
---@param value string
function M.print_field(name, value)
  io.write(("%-17s %s\n"):format(name, value)) -- "revocation_reason" is the longest
end

--- One field of a row a line; absent and empty ones are left out.
---@param row table
---@param fields string[]
function M.print_fields(row, fields)
  for _, field in ipairs(fields) do
    local value = row[field]
    if value and value ~= "" then
      M.print_field(field, support.clean(tostring(value)))
    end
  end
end

--- The times of a row, likewise.
---@param row table
---@param fields string[]
function M.print_times(row, fields)
  for _, field in ipairs(fields) do
    if row[field] then M.print_field(field, support.time(row[field])) end
  end
end

--- Say so when a list was cut.
---@param command string
---@param count integer
---@param limit integer
function M.note_cut(command, count, limit)
  if count < limit then return end
  io.stderr:write(("%s: the newest %d; --limit gives more\n"):format(command, count))
end

--- Parse, load the configuration, and do what the subcommand says.
---@param parser table
---@param args string[]
---@param actions table<string, fun(options: table, config: table): integer?, lest.error?>
---@return integer exit_code
function M.main(parser, args, actions)
  return support.run(parser, args, function(options)
    local config, err = require("lest.server.config.load").load(options.config)
    if not config then return nil, err end
    return actions[options.subcommand](options, config)
  end)
end

return M
