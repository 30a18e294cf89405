--- What the commands of the client share: the options that say whom to talk to and as whom, what is
--- told while they run, new keys, and results.
local core = require "lest.core"
local inspect = require "lest.inspect"
local json = require "lest.json"
local lest_client = require "lest.client"
local support = require "lest.command.support"

local M = {}

--- Add the options to a parser. identity: those for who the client is, too.
---@param parser table
---@param identity? boolean
function M.add(parser, identity)
  parser:argument "url"
    :description "The server: HOST[:PORT], https://HOST[:PORT], or with /.well-known/est[/LABEL]."
  parser:option "--trust --cacert":argname "FILE"
    :description "PEM file of the CA certificates to know the server by; 'system': the system's."
  parser:option "--fingerprint":argname "HEX"
    :description "Instead: SHA-256 of the CA's root certificate, which is fetched and compared."
  parser:option "--label":argname "LABEL":description "The label of the CA or profile."
  parser:option "--timeout":argname "TIME":convert(support.duration)
    :description "For each request; 60s by default."
  if not identity then return end
  parser:option "--username":argname "NAME":description "User name, should the server ask."
  parser:option "--password-file":argname "FILE"
    :description "Its password: the first line of a file (- is standard input)."
  parser:option "--cert":argname "FILE":description "Client certificate for TLS, with its chain."
  parser:option "--key":argname "FILE":description "Its key; a file, or a URI (pkcs11:...)."
  parser:option "--passphrase-file":argname "FILE":description "Passphrase of the key's file."
  parser:flag "--trust-cacerts"
    :description("Take the root in the server's /cacerts for issued certificates, though the "
      .. "anchors do not vouch for it.")
end

--- Add the options of what is waited for and written.
---@param parser table
function M.add_result(parser)
  parser:option "--wait":argname "TIME":convert(support.duration)
    :description "How long to wait for a pending request or a busy server, as in 10m."
  parser:option "--out":argname "FILE":default "-"
    :description "Where the certificate goes, then its intermediates; - is standard output."
  parser:flag "--json":description "Print what was issued as JSON."
end

local function notifier(name, progress)
  return function(kind, message, seconds)
    if kind == "warning" then
      support.complain(name, "warning: " .. message)
    else
      progress:update(message)
      if not core.system.is_terminal(2) then
        support.complain(name, ("%s; trying again in %d s"):format(message, seconds))
      end
    end
  end
end

local function secret(path)
  if not path then return nil end
  local text, err = support.secret(path)
  if not text then error(err, 0) end
  return text
end

--- The client for parsed options. A file that cannot be read is thrown as its error.
---@param name string of the command, "lest enroll"
---@param options table
---@param progress lest.progress
---@return lest.client
function M.client(name, options, progress)
  if not options.trust and not options.fingerprint then
    support.usage "say how to know the server: --trust FILE, or --fingerprint HEX"
  elseif options.trust and options.fingerprint then
    support.usage "--trust and --fingerprint exclude each other"
  elseif options.username and not options.password_file then
    support.usage "--username needs --password-file"
  elseif options.password_file and not options.username then
    support.usage "--password-file needs --username"
  elseif options.cert and not options.key then
    support.usage "--cert needs --key"
  end
  return lest_client {
    url = options.url, label = options.label, trust = options.trust,
    fingerprint = options.fingerprint, trust_cacerts = options.trust_cacerts,
    username = options.username, password = secret(options.password_file),
    cert = options.cert, key = options.key, passphrase = secret(options.passphrase_file),
    timeout = options.timeout, notify = notifier(name, progress),
  }
end

local function fits(key, spec)
  return key.type:lower() == spec:lower()
end

--- A new key in a file, saved before anybody hears of it; or what an earlier run has left there.
---@param spec string "ec:P-256"
---@param path string
---@return lest.key?
---@return lest.error? err
function M.new_key(spec, path)
  if core.system.exists(path) then
    local key, err = core.key.load(path)
    if not key then return nil, err end
    if fits(key, spec) then return key end
    local message = ("%s has a key of type %s already, not %s"):format(path, key.type, spec)
    return nil, core.error.new { code = "exists", message = message }
  end
  local key, err = core.key.generate(spec)
  if not key then support.usage("--new-key: " .. tostring(err)) end
  local ok
  ok, err = key:save(path, { new = true })
  if not ok then return nil, err end
  return key
end

--- Write an issued certificate and say what it is.
---@param name string of the command
---@param cert lest.cert
---@param changed string[]
---@param options table
---@return integer|nil exit_code
---@return lest.error? err
function M.deliver(name, cert, changed, options)
  local ok, err = cert:save(options.out)
  if not ok then return nil, err end
  if options.json then
    local described = inspect.table(cert)
    described.out = options.out ~= "-" and options.out or nil
    described.chain = #cert.chain
    described.changed = changed
    io.stdout:flush()
    support.print_json(json.object(described))
  else
    local subject = tostring(cert.subject)
    local line = ("%s: %s, serial %s, until %s"):format(
      options.out == "-" and "certificate" or options.out,
      subject ~= "" and subject or cert.san[1] or "no name", cert.serial,
      support.time(cert.not_after))
    support.complain(name, line)
  end
  return 0
end

return M
