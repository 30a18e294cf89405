--- Prints what two policies decide differently: for `lest policy replay` and `lest policy shadow`.
local core = require "lest.core"
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local support = require "lest.tool.command.support"

local M = {}

-- Of a terminal's page.
local GROUPS_SHOWN <const> = 20
local INDENT <const> = "         "

local function names_of(position)
  local names = position.subject or ""
  if position.san and position.san ~= "" then
    names = names .. (names ~= "" and " " or "") .. position.san
  end
  return names ~= "" and names or "no names"
end

-- What an example shows beside who asked: what the difference is about.
local ABOUT <const> = {
  ["other names"] = names_of,
  ["other profile"] = function(position) return position.profile end,
  ["other kind of key"] = function(position) return position.key end,
  ["other lifetime"] = function(position)
    return require "lest.duration".format(position.lifetime)
  end,
}

local function print_example(group, each)
  local about = ABOUT[group.change]
  local what = about and ("%s -> %s"):format(about(each.before), about(each.after))
    or each.before.reason and "was: " .. each.before.reason or ""
  io.write((INDENT .. "%s  %s  %s  %s"):format(support.clean(each.id), support.time(each.time),
    support.clean(each.device or "-"), support.clean(what)):gsub("%s+$", ""), "\n")
end

local function print_group(group)
  io.write(("%7d  %s"):format(group.count, group.change))
  if group.rule ~= "" then io.write("  by ", support.clean(group.rule)) end
  if group.reason ~= "" then io.write(': "', support.clean(group.reason), '"') end
  io.write "\n"
  for _, each in ipairs(group.examples) do print_example(group, each) end
  local more = group.count - #group.examples
  if more > 0 then io.write(INDENT, ("and %d more\n"):format(more)) end
end

local function print_left_out(group)
  io.write(("%7d  %s: %s\n"):format(group.count, group.kind, support.clean(group.why)))
  local ids = {}
  for i, each in ipairs(group.examples) do ids[i] = support.clean(each.id) end
  io.write(INDENT, table.concat(ids, ", "), group.count > #ids and ", ..." or "", "\n")
end

local function print_some(groups, print_one)
  for i, group in ipairs(groups) do
    if i > GROUPS_SHOWN then
      io.write(("         and %d more kinds (--json has them)\n"):format(#groups - GROUPS_SHOWN))
      break
    end
    print_one(group)
  end
  if groups[1] then io.write "\n" end
end

local function print_text(plain, left_out)
  print_some(plain.groups, print_group)
  print_some(plain.left_out, print_left_out)
  io.write(("%d as before, %d otherwise, %d not decided again\n"):format(plain.same,
    plain.different, left_out))
end

--- The options of a command that prints differences.
---@param command table
function M.options(command)
  command:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration: labels, profiles, limits."
  command:option "--since":argname "TIME":convert(operate.moment(-1))
    :description("Those of this time or later: '7d' ago, or '2026-01-31' or "
      .. "'2026-01-31 12:00' in UTC.")
  command:option "--until":target "until_time":argname "TIME":convert(operate.moment(-1))
    :description "Those before this, written as --since is."
  command:option "--ledger":argname "FILE"
    :description "The ledger, as a copy that 'lest ledger backup' made, in place of the configured."
  command:flag "--json":description "Print JSON."
end

--- Run such a command: 1 says that something differs, and so what else is wrong is 2, as of diff.
---@param command fun(options: table): integer|nil, lest.error|nil
---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(command, options)
  local ok, code, err = pcall(command, options)
  if not ok and not core.error.is(code) then error(code, 0) end
  if not ok then code, err = nil, code end
  return code, err and support.file_error(err)
end

--- Print a tally.
---@param tally lest.desk.tally
---@param options { json?: boolean }
---@return integer exit_code 1: something differs
function M.print(tally, options)
  local plain, left_out = tally:plain(), 0
  for _, group in ipairs(plain.left_out) do left_out = left_out + group.count end
  if options.json then
    for _, group in ipairs(plain.groups) do
      for _, each in ipairs(group.examples) do
        each.before, each.after = json.object(each.before), json.object(each.after)
      end
    end
    support.print_json(json.object { same = plain.same, different = plain.different,
      not_decided = left_out, differences = plain.groups, left_out = plain.left_out })
  else
    print_text(plain, left_out)
  end
  return plain.different > 0 and 1 or 0
end

return M
