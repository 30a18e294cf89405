--- What the commands of the client share: the options that say whom to talk to and as whom, what is
--- told while they run, new keys, and results.
local core = require "lest.core"
local doubts = require "lest.tool.command.client_doubts"
local fail = require "lest.base.fail"
local key_kinds = require "lest.base.key_kinds"
local lest_client = require "lest.client"
local support = require "lest.tool.command.support"

local M = {}

--- Add the options that say how a server is known and reached.
---@param parser table
function M.add_server(parser)
  parser:option "--trust --cacert":argname "FILE"
    :description "PEM file of the CA certificates to know the server by; 'system': the system's."
  parser:option "--fingerprint":argname "HEX"
    :description "Instead: SHA-256 of the CA's root certificate, which is fetched and compared."
  parser:option "--timeout":argname "TIME":convert(support.duration)
    :description "For each request; 60s by default."
  parser:option "--proxy":argname "URL"
    :description("By way of a proxy, http://HOST:PORT or socks5h://HOST:PORT; '' for none. "
      .. "Without this, the environment's https_proxy, all_proxy and no_proxy.")
  parser:option "--proxy-username":argname "NAME":description "The user name for it."
  parser:option "--proxy-password-file":argname "FILE"
    :description "Its password: the first line of a file (- is standard input)."
end

--- Add the options to a parser. identity: those for who the client is, too.
---@param parser table
---@param identity? boolean
function M.add(parser, identity)
  parser:argument "url"
    :description "The server: HOST[:PORT], https://HOST[:PORT], or with /.well-known/est[/LABEL]."
  M.add_server(parser)
  parser:option "--label":argname "LABEL":description "The label of the CA or profile."
  parser:option "--redirect":argname "ORIGIN":count "*"
    :description("Another server that this one may redirect to, https://HOST[:PORT]; may be "
      .. "repeated.")
  parser:option "--psk-identity":argname "NAME"
    :description("Instead of certificates, at an address of the server that takes it: the name "
      .. "under which both have a pre-shared key. No --trust is needed then.")
  parser:option "--psk-file":argname "FILE"
    :description "That key, in hex: the first line of a file (- is standard input)."
  parser:option "--srp-user":argname "NAME"
    :description("Likewise: the name under which the server knows a password (SRP, TLS 1.2), which "
      .. "proves both sides and is not sent.")
  parser:option "--srp-password-file":argname "FILE"
    :description "That password: the first line of a file (- is standard input)."
  parser:flag "--trace"
    :description("Show each exchange on standard error when it has ended: TLS, whom the server was "
      .. "trusted by, request and answer with their bodies taken apart. Secrets are masked.")
  if not identity then return end
  parser:option "--username":argname "NAME":description "User name, should the server ask."
  parser:option "--password-file":argname "FILE"
    :description "Its password: the first line of a file (- is standard input)."
  parser:option "--bearer-file":argname "FILE"
    :description("Instead: a token for a server that asks for Bearer; the first line of a file, "
      .. "which is read for each request (- is standard input).")
  parser:flag "--preemptive"
    :description "Send them with the first request, to a server that does not ask."
  parser:flag "--digest"
    :description "Prove the password by Digest alone; it is never sent itself, as Basic would."
  parser:option "--cert":argname "FILE":description "Client certificate for TLS, with its chain."
  parser:option "--key":argname "FILE"
    :description "Its key; a file, or a URI (pkcs11:..., tpm2:FILE)."
  parser:option "--passphrase-file":argname "FILE"
    :description "Passphrase of private keys in files, which a new one is encrypted with too."
  parser:flag "--trust-cacerts"
    :description("Take the root in the server's /cacerts for issued certificates, though the "
      .. "anchors do not vouch for it.")
end

--- Add the options of what is waited for and written.
---@param parser table
function M.add_result(parser)
  parser:option "--wait":argname "TIME":convert(support.duration)
    :description "How long to wait for a pending request, or a server that is busy or away: 10m."
  parser:flag "-v --verbose"
    :description "Say what of the request is due to which CSR attribute of the server."
  parser:option "--out":argname "FILE":default "-"
    :description("Where the certificate goes, then its intermediates, in place of what is there "
      .. "(but not of a key); - is standard output.")
  parser:flag "--json"
    :description("Print what was issued as JSON, with its PEM where --out is -; or why not, with "
      .. "the status and the request's id.")
end

-- An error that is none of a server has no status and no request.
local function tell(err, options)
  if not options.json then return end
  support.print_json { error = tostring(err), code = err.code, operation = err.operation,
    status = err.status, reason = err.reason, request_id = err.request_id,
    retry_after = err.retry_after }
end

--- Parse the words of a command and run it; with --json, an error is an object on standard output.
---@param parser table
---@param args string[]
---@param fn fun(options: table): integer|nil, lest.error|nil
---@return integer exit_code
function M.run(parser, args, fn)
  return support.run(parser, args, fn, tell)
end

