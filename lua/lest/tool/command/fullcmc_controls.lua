--- What `lest fullcmc` asks for beside new certificates: to revoke one that there is, to have it
--- once more, to have the CRL of a CA (RFC 5272 6.9 to 6.11).
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
---@return table get_crl
function M.add(parser)
  return parser:option "--revoke":argname "SERIAL"
    :description("Revoke a certificate for good, by its serial number, in hexadecimal: one of the "
      .. "names in --cert, or any if that is an RA's."),
    parser:option "--get-cert":argname "SERIAL"
      :description "Get such a certificate once more.",
    parser:flag "--get-crl"
      :description("Get the CRL of the CA that issued --cert, or of --issuer, verified: in PEM, "
        .. "one for each key that the CA has.")
end

--- Add those that go with them.
---@param parser table
function M.add_details(parser)
  parser:option "--reason":argname "REASON":choices(REASONS)
    :description("Of --revoke: " .. table.concat(REASONS, ", ") .. "; unspecified by default.")
  parser:option "--issuer":argname "FILE"
    :description("Of --revoke, --get-cert and --get-crl: the certificate of the CA that is meant; "
      .. "by default the one that issued --cert.")
end

--- Whether the options ask for that; a mistake in them ends the command.
---@param options table
---@return boolean
function M.check(options)
  local serial = options.revoke or options.get_cert
  if options.reason and not options.revoke then support.usage "--reason is of --revoke" end
  if not serial and not options.get_crl then
    if options.issuer then support.usage "--issuer is of --revoke, --get-cert and --get-crl" end
    return false
  end
  if options.subject or #options.san > 0 or options.key_out or options.crmf or options.identity
    or options.challenge_file then
    support.usage("--revoke, --get-cert and --get-crl ask for no new certificate, and take no "
      .. "option of one")
  elseif not options.cert then
    support.usage "--revoke, --get-cert and --get-crl are signed: give --cert and --key"
  elseif not serial then
    return true
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
  return ca.subject_der, nil, ca
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

-- The CAs that may have signed: the one that the user names, and what stands above what came and
-- above the client's own certificate, as far as an anchor vouches for it.
local function cas_of(client, answer, named)
  local cas = { named }
  local certs = table.move(answer.certificates, 1, #answer.certificates, 2, { client.cert })
  for _, cert in ipairs(certs) do
    local chain = client.trust:verify(cert, certs)
    for _, ca in ipairs(chain or {}) do cas[#cas + 1] = ca end
  end
  return cas
end

-- Those of the issuer that one of its keys has signed; one that none has is an error.
local function verified(crls, issuer_der, cas)
  local found = {}
  for _, crl in ipairs(crls) do
    if core.name.equal(crl.issuer_der, issuer_der) then
      local good, err
      for _, ca in ipairs(cas) do
        if core.name.equal(ca.subject_der, issuer_der) then
          good, err = crl:verify(ca)
          if good then break end
        end
      end
      if not good then
        return fail("trust", "the CRL is signed by no key of its CA that is known here",
          { cause = err })
      end
      if crl.next_update and crl.next_update < core.clock.wall_us() // 1000000 then
        return fail("trust", "the CRL is over since " .. support.time(crl.next_update))
      end
      found[#found + 1] = crl
    end
  end
  if found[1] then return found end
  return fail("protocol", "the server's answer has no CRL of the CA that was asked for")
end

local function deliver_crls(name, crls, options)
  local texts, described = {}, {}
  for i, crl in ipairs(crls) do texts[i] = crl:pem() end
  local in_json = options.json and options.out == "-"
  if not in_json then
    local ok, err = core.file.write(options.out, table.concat(texts))
    if not ok then return nil, err end
  end
  for i, crl in ipairs(crls) do
    if options.json then
      described[i] = require "lest.tool.inspect".table(crl, function(each) return each.count end)
      described[i].pem = in_json and texts[i] or nil
    end
    support.complain(name, ("%s: CRL of %s, number %s, entries: %d%s"):format(
      options.out == "-" and "CRL" or options.out, tostring(crl.issuer), crl.number or "none",
      crl.count, crl.next_update and ", until " .. support.time(crl.next_update) or ""))
  end
  if options.json then support.print_json(described) end
  return 0
end

local function get_crl(name, options, client, progress)
  local issuer_der, err, named = issuer_of(options, client)
  if not issuer_der then return nil, err end
  local answer, crls
  answer, err = client:fullcmc { wait = options.wait, controls = { { name = "getCRL",
    value = { issuer_der = issuer_der } } } }
  progress:close()
  if not answer then return nil, err end
  crls, err = verified(answer.crls, issuer_der, cas_of(client, answer, named))
  if not crls then return nil, err end
  return deliver_crls(name, crls, options)
end

--- Ask, and say what came of it.
---@param name string of the command
---@param options table
---@param client lest.client
---@param progress lest.progress
---@return integer|nil exit_code
---@return lest.error? err
function M.run(name, options, client, progress)
  if options.get_crl then return get_crl(name, options, client, progress) end
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
