--- What the commands over a server's ledger share.
local core = require "lest.core"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
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

-- What one looks at; who wants more wants all.
local LIMIT_MAX <const> = 10000

local function count(text)
  local number = math.tointeger(tonumber(text, 10))
  if text == "all" then return math.maxinteger end
  if number and number >= 1 and number <= LIMIT_MAX then return number end
  return nil, ("'%s' is no count from 1 to %d, nor 'all'"):format(text, LIMIT_MAX)
end

--- --limit of a list.
---@param command table
---@param default string
function M.limit(command, default)
  command:option "--limit":argname "N":convert(count):default(default)
    :description "At most so many; 'all' is every one."
end

--- Of whom a list is: --principal and --device.
---@param command table
function M.of_whom(command)
  command:mutex(
    command:option "--principal --name":target "name":argname "NAME"
      :description "Those that one principal asked for: 'device001', 'own:CN=device001'.",
    command:option "--device":argname "NAME"
      :description "Those of one device with its renewals, by the principal that it was first.")
end

--- Who runs this, behind sudo too; nil where that has no name.
---@return string|nil
function M.user_name()
  local name = os.getenv "SUDO_USER"
  return name and name ~= "" and name or core.system.user_name()
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

-- Items of a JSON array that is never in memory as a whole, as lest.json would write it.
local function json_printer(list)
  local separator = "[\n  "
  return function(rows)
    for _, row in ipairs(rows) do
      local item = json.encode(list.object and list.object(row) or row):gsub("\n", "\n  ")
      io.write(separator, item)
      separator = ",\n  "
    end
  end, function()
    io.write(separator == ",\n  " and "\n]\n" or "[]\n")
  end
end

-- A page's columns are no narrower than those of the pages before.
local function column_printer(list)
  local widths
  local function put(rows)
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = list.line(row) end
    widths = support.print_columns(list.header, lines, widths)
  end
  return put, function()
    if not widths then put {} end
  end
end

---@class lest.operate.list
---@field command string "lest cert list"
---@field operation string of lest.operator
---@field arguments table of the operation; the limit is the option's
---@field header string[]
---@field line fun(row: table): any[] its cells
---@field object? fun(row: table): table the row for JSON, where that is another

--- Print a list page by page, and say so when it was cut.
---@param options table json, limit
---@param config table
---@param list lest.operate.list
---@return nil
---@return lest.error? err
function M.print_list(options, config, list)
  local ledger <close>, err = ledger_file.open(config)
  if not ledger then return nil, err end
  local put, finish = (options.json and json_printer or column_printer)(list)
  local printed = 0
  list.arguments.limit = options.limit
  for rows in operator.pages(ledger, list.operation, list.arguments) do
    put(rows)
    printed = printed + #rows
    local written, problem = support.flush() -- who reads may have gone
    if not written then return nil, problem end
  end
  finish()
  if options.json or printed < options.limit then return end
  io.stderr:write(("%s: the newest %d; --limit gives more\n"):format(list.command, printed))
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
