--- A command's parser (lua-argparse) as plain tables, for the manual page and the completion.
local M = {}

---@class lest.manual.option
---@field names string[] "--trust", "--cacert"; of an argument its name
---@field value? string what follows it: "FILE"
---@field text string
---@field choices? string[] what a shell offers; the parser may take others too
---@field takes? "file"|"folder"
---@field repeats boolean
---@field count number the most words of the command line that are values of it

---@class lest.manual.command
---@field name string "lest cert revoke"
---@field word string "revoke"
---@field synopsis string "lest cert revoke [OPTION]... [SERIAL]"
---@field text string
---@field example string?
---@field arguments lest.manual.option[]
---@field options lest.manual.option[]
---@field commands lest.manual.command[]

-- What stands for a place in the file system, as an option's value or an argument.
local PLACES <const> = { FILE = "file", file = "file", files = "file", script = "file",
  args = "file", dir = "folder" }

local function option_of(element, names, value)
  return { names = names, value = value, text = element:_get_description(),
    choices = element._choices or element._offers, takes = PLACES[value or names[1]],
    count = element._maxargs, repeats = element._maxcount > 1 }
end

local function argument_of(element)
  return option_of(element, { element._name }, nil)
end

local function value_of(element)
  return element._maxargs > 0 and (element:_get_argname(1):gsub("^<(.*)>$", "%1")) or nil
end

local function synopsis_of(name, parser)
  local words = { name }
  if #parser._options > 0 then words[2] = "[OPTION]..." end
  for _, element in ipairs(parser._arguments) do
    words[#words + 1] = element:_get_usage():upper():gsub("[<>]", ""):gsub(" %.%.%.$", "...")
      :gsub("^(%S+) %[%1%]", "%1")
  end
  if #parser._commands > 0 then words = { name, "COMMAND", "[ARG]..." } end
  return table.concat(words, " ")
end

---@param parser table
---@return lest.manual.command
function M.describe(parser)
  local name = parser:_get_fullname()
  local described = { name = name, word = name:match "%S+$",
    synopsis = synopsis_of(name, parser), text = parser._description or "",
    example = parser._example, arguments = {}, options = {}, commands = {} }
  for i, element in ipairs(parser._arguments) do
    described.arguments[i] = argument_of(element)
  end
  for _, element in ipairs(parser._options) do
    local names = element._public_aliases
    if #names > 0 then
      table.insert(described.options, option_of(element, names, value_of(element)))
    end
  end
  for i, command in ipairs(parser._commands) do described.commands[i] = M.describe(command) end
  return described
end

--- Every command of the command line.
---@return lest.manual.command[]
function M.all()
  local all = {}
  for i, command in ipairs(require "lest.tool.command".commands) do
    local described = M.describe(require("lest.tool.command." .. command[1]).parser())
    described.summary = command[2]
    all[i] = described
  end
  return all
end

-- A command as a page of the manual: its name, and those of its subcommands.
local function page_of(command)
  local page = { word = command.word, text = command.summary or command.text, arguments = {},
    options = {}, commands = {} }
  for i, each in ipairs(command.commands or {}) do page.commands[i] = page_of(each) end
  return page
end

--- Every command as a shell completes it: behind `help` stand the pages, as if they were commands.
---@return lest.manual.command[]
function M.completed()
  local all, pages = M.all(), {}
  for _, topic in ipairs(require "lest.tool.command".topics) do
    if not require "lest.tool.command".is_offered(topic[1]) then
      pages[#pages + 1] = page_of { word = topic[1], summary = topic[2] }
    end
  end
  for _, command in ipairs(all) do pages[#pages + 1] = page_of(command) end
  for _, command in ipairs(all) do
    if command.word == "help" then command.commands, command.arguments = pages, {} end
  end
  return all
end

return M
