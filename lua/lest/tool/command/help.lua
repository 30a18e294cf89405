--- `lest help [PAGE]`: a page of the manual, or a command's --help.
local command = require "lest.tool.command"
local support = require "lest.tool.command.support"

local M = {}

local function names_of(rows)
  local names = {}
  for i, row in ipairs(rows) do names[i] = row[1] end
  return names
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest help", example = "lest help policy",
    summary = "Show a page of the manual, through a pager on a terminal, or the help of a command.",
  }
  local pages = names_of(command.topics)
  parser:argument "page":args "*"
    :description("One of " .. table.concat(pages, ", ") .. ", or a command and its subcommand.")
  return parser
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  for _, topic in ipairs(command.topics) do
    if topic[1] == args[1] and not args[2] then
      return require "lest.tool.manual".show(topic[1])
    end
  end
  if args[1] and not args[1]:find "^%-" and not command.is_offered(args[1]) then
    return command.unknown(args[1])
  end
  return support.run(M.parser(), args, function(options)
    table.insert(options.page, "--help")
    return command.main(options.page)
  end)
end

return M
