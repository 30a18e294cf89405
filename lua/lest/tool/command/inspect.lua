--- `lest inspect FILE|-`: show what a file of the field contains.
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest inspect"
local MAX <const> = 24 * 1024 * 1024

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = NAME,
    summary = "Show a key, CSR, certificate, CRL, PKCS#7 or CMS message, or CSR attributes; DER, "
      .. "PEM (several blocks; one that cannot be read hides no other) or base64. Nothing secret "
      .. "of a private key is shown.",
    example = "lest inspect device.pem\n"
      .. "curl https://est.example.com/.well-known/est/csrattrs | lest inspect -",
  }
  p:argument "file" :description "The file; - is standard input."
  p:flag "--json" :description "Print a JSON list, one object for each thing in the file."
  return p
end

--- The error of the first block that cannot be read, once all others were shown.
local function first_problem(items)
  for _, item in ipairs(items) do
    if item.problem then return item.problem end
  end
end

local function print_all(items, as_json)
  if as_json then
    return require "lest.tool.inspect.stream".write(items, function(text) io.write(text) end)
  end
  for i, item in ipairs(items) do
    io.write(i > 1 and "\n" or "", inspect.text(item), "\n")
  end
end

local function show(options)
  local bytes, err = core.file.read(options.file, MAX)
  if not bytes then return nil, support.file_error(err) end
  local items, problem
  items, problem = inspect.recognize(bytes)
  if items then
    print_all(items, options.json)
    problem = first_problem(items)
  end
  if not problem then return 0 end
  problem.operation = options.file == "-" and "standard input" or options.file
  return nil, problem
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, show)
end

return M
