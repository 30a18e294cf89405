--- `lest cacerts`: fetch a server's CA certificates (RFC 7030 4.1).
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local inspect = require "lest.tool.inspect"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest cacerts"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Fetch a server's CA certificates and verify them: with anchors that are known, or "
      .. "by the fingerprint of the root, as a person has read it to you.",
    example = "lest cacerts https://est.example.com --fingerprint 5f3c...9a \\\n  --out cas.pem",
  }
  est_options.add(parser)
  parser:option "--out":argname "FILE":default "-"
    :description "Where they go as PEM, roots first; - is standard output."
  parser:flag "--json"
    :description("Print what they are as JSON, instead of PEM where --out is -; or an "
      .. "error, with its status and the request's id.")
  return parser
end

local function print_json(found)
  local list = {}
  for i, cert in ipairs(found) do list[i] = inspect.table(cert) end
  support.print_json(list)
end

local function say(found)
  for _, cert in ipairs(found) do
    support.complain(NAME, ("%s %s, until %s, SHA-256 %s"):format(
      cert.self_signed and "root" or "certificate", tostring(cert.subject),
      support.time(cert.not_after), cert.fingerprint))
  end
  for _, dropped in ipairs(found.untrusted) do
    support.complain(NAME, ("warning: left out: %s: %s"):format(tostring(dropped.cert.subject),
      tostring(dropped.err)))
  end
end

local function fetch(options)
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  local found, err = client:cacerts()
  progress:close()
  if not found then return nil, err end
  if options.out ~= "-" or not options.json then
    local pem = {}
    for i, cert in ipairs(found) do pem[i] = cert:pem() end
    local ok
    ok, err = core.file.write(options.out, table.concat(pem))
    if not ok then return nil, err end
  end
  say(found)
  if options.json then print_json(found) end
  return 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, fetch)
end

return M
