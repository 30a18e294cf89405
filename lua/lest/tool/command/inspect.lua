--- `lest inspect FILE|-`: show what a file of the field contains, and whether it is trusted.
local core = require "lest.core"
local fail = require "lest.base.fail"
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
    summary = "Show a key, CSR, certificate, CRL, OCSP request or response, PKCS#7 or CMS "
      .. "message, or CSR attributes; DER, PEM (several blocks; one that cannot be read hides no "
      .. "other) or base64. Nothing secret of a private key is shown.",
    example = "lest inspect device.pem --trust ca.pem\n"
      .. "curl https://est.example.com/.well-known/est/csrattrs | lest inspect -",
  }
  p:argument "file" :description "The file; - is standard input."
  p:flag "--json" :description "Print a JSON list, one object for each thing in the file."
  p:option "--trust":argname "FILE"
    :description("Say whether the file's first certificate chains to one of the certificates in "
      .. "this file, through the others of its own, and if not, what is wrong with each path "
      .. "(exit code 3). CRLs in the file count.")
  local purpose = p:option "--purpose":argname "PURPOSE":choices { "client", "server" }
    :description "With --trust, what it is to be good for."
  purpose._offers = { "client", "server" }
  p:option "--name":argname "HOST"
    :description "With --trust, the host name or address that it is to be for."
  return p
end

--- The error of the first block that cannot be read, once all others were shown.
local function first_problem(items)
  for _, item in ipairs(items) do
    if item.problem then return item.problem end
  end
end

local function place(path)
  return path == "-" and "standard input" or path
end

--- What a file has, with the words of an error that name it.
local function read(path)
  local bytes, err = core.file.read(path, MAX)
  if not bytes then return nil, support.file_error(err) end
  local items, problem = inspect.recognize(bytes)
  problem = problem or first_problem(items)
  if problem then problem.operation = place(path) end
  return items, problem
end

local function print_all(items, as_json)
  if as_json then
    return require "lest.tool.inspect.stream".write(items, function(text) io.write(text) end)
  end
  for i, item in ipairs(items) do
    io.write(i > 1 and "\n" or "", inspect.text(item), "\n")
  end
end

--- The certificates and CRLs of items, those in bags too.
local function material(items)
  local certs, crls = {}, {}
  for _, item in ipairs(items) do
    local object = item.object
    if item.kind == "certificate" then
      certs[#certs + 1] = object
    elseif item.kind == "crl" then
      crls[#crls + 1] = object
    elseif item.kind == "pkcs7" then
      table.move(object.certificates or {}, 1, #(object.certificates or {}), #certs + 1, certs)
      table.move(object.crls or {}, 1, #(object.crls or {}), #crls + 1, crls)
    end
  end
  return certs, crls
end

--- Whether the first certificate of items is trusted, as an item; and the error where it is not.
local function judge(items, options)
  local certs = material(items)
  if #certs == 0 then return fail("usage", "there is no certificate to be verified") end
  local trusted, problem = read(options.trust)
  if problem then return nil, support.file_error(problem) end
  local anchors, crls = material(trusted)
  if #anchors == 0 then
    return fail("usage", "there is no certificate to be trusted", { operation = options.trust })
  end
  local store, report, err
  store, err = core.store.new { anchors = anchors, crls = crls }
  if not store then return nil, err end
  report, err = certs[1]:explain(store, { chain = table.move(certs, 2, #certs, 1, {}),
    purpose = options.purpose, name = options.name })
  if not report then return nil, err end
  return { kind = "explanation", object = report }, report.error
end

local function show(options)
  if not options.trust and (options.purpose or options.name) then
    support.usage "--purpose and --name are of use with --trust alone"
  end
  local items, problem = read(options.file)
  if not items then return nil, problem end
  if options.trust then
    local report, err = judge(items, options)
    items[#items + 1] = report
    if err then err.operation = err.operation or place(options.file) end
    problem = problem or err
  end
  print_all(items, options.json)
  if not problem then return 0 end
  return nil, problem
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, show)
end

return M
