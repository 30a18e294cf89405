--- What `lest fullcmc` asks for beside new certificates, of one that there is: to revoke it, or to
--- have it once more (RFC 5272 6.9, 6.11).
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local est_options = require "lest.tool.command.est_options"
local fail = require "lest.base.fail"
local list = require "lest.base.list"
local support = require "lest.tool.command.support"

local M = {}

local REASONS <const> = list.sorted_keys(cmc.REASONS)
local SERIAL_MAX <const> = 40 -- digits: RFC 5280 4.1.2.2

--- Add the options that exclude others.
---@param parser table
---@return table revoke
---@return table get_cert
function M.add(parser)
  return parser:option "--revoke":argname "SERIAL"
    :description("Revoke a certificate for good, by its serial number, in hexadecimal: one of the "
      .. "names in --cert, or any if that is an RA's."),
    parser:option "--get-cert":argname "SERIAL"
      :description "Get such a certificate once more."
end

--- Add those that go with them.
---@param parser table
function M.add_details(parser)
  parser:option "--reason":argname "REASON":choices(REASONS)
    :description("Of --revoke: " .. table.concat(REASONS, ", ") .. "; unspecified by default.")
  parser:option "--issuer":argname "FILE"
    :description("Of --revoke and --get-cert: the certificate of the CA whose certificate it is; "
      .. "by default the one that issued --cert.")
end

--- Whether the options ask for that; a mistake in them ends the command.
---@param options table
---@return boolean
function M.check(options)
  local serial = options.revoke or options.get_cert
  if not serial then
    if options.reason then support.usage "--reason is of --revoke" end
    if options.issuer then support.usage "--issuer is of --revoke and --get-cert" end
    return false
  end
  if options.reason and not options.revoke then support.usage "--reason is of --revoke" end
  if options.subject or #options.san > 0 or options.key_out or options.crmf or options.identity
    or options.challenge_file then
    support.usage "--revoke and --get-cert ask for no new certificate, and take no option of one"
  elseif not options.cert then
    support.usage "--revoke and --get-cert are signed: give --cert and --key"
  elseif not serial:find "^[%x:]+$" or #serial:gsub(":", "") % 2 == 1
    or #serial:gsub(":", "") > SERIAL_MAX then
    support.usage("a serial number is pairs of hex digits, as `lest inspect` shows it: not "
      .. support.quote(serial))
  end
  return true
end

-- As a certificate's serial is shown: what DER has none of is not there.
local function serial_of(options)
  local serial = (options.revoke or options.get_cert):gsub(":", ""):lower()
  while serial:find "^00%x" do serial = serial:sub(3) end
  return serial
end

local function issuer_of(options, client)
  if not options.issuer then return client.cert.issuer_der end
  local ca, err = core.cert.load(options.issuer)
  if not ca then return nil, support.file_error(err) end
  return ca.subject_der
end

-- What the server's signature vouches for is taken as it is: it may be over, or be revoked.
local function find(certs, named)
  for _, cert in ipairs(certs) do
    if cert.serial == named.serial and core.name.equal(cert.issuer_der, named.issuer_der) then
      return cert
    end
  end
  return fail("protocol", "the server's answer has another certificate than was asked for")
end

--- Ask, and say what came of it.
---@param name string of the command
---@param options table
---@param client lest.client
---@param progress lest.progress
---@return integer|nil exit_code
---@return lest.error? err
function M.run(name, options, client, progress)
  local issuer_der, err = issuer_of(options, client)
  if not issuer_der then return nil, err end
  local serial = serial_of(options)
  local named = { issuer_der = issuer_der, serial = serial,
    reason = options.revoke and cmc.REASONS[options.reason or "unspecified"] or nil }
  local answer
  answer, err = client:fullcmc { wait = options.wait, controls = { {
    name = options.revoke and "revokeRequest" or "getCert", value = named } } }
  progress:close()
  if not answer then return nil, err end
  if options.get_cert then
    local cert
    cert, err = find(answer.certificates, named)
    if not cert then return nil, err end
    return est_options.deliver(name, cert, {}, options)
  elseif options.json then
    support.print_json { revoked = { serial } }
  else
    io.write("revoked ", serial, "\n")
  end
  return 0
end

return M
