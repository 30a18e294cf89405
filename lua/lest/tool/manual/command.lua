--- lest-COMMAND(1): a page for each command, with the text of its --help.
local M = {}

-- Pages that who reads about a command may want besides.
local SEE_ALSO <const> = {
  ["lest ca"] = "`lest-serve`(1), `lest-server.lua`(5)",
  ["lest serve"] = "`lest-ca`(1), `lest-server.lua`(5), `lest-policy`(5)",
  ["lest policy"] = "`lest-policy`(5), `lest-lua`(3)",
  ["lest log"] = "`lest-explain`(1), `lest-request`(1)",
  ["lest explain"] = "`lest-log`(1), `lest-request`(1), `lest-policy`(5)",
  ["lest pending"] = "`lest-policy`(5)", ["lest outbox"] = "`lest-policy`(5), `lest-server.lua`(5)",
  ["lest credential"] = "`lest-policy`(5)",
  ["lest run"] = "`lest-lua`(3)", ["lest repl"] = "`lest-lua`(3)",
  ["lest enroll"] = "`lest-reenroll`(1), `lest-csrattrs`(1), `lest-cacerts`(1)",
  ["lest reenroll"] = "`lest-enroll`(1)",
  ["lest serverkeygen"] = "`lest-enroll`(1)",
  ["lest probe"] = "`lest-cacerts`(1), `lest-enroll`(1), `lest-lua`(3)",
}

local function bold(names)
  local words = {}
  for i, name in ipairs(names) do words[i] = "`" .. name .. "`" end
  return table.concat(words, ", ")
end

-- Those of a subcommand without --help, which every one has.
local function items(blocks, options, is_subcommand)
  for _, option in ipairs(options) do
    local value = option.value and " " .. option.value or ""
    if not is_subcommand or option.names[1] ~= "-h" then
      table.insert(blocks, { term = bold(option.names) .. value, option.text })
    end
  end
end

--- A subcommand, below its heading.
local function add(blocks, command)
  table.insert(blocks, { heading = command.name:gsub("^lest ", "") })
  table.insert(blocks, { code = command.synopsis })
  table.insert(blocks, command.text)
  items(blocks, command.arguments)
  items(blocks, command.options, true)
  table.insert(blocks, "Example:")
  table.insert(blocks, { code = command.example })
end

local function synopsis_of(command)
  local lines = { #command.commands == 0 and command.synopsis or nil }
  for _, each in ipairs(command.commands) do lines[#lines + 1] = each.synopsis end
  return table.concat(lines, "\n")
end

--- The page of one command.
---@param command lest.manual.command
---@return lest.manual.page
function M.page(command)
  local description = { title = "DESCRIPTION", command.text }
  items(description, command.arguments)
  local options = { title = "OPTIONS" }
  items(options, command.options)
  local page = {
    name = command.name:gsub(" ", "-"), section = 1, manual = "User Commands",
    summary = command.summary,
    { title = "SYNOPSIS", { code = synopsis_of(command) } }, description, options,
  }
  if #command.commands > 0 then
    local section = { title = "COMMANDS" }
    for _, each in ipairs(command.commands) do add(section, each) end
    table.insert(page, section)
  end
  table.insert(page, { title = "EXAMPLE", { code = command.example } })
  table.insert(page, { title = "EXIT STATUS", "0 where it was done, else as in `lest`(1)." })
  local others = SEE_ALSO[command.name]
  table.insert(page, { title = "SEE ALSO", "`lest`(1)" .. (others and ", " .. others or "") })
  return page
end

return M
