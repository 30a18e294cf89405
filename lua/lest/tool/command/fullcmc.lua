--- `lest fullcmc`: ask for certificates in one message of CMC (RFC 7030 4.3).
local controls = require "lest.tool.command.fullcmc_controls"
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest fullcmc"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Ask for certificates in one message of CMC, signed by --cert and --key, or else by "
      .. "the new key. A request is made for a key (--new-key, --csr-key), with the names "
      .. "of --subject and --san or those of the certificate, or is finished (--request); or the "
      .. "whole message is (--message). Or, of what there is: --revoke, --get-cert, --get-crl.",
    example = "lest fullcmc https://est.example.com --trust ca.pem --cert device.pem \\\n"
      .. "  --key device.key --new-key ec:P-256 --key-out next.key --out next.pem",
  }
  est_options.add(parser, true)
  parser:option "--subject":argname "NAME":description "As in CN=device001,O=Example."
  parser:option "--san":argname "KIND:VALUE":count "*"
    :description "Alternative name, as in DNS:host or IP:192.0.2.1; may be repeated."
  local revoke, get_cert, get_crl = controls.add(parser)
  parser:mutex(
    parser:option "--csr-key":argname "FILE":description "The request's key; a file or a URI.",
    support.new_key(parser, "Make a key"),
    parser:option "--request":argname "FILE":count "*"
      :description "A finished request, PEM or DER; may be repeated.",
    parser:option "--message":argname "FILE"
      :description "A finished message, signed, PEM or DER; - is standard input.",
    revoke, get_cert, get_crl)
  controls.add_details(parser)
  parser:option "--identity":argname "NAME"
    :description("Whose secret is in --challenge-file: who asks, where the new key signs (identity "
      .. "proof, RFC 5272 6.2).")
  parser:option "--challenge-file":argname "FILE"
    :description "The secret, which is not sent: the first line of a file (- is standard input)."
  parser:flag "--sha1-proof":description("Make the identity proof by HMAC-SHA-1, for a server that "
    .. "knows nothing better.")
  parser:option "--key-out":argname "FILE":description "Where the new key goes, mode 0600."
  parser:flag "--crmf":description("Write the request that is made in the form of CRMF (RFC 4211), "
    .. "for a server that takes no PKCS#10.")
  parser:flag "--no-csrattrs":description "Do not ask what the server wants in a request."
  est_options.add_binding(parser)
  est_options.add_result(parser)
  return parser
end

local function check(options)
  local has_names = options.subject or #options.san > 0
  if (options.identity ~= nil) ~= (options.challenge_file ~= nil) then
    support.usage "--identity and --challenge-file go together"
  elseif options.sha1_proof and not options.identity then
    support.usage "--sha1-proof is of an identity proof: give --identity and --challenge-file"
  elseif has_names and (#options.request > 0 or options.message) then
    support.usage "a finished request (--request) or message (--message) has its own names"
  elseif (options.new_key ~= nil) ~= (options.key_out ~= nil) then
    support.usage "--new-key and --key-out go together"
  elseif not (options.new_key or options.csr_key or options.message or #options.request > 0) then
    support.usage("say what for: --new-key KIND --key-out FILE, --csr-key, --request, --message, "
      .. "--revoke, --get-cert or --get-crl")
  elseif options.crmf and not (options.new_key or options.csr_key) then
    support.usage "--crmf is for a request that is made here (--new-key, --csr-key)"
  elseif not has_names and not options.cert and (options.new_key or options.csr_key) then
    support.usage "say for which name: --subject CN=..., or --san, or --cert to renew"
  end
end

local function read(path, parse)
  local bytes, err = core.file.read(path)
  local found
  if bytes then found, err = parse(bytes) end
  if found then return found end
  err.message = ("%s: %s"):format(path == "-" and "standard input" or path, err.message)
  return nil, support.file_error(err)
end

local function requests_of(options)
  local requests = {}
  for i, path in ipairs(options.request) do
    local err
    requests[i], err = read(path, core.csr.parse)
    if not requests[i] then return nil, err end
  end
  if #requests > 0 then return requests end
  local key, err
  if options.csr_key then
    key, err = est_options.load_key(options.csr_key, options)
  else
    key, err = est_options.new_key(NAME, options, options.key_out)
  end
  if not key then return nil, err end
  return { { key = key, subject = options.subject, form = options.crmf and "crmf" or nil,
    san = #options.san > 0 and options.san or nil } }
end

-- Those that were issued, in the order of the requests.
local function issued(answer, count)
  local certs = {}
  for i = 1, count do
    if answer[i] then
      certs[#certs + 1] = answer[i]
    else
      support.complain(NAME, ("request %d: %s"):format(i, tostring(answer.errors[i])))
    end
  end
  return certs
end

local function deliver(certs, options)
  if #certs == 1 then return est_options.deliver(NAME, certs[1], {}, options) end
  local texts = {}
  for i, cert in ipairs(certs) do texts[i] = cert:pem() end
  local ok, err = core.file.write(options.out, table.concat(texts))
  if not ok then return nil, err end
  if options.json then
    local inspect, list = require "lest.tool.inspect", {}
    for i, cert in ipairs(certs) do list[i] = inspect.table(cert) end
    support.print_json(list)
  end
  support.complain(NAME, ("%s: %d certificates"):format(options.out, #certs))
  return 0
end

local function fullcmc(options)
  local is_control = controls.check(options)
  if not is_control then check(options) end
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  if is_control then return controls.run(NAME, options, client, progress) end
  local answer, err, certs
  if options.message then
    local message
    message, err = read(options.message, core.cmc.parse)
    if not message then return nil, err end
    answer, err = client:cmc(message:der())
    certs = answer and answer.certificates
  else
    local requests
    requests, err = requests_of(options)
    if not requests then return nil, err end
    answer, err = client:fullcmc { requests = requests, wait = options.wait,
      identity = options.identity and { name = options.identity,
        secret = client.options.challenge, sha1 = options.sha1_proof },
      csrattrs = not options.no_csrattrs }
    certs = answer and issued(answer, #requests)
  end
  progress:close()
  if not answer then return nil, err end
  local code
  code, err = deliver(certs, options)
  if code and answer.errors[next(answer.errors)] then return 1 end
  return code, err
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, fullcmc)
end

return M
