--- Completion for bash, from the parsers of the commands.
local M = {}

local SCRIPT <const> = [=[
# bash completion for lest(1), made by the build from the parsers of the commands

_lest() {
  local at=$COMP_CWORD head='' word path='' takes='' words='' options=''
  local current=${COMP_WORDS[at]} before
  # A word with ':' or '=' comes in pieces, and what is offered takes the place of the last one.
  [[ $current == [:=] ]] && current='' || at=$((at - 1))
  if [[ ${COMP_WORDS[at]} == : ]]; then
    head=${COMP_WORDS[at-1]}:
    at=$((at - 2))
  fi
  [[ ${COMP_WORDS[at]} != = ]] || at=$((at - 1))
  before=${COMP_WORDS[at]}
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
%s) path="$path $word" ;;
    esac
  done
  # What may stand there, unless it is the value of the option before it.
  case $path in
%s
  esac
  [[ $current != -* ]] || takes=words words=$options
  case "$path $before" in
%s
  esac
  COMPREPLY=()
  case $takes in
    file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    folder) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    words)
      # An offer may have blanks: '|' stands between two of them.
      mapfile -t COMPREPLY < <(IFS='|'; compgen -W "$words" -- "$head$current")
      for word in "${!COMPREPLY[@]}"; do
        COMPREPLY[word]=${COMPREPLY[word]#"$head"}
        [[ $current == [\'\"]* ]] || printf -v "COMPREPLY[word]" %%q "${COMPREPLY[word]}"
      done
      return ;;
  esac
  compopt -o filenames 2>/dev/null
}
complete -F _lest lest
]=]

--- Patterns of a case, one a line.
local function patterns(list)
  local lines = {}
  for i, each in ipairs(list) do lines[i] = ("      '%s'"):format(each) end
  return table.concat(lines, " | \\\n")
end

local function words_of(commands)
  local words = {}
  for i, command in ipairs(commands) do words[i] = command.word end
  return words
end

local function options_of(command)
  local names = {}
  for _, option in ipairs(command.options) do
    table.move(option.names, 1, #option.names, #names + 1, names)
  end
  return table.concat(names, "|")
end

-- What one command adds to the three cases.
local function add(out, command, path)
  table.insert(out.paths, path)
  local takes, words = "none", ""
  if #command.commands > 0 then
    takes, words = "words", table.concat(words_of(command.commands), "|")
  elseif command.arguments[1] then
    local argument = command.arguments[1]
    takes = argument.choices and "words" or argument.takes or "none"
    words = table.concat(argument.choices or {}, "|")
  end
  table.insert(out.places, ("    '%s') takes=%s words='%s' options='%s' ;;"):format(path, takes,
    words, options_of(command)))
  for _, option in ipairs(command.options) do
    for _, name in ipairs(option.value and option.names or {}) do
      table.insert(out.values, ("    '%s %s') takes=%s words='%s' ;;"):format(path, name,
        option.choices and "words" or option.takes or "none",
        table.concat(option.choices or {}, "|")))
    end
  end
  for _, each in ipairs(command.commands) do add(out, each, path .. " " .. each.word) end
end

--- The script for bash-completion's folder.
---@param commands lest.manual.command[]
---@return string
function M.script(commands)
  local out = { paths = {}, values = {}, places = {
    ("    '') takes=words words='%s' options='--help|--version' ;;"):format(
      table.concat(words_of(commands), "|")),
  } }
  for _, command in ipairs(commands) do add(out, command, " " .. command.word) end
  return SCRIPT:format(patterns(out.paths), table.concat(out.places, "\n"),
    table.concat(out.values, "\n"))
end

return M
