--- Completion for zsh, from the parsers of the commands.
local M = {}

local HEAD <const> = [[
#compdef lest
# zsh completion for lest(1), made by the build from the parsers of the commands
]]

-- A command that has commands: its options, then one of them, then what that one takes.
local COMMANDS <const> = [=[
%s() {
  local line state
  local -a commands=(
%s
  )
  _arguments -C %s '1: :->command' '*:: :->rest' && return
  case $state in
    command) _describe command commands ;;
    rest) (( ! $+functions[%s_$line[1]] )) || %s_$line[1] ;;
  esac
}
]=]

local COMMAND <const> = [[
%s() {
  _arguments -s \
%s
}
]]

local ACTIONS <const> = { file = "_files", folder = "_files -/" }

-- A text inside of a specification in apostrophes.
local function escape(text)
  return (text:gsub("\n", " "):gsub("[%[%]:\\]", "\\%0"):gsub("'", "'\\''"))
end

local function action_of(option)
  if option.choices then
    local words = {}
    for i, choice in ipairs(option.choices) do words[i] = choice:gsub("[ :]", "\\%0") end
    return "(" .. table.concat(words, " ") .. ")"
  end
  return ACTIONS[option.takes] or " "
end

-- An option is offered once, but for one that may be repeated.
local function specification(option)
  local value = option.value
    and (":%s:%s"):format(escape(option.value), action_of(option)) or ""
  local text, all = "[" .. escape(option.text) .. "]", table.concat(option.names, " ")
  local lines = {}
  for i, name in ipairs(option.names) do
    local head = option.repeats and "*" or "(" .. all .. ")"
    lines[i] = ("'%s%s%s%s'"):format(head, name, text, value)
  end
  return table.concat(lines, " ")
end

local function arguments_of(command)
  local lines = {}
  for _, option in ipairs(command.options) do lines[#lines + 1] = specification(option) end
  for i, argument in ipairs(command.arguments) do
    lines[#lines + 1] = ("'%s:%s:%s'"):format(argument.count > 1 and "*" or i,
      escape(argument.names[1]), action_of(argument))
  end
  return lines
end

local function described(commands)
  local lines = {}
  for i, each in ipairs(commands) do
    lines[i] = ("    '%s:%s'"):format(each.word, escape(each.summary or each.text))
  end
  return lines
end

local function add(out, command, name)
  local arguments = arguments_of(command)
  if #command.commands == 0 then
    if #arguments == 0 then return end
    table.insert(out, COMMAND:format(name, "    " .. table.concat(arguments, " \\\n    ")))
    return
  end
  for _, each in ipairs(command.commands) do add(out, each, name .. "_" .. each.word) end
  table.insert(out, COMMANDS:format(name, table.concat(described(command.commands), "\n"),
    table.concat(arguments, " "), name, name))
end

local function flag(text, ...)
  return { names = { ... }, text = text }
end

--- The script for a folder of zsh's functions, "_lest".
---@param commands lest.manual.command[]
---@return string
function M.script(commands)
  local out = { HEAD }
  add(out, { word = "lest", commands = commands, arguments = {}, options = {
    flag("Show this help.", "-h", "--help"), flag("Show the version.", "--version") } }, "_lest")
  table.insert(out, '_lest "$@"\n')
  return table.concat(out, "\n")
end

return M
