--- `lest inspect FILE|-`: show what a file of the field contains.
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest inspect"
local MAX <const> = 24 * 1024 * 1024

local function parser()
  local p = support.parser {
    name = NAME,
    summary = "Show a key, CSR, certificate, CRL, PKCS#7 or CMS message, or CSR attributes; DER, "
      .. "PEM (several blocks) or base64. Nothing secret of a private key is shown.",
    example = "lest inspect device.pem\n"
      .. "curl https://est.example.com/.well-known/est/csrattrs | lest inspect -",
  }
  p:argument "file" :description "The file; - is standard input."
  p:flag "--json" :description "Print a JSON list, one object for each thing in the file."
  return p
end

local function show(options)
  local bytes, err = core.file.read(options.file, MAX)
  if not bytes then return nil, support.file_error(err) end
  local items
  items, err = inspect.recognize(bytes)
  if not items then
    err.operation = options.file == "-" and "standard input" or options.file
    return nil, err
  end
  if options.json then
    local list = {}
    for i, item in ipairs(items) do list[i] = inspect.table(item) end
    support.print_json(list)
    return 0
  end
  for i, item in ipairs(items) do
    io.write(i > 1 and "\n" or "", inspect.text(item), "\n")
  end
  return 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(parser(), args, show)
end

return M
