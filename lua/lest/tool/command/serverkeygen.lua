--- `lest serverkeygen`: a key that the server makes, and its certificate (RFC 7030 4.4).
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local fail = require "lest.base.fail"
local key_kinds = require "lest.base.key_kinds"
local support = require "lest.tool.command.support"
local terms = require "lest.server.ledger.terms"

local M = {}

local NAME <const> = "lest serverkeygen"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Have the server make a key, and get it with its certificate: for devices that "
      .. "cannot make good keys; all others better use 'lest enroll'. If the answer is lost, so is "
      .. "the key, and repeating the command gets another; a one-time secret is used up then.",
    example = "lest serverkeygen https://est.example.com --trust ca.pem \\\n"
      .. "  --username device001 --password-file secret --subject CN=device001 \\\n"
      .. "  --key-type ec:P-256 --key-out device.key --out device.pem",
  }
  est_options.add(parser, true)
  parser:option "--subject":argname "NAME":description "As in CN=device001,O=Example."
  parser:option "--san":argname "KIND:VALUE":count "*"
    :description "Alternative name, as in DNS:host or IP:192.0.2.1; may be repeated."
  parser:option "--key-type":argname "KIND":default "ec:P-256"
    :description("The kind of key that is wished for: ec:P-256, rsa:3072, ed25519 and so on; the "
      .. "server chooses.")
  parser:option "--key-out":argname "FILE"
    :description("Where the key goes, mode 0600, encrypted with the passphrase of "
      .. "--passphrase-file if there is one. Nothing may be there yet.")
  parser:option "--decrypt-key":argname "FILE"
    :description("Have the key encrypted for this one (RSA or EC), of which the server knows a "
      .. "certificate of yours that allows it; a file or a URI. A key that comes in the clear is "
      .. "refused then.")
  parser:option "--decrypt-cert":argname "FILE":description "That certificate."
  parser:option "--shared-key":argname "FILE"
    :description("Instead: have the key encrypted with one that the server knows, too (lest "
      .. "credential add --kind key-wrap): hex, the first line of a file (- is standard input).")
  parser:option "--shared-key-id":argname "ID"
    :description "How the server calls it: the credential's name or id."
  parser:option "--csr-key":argname "FILE"
    :description("What signs the request, a file or a URI. With the same one, a request that waits "
      .. "is found again when the command is repeated; by default it is a key for this run.")
  parser:option "--challenge-file":argname "FILE"
    :description("The secret of a label whose `auth` is \"challenge\": the first line of a file (- "
      .. "is standard input). It is the challengePassword of the request.")
  est_options.add_revocation_challenge(parser)
  parser:flag "--no-csrattrs":description "Do not ask what the server wants in a request."
  est_options.add_binding(parser)
  est_options.add_result(parser)
  return parser
end

local function check(options)
  if not options.subject and #options.san == 0 then
    support.usage "say for which name: --subject CN=..., or --san"
  elseif not options.key_out then
    support.usage "say where the key goes: --key-out FILE"
  elseif options.decrypt_cert and not options.decrypt_key then
    support.usage "--decrypt-cert needs --decrypt-key"
  elseif (options.shared_key ~= nil) ~= (options.shared_key_id ~= nil) then
    support.usage "--shared-key and --shared-key-id go together"
  elseif options.shared_key and options.decrypt_key then
    support.usage "--shared-key and --decrypt-key exclude each other"
  end
  local made, err = key_kinds.makeable(options.key_type)
  if not made then support.usage("--key-type: " .. tostring(err)) end
end

-- A key is never written over; what cannot be written is seen before anything is asked for.
local function check_place(path)
  local ok, err = core.file.check(path)
  if not ok then return nil, support.file_error(err) end
  if not core.system.exists(path) then return true end
  return fail("exists", ("%s is there already: name another file, or move it away"):format(path))
end

local function shared_key(path)
  local text, err = support.secret(path)
  if not text then return nil, err end
  local key = terms.wrap_key(text)
  if not key then support.usage "--shared-key: a shared key is 32 or 64 digits of hex" end
  return key
end

local function request_of(options)
  local subject, san = est_options.names(options)
  local key, err
  if options.csr_key then
    key, err = est_options.load_key(options.csr_key, options)
    if not key then return nil, err end
  end
  local decrypt, decrypt_cert
  if options.decrypt_key then
    decrypt, err = est_options.load_key(options.decrypt_key, options)
    if not decrypt then return nil, err end
  end
  if options.decrypt_cert then
    decrypt_cert, err = core.cert.load(options.decrypt_cert)
    if not decrypt_cert then return nil, support.file_error(err) end
  end
  local shared
  if options.shared_key then
    shared, err = shared_key(options.shared_key)
    if not shared then return nil, err end
  end
  return { key = options.key_type, csr_key = key, subject = subject, san = san,
    decrypt = decrypt, decrypt_cert = decrypt_cert,
    shared_key = shared, shared_key_id = options.shared_key_id,
    wait = options.wait, csrattrs = not options.no_csrattrs,
    revocation_challenge = est_options.revocation_challenge(options) }
end

-- The key first: a certificate without it is of no use.
local function keep(options, key)
  local ok, err = key:save(options.key_out, { new = true, passphrase = options.passphrase })
  if ok then return true end
  err.message = err.message
    .. "; the certificate was issued, and its key is lost: repeat the command"
  return nil, err
end

local function serverkeygen(options)
  check(options)
  est_options.names(options)
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  local ok, err = check_place(options.key_out)
  if not ok then return nil, err end
  local request
  request, err = request_of(options)
  if not request then return nil, err end
  local cert, key, changed = client:serverkeygen(request)
  progress:close()
  if not cert then return nil, key end
  ok, err = keep(options, key)
  key:close()
  if not ok then return nil, err end
  return est_options.deliver(NAME, cert, changed, options)
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, serverkeygen)
end

return M
