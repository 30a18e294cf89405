--- What the commands over a server's ledger share.
local clock = require "lest.base.clock"
local core = require "lest.core"
local handover = require "lest.tool.handover"
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
  M.common(command)
  return command
end

--- What every command over a ledger takes.
---@param command table
function M.common(command)
  command:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration."
  command:option "--control":argname "SOCKET"
    :description "The control socket of a server that runs, in place of its configuration."
  command:flag "--direct"
    :description "Open the ledger's file here, also while the server runs, as its owner may."
  command:flag "--json":description "Print JSON."
end

-- What one looks at; who wants more wants all.
local LIMIT_MAX <const> = 10000

local function count(text)
  local number = math.tointeger(tonumber(text, 10))
  if text == "all" then return math.maxinteger end
  if number and number >= 1 and number <= LIMIT_MAX then return number end
  return nil, ("'%s' is no count from 1 to %d, nor 'all'"):format(text, LIMIT_MAX)
end

--- A command that only reads: it may read a copy.
---@param command table
function M.reads(command)
  command:option "--ledger":argname "FILE"
    :description "Read this ledger, as a copy that 'lest ledger backup' made, and no configuration."
end

--- A command that lists: as wide as a terminal, and so many, unless told.
---@param command table
---@param limit string the default of --limit
function M.lists(command, limit)
  command:flag "--wide":description "Print all columns, whole."
  command:option "--limit":argname "N":convert(count):default(limit)
    :description "At most so many; 'all' is every one."
  M.reads(command)
end

--- For option:convert(): a time, or how long ago (-1) or ahead (1) of now it is; in seconds.
---@param sign integer
---@return fun(text: string): integer?, string?
function M.moment(sign)
  return function(text)
    local seconds = clock.parse(text)
    if seconds then return seconds end
    seconds = support.duration(text)
    if seconds then return core.clock.wall_us() // 1000000 + sign * seconds end
    return nil, ("'%s' is neither a duration ('7d', '12h') nor a time in UTC ('2026-01-31', "
      .. "'2026-01-31 12:00')"):format(text)
  end
end

-- A part that everything has is none.
local function part(text)
  if text ~= "" then return text end
  return nil, "an empty name is in every name"
end

--- What narrows a list of certificates or decisions: whose, which label, which name, since when.
---@param command table
---@param limit string the default of --limit
---@param where string what --name looks in
function M.narrowed(command, limit, where)
  command:mutex(
    command:option "--principal":target "principal_name":argname "NAME"
      :description "Those that one principal asked for: 'device001', 'own:CN=device001'.",
    command:option "--device":argname "NAME"
      :description "Those of one device with its renewals, by the principal that it was first.")
  command:option "--label":argname "LABEL":description "Those of this label."
  command:option "--name":target "part":argname "PART":convert(part)
    :description(("Those with this in %s, in capitals or not."):format(where))
  command:option "--since":argname "TIME":convert(M.moment(-1))
    :description("Those of this time or later: '7d' ago, or '2026-01-31' or "
      .. "'2026-01-31 12:00' in UTC.")
  M.lists(command, limit)
end

--- In a server: who asked for the command, and what is called in place of an action.
---@type (fun(): string)?
M.user = nil
---@type (fun(options: table, action: function): integer?, lest.error?)?
M.errand = nil

--- Who runs this, behind sudo too; nil where that has no name.
---@return string|nil
function M.user_name()
  if M.user then return M.user() end
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

--- A certificate's row with its facts as a table, which a list prints as JSON.
---@param row table
---@return table row
function M.with_facts(row)
  row.facts = json.object(json.decode(row.facts) or {})
  return row
end

--- A certificate's row for people and scripts: facts as a table, and PEM in place of DER.
---@param row table
---@return table row
function M.certificate(row)
  row.pem, row.der = M.pem("CERTIFICATE", row.der), nil
  return M.with_facts(row)
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

-- The same for a list without an end: an item a line.
local function json_line_printer(list)
  return function(rows)
    for _, row in ipairs(rows) do
      io.write(json.line(list.object and list.object(row) or row), "\n")
    end
  end
end

-- The part of a line that a column of names may have.
local NAME_SHARE <const> = 5

