--- `lest cert revoke`: ends certificates, and says what would get new ones.
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

-- On standard error, since the result alone is printed.
local function confirm(rows, narrow)
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = narrow.line(row) end
  support.print_columns(narrow.header, lines, nil, { line = support.line_columns(2) },
    io.stderr)
  io.stderr:write(("Revoke for good %s? [y/N] "):format(
    #rows == 1 and "this certificate" or ("these %d certificates"):format(#rows)))
  io.stderr:flush()
  return (io.read() or ""):lower():find "^%s*y" ~= nil
end

local function revoke_named(options, ledger, how, narrow)
  local asked = { name = options.name, exact = options.exact, reason = options.reason }
  local err
  asked.found, err = operator.run(ledger, "cert_find_named", asked, how)
  if not asked.found then return nil, err end
  if not options.yes and not confirm(asked.found.rows, narrow) then
    return fail("refused", "nothing was revoked")
  end
  return operator.run(ledger, "cert_revoke_named", asked, how)
end

local function revoke_device(options, ledger, how)
  local result, err = operator.run(ledger, "cert_revoke_device", { device = options.device,
    reason = options.reason }, how)
  if err and err.code == "not_found" then
    err.message = ("%s; %s"):format(err.message, operate.called(options.device))
  end
  return result, err
end

local function revoke_one(options, ledger)
  local challenge, err, row
  if options.challenge_file then
    challenge, err = support.secret(options.challenge_file)
    if not challenge then return nil, err end
  end
  row, err = operator.run(ledger, "cert_revoke", { serial = options.serial,
    reason = options.reason, challenge = challenge, superseded_by = options.superseded_by })
  return row and { rows = { row }, one = row }, err
end

local KEY_FILE_MAX <const> = 65536

--- The hash of the key that a file has: of a certificate, a request, or the key itself.
local function key_hash(path)
  local bytes, err = support.read(path, KEY_FILE_MAX)
  if not bytes then return nil, support.file_error(err) end
  local cert = core.cert.parse(bytes)
  if cert then return core.secret.sha256(cert.public_key.der) end
  local csr = core.csr.parse(bytes)
  if csr then return csr.key_hash end
  local key
  key, err = core.key.parse(bytes)
  if key then return core.secret.sha256(key:public_der()) end
  if err.code == "key_passphrase" then return nil, err end
  return fail("usage", path .. " is no certificate, request or key")
end

local function revoke_key(options, ledger, how)
  local hash, err = key_hash(options.key)
  if not hash then return nil, err end
  return operator.run(ledger, "cert_revoke_key", { key_hash = hash, reason = options.reason }, how)
end

local REVOKE <const> = { serial = revoke_one, device = revoke_device, name = revoke_named,
  key = revoke_key }

--- Credentials that would get what was revoked a new certificate: of its devices, and of the name
--- that was asked for.
local function good_credentials(ledger, rows, asked)
  local names, has = {}, {}
  local function add(name)
    if name and not has[name] then table.insert(names, name) end
    has[name or ""] = true
  end
  for _, row in ipairs(rows) do
    add(row.device)
    add(row.principal_name)
  end
  add(asked)
  return operator.run(ledger, "credential_good", { names = names })
end

-- A line for each name.
local function credentials_text(list)
  local lines = {}
  for i, each in ipairs(list) do
    lines[i] = ("%d %s of '%s' %s still good: lest credential remove %s"):format(each.good,
      each.good == 1 and "credential" or "credentials", each.name,
      each.good == 1 and "is" or "are", support.quote(each.name))
  end
  return table.concat(lines, "\n")
end

local function print_revoked(options, result)
  if options.json and result.one then
    result.one.credentials = result.credentials
    return support.print_json(operate.certificate(result.one))
  elseif options.json then
    return support.print_json(json.object { revoked = result.revoked,
      credentials = result.credentials })
  elseif result.one then
    return io.write "revoked\n"
  end
  for _, row in ipairs(result.rows) do
    io.write("revoked ", row.serial, "  ", support.clean(row.subject), "\n")
  end
end

local function way_of(options)
  local way, given = nil, 0
  for each in pairs(REVOKE) do
    if options[each] then way, given = each, given + 1 end
  end
  if given ~= 1 or options.name == "" then
    support.usage("name a certificate by its serial number, or several with --device, --key or "
      .. "--name")
  elseif way ~= "name" and options.exact then
    support.usage "--exact is of --name"
  elseif way ~= "serial" and options.challenge_file then
    support.usage "--challenge-file is of a serial number"
  elseif way ~= "serial" and options.superseded_by then
    support.usage "--superseded-by is of a serial number"
  elseif options.superseded_by and (options.reason or "superseded") ~= "superseded" then
    support.usage "with --superseded-by the reason is superseded"
  end
  options.reason = options.reason or (options.superseded_by and "superseded" or "unspecified")
  return way
end

--- Revoke what the options name.
---@param options table
---@param config table
---@param narrow table the columns that show what is about to be revoked, as of lest.operate.list
---@return nil
---@return lest.error? err
function M.run(options, config, narrow)
  local way = way_of(options)
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local result, err = REVOKE[way](options, ledger, { labels = config.labels }, narrow)
  local credentials, unknown = good_credentials(ledger, result and result.rows or {},
    options.device or options.name)
  local said = credentials and credentials_text(credentials) or tostring(unknown)
  if not result then
    if said ~= "" then err.message = ("%s\n%s"):format(err.message, said) end
    return nil, err
  end
  result.credentials = credentials or {}
  print_revoked(options, result)
  support.complain("lest cert revoke", said)
end

return M
