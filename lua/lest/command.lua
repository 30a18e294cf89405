--- The command line: `lest COMMAND ...`. Each command is a module lest.command.NAME whose
--- main(args) returns an exit code; args is a list of the words after the command's name.
local M = {}

local commands <const> = { "run" }

local function known(name)
  for _, command in ipairs(commands) do
    if command == name then return true end
  end
  return false
end

---@param args string[] the words of the command line, args[0] the program
---@return integer exit_code
function M.main(args)
  local name = args[1]
  if not name or not known(name) then
    io.stderr:write("usage: lest COMMAND [ARG...]\ncommands: ", table.concat(commands, " "), "\n")
    return 2
  end
  return require("lest.command." .. name).main(table.move(args, 2, #args, 1, {}))
end

return M