local function notifier(name, progress, verbose)
  return function(kind, message, seconds)
    if kind == "warning" then
      support.complain(name, "warning: " .. message)
    elseif kind == "attribute" then
      if verbose then support.complain(name, message) end
    else
      progress:update(message)
      if not core.system.is_terminal(2) then
        support.complain(name, ("%s; trying again in %d s"):format(message, seconds))
      end
    end
  end
end

local INPUTS <const> = { "trust", "cert", "key", "csr_key", "decrypt_key", "decrypt_cert",
  "shared_key", "csr", "password_file", "passphrase_file", "challenge_file",
  "revocation_challenge_file", "bearer_file", "proxy_password_file", "psk_file",
  "srp_password_file" }

local function word(option)
  return "--" .. option:gsub("_", "-")
end

local function check_standard_input(options)
  local taken
  for _, name in ipairs(INPUTS) do
    if options[name] == "-" then
      if taken then
        support.usage(("%s and %s cannot both be standard input"):format(word(taken), word(name)))
      end
      taken = name
    end
  end
end

-- Of a key, "file:" may stand before its path.
local function place(path)
  if not path or path == "-" then return nil end
  path = path:gsub("^[fF][iI][lL][eE]:", "")
  return core.file.resolve(path) or path
end

-- What is written over is lost: with a private key, the certificate that was just issued for it.
local function keep_apart(options, output, others)
  local path = place(options[output])
  for _, name in ipairs(others) do
    if path and path == place(options[name]) then
      support.usage(("%s and %s are the same file"):format(word(output), word(name)))
    end
  end
end

local function check_files(options)
  check_standard_input(options)
  keep_apart(options, "key_out", { "trust", "cert", "csr", "decrypt_cert", "shared_key",
    "password_file", "passphrase_file", "challenge_file", "revocation_challenge_file",
    "bearer_file", "proxy_password_file", "psk_file", "srp_password_file" })
  -- A renewed certificate may take the place of the old one, and anchors that of older ones.
  keep_apart(options, "out", { "key", "csr_key", "decrypt_key", "shared_key", "key_out", "csr",
    "password_file", "passphrase_file", "challenge_file", "revocation_challenge_file",
    "bearer_file", "proxy_password_file", "psk_file", "srp_password_file" })
  local new_key = place(options.key_out)
  if new_key and place(options.out) == new_key .. ".new" then
    support.usage "--out is the file where a new key waits beside --key-out"
  end
end

local function secret(path)
  if not path then return nil end
  local text, err = support.secret(path)
  if not text then error(err, 0) end
  return text
end

--- Add what a command has that sends a request.
---@param parser table
function M.add_binding(parser)
  parser:flag "--no-channel-binding"
    :description("Do not link the request to the connection that carries it (RFC 7030 3.5), as "
      .. "for a server that takes challengePassword for something else.")
end

--- Add what a command has whose certificate may be revoked by a secret later.
---@param parser table
function M.add_revocation_challenge(parser)
  parser:option "--revocation-challenge-file":argname "FILE"
    :description("A secret that the server keeps, hashed, and by which the certificate can be "
      .. "revoked later (revocationChallenge, RFC 7894): the first line of a file (- is standard "
      .. "input).")
end

local function check_identity(options)
  if (options.psk_identity ~= nil) ~= (options.psk_file ~= nil) then
    support.usage "--psk-identity and --psk-file go together"
  elseif (options.srp_user ~= nil) ~= (options.srp_password_file ~= nil) then
    support.usage "--srp-user and --srp-password-file go together"
  elseif options.psk_file and options.srp_user then
    support.usage "--psk-identity and --srp-user exclude each other"
  elseif (options.psk_file or options.srp_user) and (options.cert or options.fingerprint) then
    support.usage(("%s stands in place of --cert and --fingerprint"):format(
      options.psk_file and "--psk-identity" or "--srp-user"))
  elseif not options.trust and not options.fingerprint and not options.psk_file
    and not options.srp_user then
    support.usage "say how to know the server: --trust FILE, or --fingerprint HEX"
  elseif options.trust and options.fingerprint then
    support.usage "--trust and --fingerprint exclude each other"
  elseif options.username and not options.password_file then
    support.usage "--username needs --password-file"
  elseif options.password_file and not options.username then
    support.usage "--password-file needs --username"
  elseif options.bearer_file and options.username then
    support.usage "--bearer-file and --username exclude each other"
  elseif options.preemptive and not options.username and not options.bearer_file then
    support.usage "--preemptive needs --username or --bearer-file"
  elseif options.digest and not options.username then
    support.usage "--digest needs --username"
  elseif options.digest and options.preemptive then
    support.usage "--digest and --preemptive exclude each other"
  elseif options.cert and not options.key then
    support.usage "--cert needs --key"
  end
end

local function file_error(options, err)
  if err.code == "key_passphrase" and not options.passphrase then
    err.message = err.message .. ": --passphrase-file FILE"
  end
  return support.file_error(err)
end

