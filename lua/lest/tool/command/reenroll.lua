--- `lest reenroll`: renew a certificate (RFC 7030 4.2.2).
---
--- With a new key the old pair stays usable until the new one is complete: a new key for the file
--- of the key in use waits beside it (".new") until its certificate is written.
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local fail = require "lest.base.fail"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest reenroll"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Renew a certificate: its names stay, its key stays or is a new one.",
    example = "lest reenroll https://est.example.com --trust ca.pem --cert device.pem \\\n"
      .. "  --key device.key --new-key ec:P-256 --key-out device.key \\\n  --out device.pem",
  }
  est_options.add(parser, true)
  parser:mutex(
    parser:option "--csr-key":argname "FILE"
      :description "The next key, which is there already; a file or a URI.",
    support.new_key(parser, "Make a key, in place of keeping the old one"))
  parser:option "--key-out":argname "FILE"
    :description "Where the new key goes, mode 0600; may be the file of --key."
  est_options.add_revocation_challenge(parser)
  parser:flag "--no-csrattrs":description "Do not ask what the server wants in a request."
  est_options.add_binding(parser)
  est_options.add_result(parser)
  return parser
end

local function pending_path(options)
  return options.key_out .. ".new"
end

local function move(from, to)
  local ok, problem = os.rename(from, to)
  if ok then return true end
  return fail("io", "the new key cannot be put in its place", { detail = problem })
end

-- A run that was stopped between the certificate and its key has left the key beside its place.
local function recover(options)
  if not options.key_out then return true end
  -- The new key waits beside the file, not beside a link to it.
  options.key_out = core.file.resolve(options.key_out) or options.key_out
  local path = pending_path(options)
  if not core.system.exists(path) then return true end
  local key, err = est_options.load_key(path, options, true)
  if not key then return nil, err end
  local cert
  cert, err = core.cert.load(options.cert)
  if not cert then return nil, err end
  if cert.public_key.der == key:public_der() then return move(path, options.key_out) end
  return true
end

-- The key for the request, and where it waits if the key in use has its place.
local function key_for(options)
  local path = options.key_out
  local key, err
  if core.system.exists(path) then
    local cert, there
    cert, err = core.cert.load(options.cert)
    if not cert then return nil, err end
    there, err = est_options.load_key(path, options, true)
    if not there then return nil, err end
    if there:public_der() == cert.public_key.der then path = pending_path(options) end
  end
  key, err = est_options.new_key(NAME, options, path)
  if not key then return nil, err end
  return key, path
end

local function reenroll(options)
  if not options.cert or not options.key then
    support.usage "say what to renew: --cert FILE --key FILE"
  elseif (options.new_key ~= nil) ~= (options.key_out ~= nil) then
    support.usage "--new-key and --key-out go together"
  end
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress, recover)
  local key, path
  if options.new_key then
    key, path = key_for(options)
    if not key then return nil, path end
  elseif options.csr_key then
    local err
    key, err = est_options.load_key(options.csr_key, options)
    if not key then return nil, err end
  end
  local cert, changed = client:reenroll { key = key, wait = options.wait,
    csrattrs = not options.no_csrattrs,
    revocation_challenge = est_options.revocation_challenge(options) }
  progress:close()
  if not cert then return nil, changed end
  local code, err = est_options.deliver(NAME, cert, changed, options)
  if code and path and path ~= options.key_out then
    local ok
    ok, err = move(path, options.key_out)
    if not ok then return nil, err end
  end
  return code, err
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, reenroll)
end

return M
