--- `lest csrattrs`: what a server wants in a request (RFC 7030 4.5).
local est_options = require "lest.tool.command.est_options"
local inspect = require "lest.tool.inspect"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest csrattrs"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME, summary = "Fetch what a server wants in a request, and show it.",
    example = "lest csrattrs https://est.example.com --trust ca.pem --label factory",
  }
  est_options.add(parser, true)
  parser:flag "--json"
    :description "Print it as JSON, or an error with its status and the request's id."
  return parser
end

local function fetch(options)
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  local list, err = client:csrattrs()
  progress:close()
  if not list then return nil, err end
  local item = { kind = "csrattrs", object = list }
  if options.json then
    support.print_json(inspect.table(item))
  elseif #list == 0 then
    print "The server has no wishes."
  else
    print(inspect.text(item))
  end
  return 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, fetch)
end

return M