--- The client for parsed options, ready for its first request: whatever is wrong with them, or with
--- a file they name, is thrown as an error before anything is asked for or written. The passphrase
--- is in options.passphrase then.
---@param name string of the command, "lest enroll"
---@param options table
---@param progress lest.progress
---@param repair? fun(options: table): true?, lest.error? is called before the files are loaded
---@return lest.client
function M.client(name, options, progress, repair)
  check_identity(options)
  check_files(options)
  options.passphrase = secret(options.passphrase_file)
  if options.trace then support.show_traces() end
  local client = lest_client {
    url = options.url, label = options.label, redirects = options.redirect,
    proxy = options.proxy, proxy_username = options.proxy_username,
    proxy_password = secret(options.proxy_password_file), trust = options.trust,
    fingerprint = options.fingerprint, trust_cacerts = options.trust_cacerts,
    username = options.username, password = secret(options.password_file),
    preemptive = options.preemptive, digest = options.digest,
    channel_binding = not options.no_channel_binding,
    challenge = secret(options.challenge_file),
    bearer = options.bearer_file == "-" and secret "-" or nil,
    bearer_file = options.bearer_file ~= "-" and options.bearer_file or nil,
    psk_identity = options.psk_identity, psk = secret(options.psk_file),
    srp_user = options.srp_user, srp_password = secret(options.srp_password_file),
    cert = options.cert, key = options.key, passphrase = options.passphrase,
    timeout = options.timeout, notify = notifier(name, progress, options.verbose),
    trace = options.trace,
  }
  local ok, err = true, nil
  if options.out then ok, err = core.file.check(options.out) end
  if ok and repair then ok, err = repair(options) end
  if ok then ok, err = client:open { wait = options.wait } end
  if not ok then error(err.operation and err or file_error(options, err), 0) end
  doubts.tell(name, options, client.cert)
  return client
end

--- The secret of --revocation-challenge-file.
---@param options table
---@return string?
function M.revocation_challenge(options)
  return secret(options.revocation_challenge_file)
end

--- The names of --subject and --san; a mistake in them ends the command.
---@param options table
---@return lest.name? subject
---@return string[]? san
function M.names(options)
  local subject, err, der
  if options.subject then
    subject, err = core.name.parse(options.subject)
    if not subject then support.usage("--subject: " .. err.message .. ", as in CN=device001") end
  end
  if #options.san == 0 then return subject end
  der, err = core.san.encode(options.san)
  if not der then support.usage("--san: " .. err.message) end
  return subject, options.san
end

--- A private key in a file that the command line names.
---@param path string
---@param options table
---@param own? boolean it is taken for what an earlier run has made: nobody else's file
---@return lest.key?
---@return lest.error? err
function M.load_key(path, options, own)
  local key, err = core.key.load(path, { passphrase = options.passphrase, own = own })
  if not key then return nil, file_error(options, err) end
  return key
end

-- OpenSSL knows one kind by several names: ec:prime256v1.
local function fits(key, spec)
  if key.type:lower() == spec:lower() then return true end
  local other = core.key.generate(spec)
  return other ~= nil and other.type == key.type
end

--- A new key in a file, saved before anybody hears of it; or what an earlier run has left there.
---@param name string of the command
---@param options table new_key: "ec:P-256"
---@param path string
---@return lest.key?
---@return lest.error? err
function M.new_key(name, options, path)
  local spec = options.new_key
  path = core.file.resolve(path) or path
  local ok, problem = core.file.check(path)
  if not ok then return nil, support.file_error(problem) end
  if core.system.exists(path) then
    local key, err = M.load_key(path, options, true)
    if not key then return nil, err end
    doubts.tell_readers(name, path)
    if fits(key, spec) then return key end
    local message = ("%s has a key of type %s already, not %s"):format(path, key.type, spec)
    return fail("exists", message)
  end
  local key, err = core.key.generate(spec)
  if not key then support.usage("--new-key: " .. tostring(err) .. key_kinds.hint(spec)) end
  ok, err = key:save(path, { new = true, passphrase = options.passphrase })
  if not ok then return nil, support.file_error(err) end
  return key
end

-- What cert:save writes.
local function pem_of(cert)
  local pem = { cert:pem() }
  for i, each in ipairs(cert.chain) do pem[i + 1] = each:pem() end
  return table.concat(pem)
end

--- Write an issued certificate and say what it is.
---@param name string of the command
---@param cert lest.cert
---@param changed string[]
---@param options table
---@return integer|nil exit_code
---@return lest.error? err
function M.deliver(name, cert, changed, options)
  local in_json = options.json and options.out == "-"
  if not in_json then
    local ok, err = cert:save(options.out)
    if not ok then
      err.message = err.message
        .. "; the certificate was issued: repeat the command with the same key"
      return nil, err
    end
  end
  if options.json then
    local described = require "lest.tool.inspect".table(cert)
    described.out = not in_json and options.out or nil
    described.pem = in_json and pem_of(cert) or nil
    described.chain = #cert.chain
    described.changed = changed
    support.print_json(require "lest.json".object(described))
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
