--- `lest enroll`: get a certificate (RFC 7030 4.2.1).
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest enroll"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Get a certificate. The request's key is that of --csr-key, or a new one (--new-key, "
      .. "saved before it is used, and used again when the command is repeated), or --key; or "
      .. "--csr is a finished request.",
    example = "lest enroll https://est.example.com --trust ca.pem --username device001 \\\n"
      .. "  --password-file secret --subject CN=device001 --new-key ec:P-256 \\\n"
      .. "  --key-out device.key --wait 10m --out device.pem",
  }
  est_options.add(parser, true)
  parser:option "--subject":argname "NAME":description "As in CN=device001,O=Example."
  parser:option "--san":argname "KIND:VALUE":count "*"
    :description "Alternative name, as in DNS:host or IP:192.0.2.1; may be repeated."
  parser:mutex(
    parser:option "--csr-key":argname "FILE":description "The request's key; a file or a URI.",
    support.new_key(parser, "Make a key, auto for the kind that the server asks for"),
    parser:option "--csr":argname "FILE":description "A finished request, PEM or DER; - is stdin.")
  parser:option "--challenge-file":argname "FILE"
    :description("The secret of a label whose `auth` is \"challenge\": the first line of a file (- "
      .. "is standard input). It is the challengePassword of the request, or its "
      .. "otpChallenge where the server names that.")
  parser:option "--key-out":argname "FILE":description "Where the new key goes, mode 0600."
  est_options.add_revocation_challenge(parser)
  parser:flag "--no-csrattrs":description "Do not ask what the server wants in a request."
  est_options.add_binding(parser)
  est_options.add_result(parser)
  return parser
end

local function check(options)
  if options.csr and (options.subject or #options.san > 0) then
    support.usage "a finished request (--csr) has its own names"
  elseif options.csr and options.challenge_file then
    support.usage "a finished request (--csr) has its own challengePassword, or none"
  elseif options.csr and options.revocation_challenge_file then
    support.usage "a finished request (--csr) has its own revocationChallenge, or none"
  elseif not options.csr and not options.subject and #options.san == 0 then
    support.usage "say for which name: --subject CN=..., or --san"
  elseif (options.new_key ~= nil) ~= (options.key_out ~= nil) then
    support.usage "--new-key and --key-out go together"
  elseif not options.csr and not options.csr_key and not options.new_key and not options.key then
    support.usage "say for which key: --new-key KIND --key-out FILE, --csr-key FILE, or --key FILE"
  end
end

-- What stands for "any curve" and "any size" (RFC 9908 3.2), and for nothing that is asked for.
local USUAL <const> = { ec = "ec:P-256", rsa = "rsa:3072" }

--- The kind of key that a server asks for.
local function wanted_key(client, options)
  if options.no_csrattrs then return USUAL.ec end
  local list, err = client:csrattrs { wait = options.wait }
  if not list then return nil, err end
  local wishes
  wishes, err = core.csrattrs.wishes(list)
  if not wishes then return nil, err end
  return USUAL[wishes.key] or wishes.key or USUAL.ec
end

local function request_of(client, options, subject, san)
  local key, err
  if options.new_key == "auto" then
    options.new_key, err = wanted_key(client, options)
    if err then return nil, err end
  end
  if options.csr_key then
    key, err = est_options.load_key(options.csr_key, options)
  elseif options.new_key then
    key, err = est_options.new_key(NAME, options, options.key_out)
  end
  if err then return nil, err end
  return { key = key, subject = subject, san = san,
    wait = options.wait, csrattrs = not options.no_csrattrs,
    revocation_challenge = est_options.revocation_challenge(options) }
end

local function finished(path)
  local bytes, err = core.file.read(path)
  if not bytes then return nil, support.file_error(err) end
  local csr
  csr, err = core.csr.parse(bytes)
  if not csr then
    err.message = ("%s: %s"):format(path == "-" and "standard input" or path, err.message)
    return nil, support.file_error(err)
  end
  return csr
end

local function enroll(options)
  check(options)
  local subject, san = est_options.names(options)
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  local cert, changed
  if options.csr then
    local csr, err = finished(options.csr)
    if not csr then return nil, err end
    cert, changed = client:enroll(csr, { wait = options.wait })
  else
    local request, err = request_of(client, options, subject, san)
    if not request then return nil, err end
    cert, changed = client:enroll(request)
  end
  progress:close()
  if not cert then return nil, changed end
  return est_options.deliver(NAME, cert, changed, options)
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, enroll)
end

return M