-- A list's columns for a terminal: without those that what is asked for fixes, and with the most
-- characters that each may have.
---@param list { header: string[], line: function, fixed?: table<string, any>, name?: string }
---@param columns? integer of a line
---@return { header: string[], line: function, most: table }
local function fitted(list, columns)
  local kept, header, most = {}, {}, { line = columns }
  for i, title in ipairs(list.header) do
    if not (list.fixed and list.fixed[title]) then
      table.insert(kept, i)
      table.insert(header, title)
      most[#kept] = columns and title == list.name and columns // NAME_SHARE or nil
    end
  end
  local function line(row)
    local all, cells = list.line(row), {}
    for at, i in ipairs(kept) do cells[at] = all[i] end
    return cells
  end
  return { header = header, line = line, most = most }
end

-- What --wide asks for is neither left out nor cut.
local function shown_of(options, list)
  if options.wide then return list end
  local narrow = list.narrow
  return fitted({ header = narrow.header, line = narrow.line, name = narrow.name,
    fixed = list.fixed }, support.line_columns(1))
end

-- A page's columns are no narrower than those of the pages before.
local function column_printer(list)
  local widths
  local function put(rows)
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = list.line(row) end
    widths = support.print_columns(list.header, lines, widths, list.most)
  end
  return put, function()
    if not widths then put {} end
  end
end

---@class lest.operate.list
---@field command string "lest cert list"
---@field operation? string of lest.operator
---@field arguments table of the operation; the limit is the option's
---@field header string[]
---@field line fun(row: table): any[] its cells
---@field is_endless? boolean its rows come as long as somebody reads
---@field pages? fun(ledger: lest.ledger): fun(): table[]? where the rows come from, if not from a
--- list that is read page by page
---@field fixed? table<string, any> the columns that have one value, since that was asked for
---@field order? string what the first rows are, where they are not the newest
---@field narrow { header: string[], line: function, name?: string } what fits a terminal, unless
--- --wide asks for all; `name` is the column that is cut first
---@field object? fun(row: table): table the row for JSON, where that is another

--- How a device may be called that nothing is found of.
---@param device string
---@return string
function M.called(device)
  return ("one that first came with a certificate, or was imported, is called as in 'own:CN=%s', "
    .. "and --name looks into all names"):format(device)
end

-- What there is to say of a list beside it.
local function remark(options, list, printed)
  if options.json then return nil end
  if printed == 0 and options.device then
    return ("nothing of the device '%s'; %s"):format(options.device, M.called(options.device))
  elseif printed >= options.limit then
    return ("the %s %d; --limit gives more"):format(list.order or "newest", printed)
  end
end

--- Print a list page by page, and say so when it was cut.
---@param options table json, limit
---@param config table
---@param list lest.operate.list
---@return nil
---@return lest.error? err
function M.print_list(options, config, list)
  local ledger <close>, err = ledger_file.open_to_read(config)
  if not ledger then return nil, err end
  local put, finish
  if options.json then put, finish = (list.is_endless and json_line_printer or json_printer)(list)
  else put, finish = column_printer(shown_of(options, list)) end
  local printed = 0
  list.arguments.limit = options.limit
  local pages = list.pages and list.pages(ledger)
    or operator.pages(ledger, list.operation, list.arguments)
  for rows in pages do
    put(rows)
    printed = printed + #rows
    local written, problem = support.flush() -- who reads may have gone
    if not written then return nil, problem end
  end
  finish()
  support.complain(list.command, remark(options, list, printed) or "")
end

--- The configuration that a command's options name, or what stands for it where they name a socket
--- or a ledger.
---@param options { config: string, control: string?, ledger: string? }
---@return table? config
---@return lest.error? err
function M.config(options)
  if options.control then
    local path, err = core.file.absolute(options.control)
    return path and { control = { path = path } }, err
  end
  if not options.ledger then
    return require("lest.server.config.load").load(options.config)
  end
  local path, err = core.file.resolve(options.ledger)
  return path and { ledger = path }, err
end

--- Parse, load the configuration, and do what the subcommand says: in the server, where one runs.
---@param parser table
---@param args string[]
---@param actions table|function by subcommand, or the only one: each takes the options and the
--- configuration, and gives an exit code or nil and an error
---@return integer exit_code
function M.main(parser, args, actions)
  return support.run(parser, args, function(options)
    local action = type(actions) == "table" and actions[options.subcommand] or actions
    if M.errand then return M.errand(options, action) end
    local config, err = M.config(options)
    if not config then return nil, err end
    local code, hint
    code, err, hint = handover.send(parser._name:match "[^ ]+$", options, args, config)
    if code or err then return code, err end
    operator.who = { uid = core.system.user_id(), account = M.user_name(), through = "file",
      operator = options.operator }
    code, err = action(options, config)
    if err and hint then support.complain(parser._name, hint) end
    return code, err
  end)
end

return M
