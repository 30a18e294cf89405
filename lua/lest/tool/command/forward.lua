--- `lest forward FILE`: send on the requests that a device has signed (lest agent export).
--- `lest forward --listen ADDRESS`: those of devices that reach this machine alone, as they come.
local carried_text = require "lest.client.carried_text"
local est_options = require "lest.tool.command.est_options"
local forwarding = require "lest.client.forwarding"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest forward"
local TIMEOUT_S <const> = 60

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Send on requests of devices that have no network: what lest agent export has "
      .. "written goes to the server that it names, and the answers, with the server's CA "
      .. "certificates, to FILE.answer, for lest agent import. It needs no certificate and no "
      .. "password: the devices have signed, and verify the answers themselves. Exit code: 0 each "
      .. "request has its answer, whatever that says; else that of the first error. With --listen "
      .. "it is a gateway for devices that reach it alone ('gateway' of their AGENT.lua): over "
      .. "plain HTTP it sends on messages of CMC, and fetches CA certificates and CRLs, until "
      .. "SIGTERM.",
    example = "lest forward /media/stick/requests.pem --trust ca.pem\n"
      .. "lest forward --listen [::]:8080 --to https://est.example --trust ca.pem",
  }
  parser:argument "file":args "?"
    :description "What lest agent export has written; - is standard input."
  parser:option "--listen":argname "ADDRESS"
    :description "Be a gateway at this address and port: 192.0.2.1:8080, [2001:db8::1]:8080."
  parser:option "--to":argname "ORIGIN"
    :description "The server, https://HOST[:PORT]: with FILE, in place of the one it names."
  est_options.add_server(parser)
  parser:option "--out":argname "FILE"
    :description "Where the answers go, in place of FILE.answer; - is standard output."
  return parser
end

local function read(file)
  local bytes, requests, err
  bytes, err = support.read(file, carried_text.BYTES_MAX)
  if not bytes then return nil, support.file_error(err) end
  requests, err = carried_text.requests(bytes)
  if requests then return requests end
  err.operation = file == "-" and "standard input" or file
  return nil, err
end

-- Those of one address, by one client.
local function send_all(options, base, requests, parts)
  local progress <close> = support.progress("asking " .. base)
  local all = { redirect = {} }
  for name, value in pairs(options) do all[name] = value end
  all.url = base
  local client <close> = est_options.client(NAME, all, progress)
  local code = 0
  local certificates, err = forwarding.certificates(client, base)
  if certificates then
    parts[#parts + 1] = certificates
  else
    support.complain(NAME, err)
    code = support.exit_code(err)
  end
  for _, request in ipairs(requests) do
    local text, said = forwarding.send(client, request)
    local line = ("%s: %s"):format(request.identity, tostring(said))
    support.complain(NAME, line)
    parts[#parts + 1] = text
    if not text and code == 0 then code = support.exit_code(said) end
  end
  return code
end

-- Requests by the address that they are for, in the order of the file.
local function by_base(requests, origin)
  local found, order = {}, {}
  for _, request in ipairs(requests) do
    local base, err = forwarding.base_of(request.url, origin)
    if not base then return nil, err end
    if not found[base] then
      found[base] = {}
      order[#order + 1] = base
    end
    table.insert(found[base], request)
  end
  return order, found
end

local function relay(options)
  if options.file or options.out then
    support.usage "--listen stands in place of FILE and --out"
  elseif not options.to then
    support.usage "--listen needs --to: which server?"
  end
  local origin, err = forwarding.origin(options.to)
  if not origin then return nil, err end
  options.url, options.redirect = origin, {}
  local progress <close> = support.progress "starting"
  local client <close> = est_options.client(NAME, options, progress)
  progress:close()
  local gateway
  gateway, err = require "lest.tool.relay".new { listen = options.listen, origin = origin,
    client = client, timeout_ms = (options.timeout or TIMEOUT_S) * 1000 }
  if not gateway then return nil, err end
  gateway:run()
  return 0
end

local function forward(options)
  if options.listen then return relay(options) end
  if not options.file then support.usage "say what is sent on: a file, or --listen ADDRESS" end
  local requests, order, found, ok, err
  local out = options.out or options.file == "-" and "-" or options.file .. ".answer"
  requests, err = read(options.file)
  if not requests then return nil, err end
  order, found = by_base(requests, options.to)
  if not order then return nil, found end
  options.out = out
  local parts, code = {}, 0
  for _, base in ipairs(order) do
    local own = send_all(options, base, found[base], parts)
    if code == 0 then code = own end
  end
  if #parts == 0 then return code end
  local text = table.concat(parts, "\n")
  if out == "-" then
    io.write(text)
    return code
  end
  ok, err = carried_text.write(out, text)
  if not ok then return nil, support.file_error(err) end
  support.complain(NAME, out .. ": bring it back to the device (lest agent import)")
  return code
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, forward)
end

return M
