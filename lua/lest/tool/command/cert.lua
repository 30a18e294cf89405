--- `lest cert`: certificates that the server issued.
local cert_revoke = require "lest.tool.command.cert_revoke"
local core = require "lest.core"
local fail = require "lest.base.fail"
local importer = require "lest.server.ledger.import"
local ledger_file = require "lest.server.ledger.file"
local list_of = require "lest.base.list"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local STATES <const> = { "valid", "expired", "revoked", "not yet valid" }

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest cert", summary = "List, show, revoke and import issued certificates.",
    example = "lest cert list --device device001",
  }
  parser:require_command(true):command_target "subcommand"
  local list = operate.subcommand(parser, "list", "List certificates, newest first; with "
    .. "--expires-before, --expires-after or --state expired, what ends first comes first.",
    "lest cert list --state valid --expires-before 7d --not-renewed")
  operate.narrowed(list, "1000", "the subject or in an alternative name")
  list:option "--serial":argname "PART":description "Those whose serial number begins so."
  list:option "--state":argname "STATE":choices(STATES)
    :description("Those that are so: " .. table.concat(STATES, ", ") .. ".")
  list:option "--expires-before":argname "TIME":convert(operate.moment(1))
    :description "Those that end before this, and from now on: '7d' ahead, or '2026-01-31' (UTC)."
  list:option "--expires-after":argname "TIME":convert(operate.moment(1))
    :description "Those that end at this time or later, past ones among them."
  list:flag "--not-renewed"
    :description "Those whose devices have no later certificate of the same names."
  local show = operate.subcommand(parser, "show", "Show a certificate and how it was issued.",
    "lest cert show 0a1b2c3d4e5f60718293a4b5c6d7e8f9")
  show:argument "serial":description "Its serial number, in hexadecimal."
  operate.reads(show)
  local revoke = operate.subcommand(parser, "revoke", "Revoke a certificate for good: the server "
    .. "refuses it at once. Credentials stay until `lest credential remove`, and those that are "
    .. "still good are named. The CRL says it to others some seconds later.",
    "lest cert revoke 0a1b2c3d4e5f60718293a4b5c6d7e8f9 --reason keyCompromise")
  revoke:argument "serial":args "?":description "Its serial number, in hexadecimal."
  revoke:option "--device":argname "NAME"
    :description "Instead: all that are valid of one device, its renewals among them."
  revoke:option "--key":argname "FILE"
    :description("Instead: all that are valid of one key: a certificate, a request or a key in "
      .. "PEM or DER (- is standard input).")
  revoke:option "--name":argname "PART"
    :description "Instead: all that are valid with this in the subject or in an alternative name."
  revoke:flag "--exact":description "Of --name: the name is the whole of a value, as in CN=NAME."
  revoke:flag "--yes"
    :description "Of --name: revoke what is found without asking, as the others do."
  revoke:option "--challenge-file":argname "FILE"
    :description("Of a serial number: revoke only if this is the revocationChallenge that the "
      .. "certificate was asked for with (RFC 7894): the first line of a file (- is standard "
      .. "input).")
  revoke:option "--superseded-by":argname "SERIAL"
    :description("Of a serial number: the certificate in its place, which is noted. It must be "
      .. "there and not be revoked. The reason is superseded.")
  revoke:option "--reason":argname "REASON"
    :choices(operator.REVOCATION_REASONS):description("One of "
      .. table.concat(operator.REVOCATION_REASONS, ", ") .. "; unspecified if it is left out.")
  local issuers = operate.subcommand(parser, "issuers", "Count the certificates of clients that "
    .. "are good still, by the key that has signed them: the SHA-256 of its SubjectPublicKeyInfo.",
    "lest cert issuers --config /etc/lest/server.lua")
  operate.reads(issuers)
  local take = operate.subcommand(parser, "import", "Put certificates into the ledger that a CA of "
    .. "the configuration signed before, so that they can be renewed and revoked here.",
    "lest cert import old/*.pem")
  take:argument "files":args "+":argname "FILE"
    :description "PEM, with one or many, DER, or a bag of them (PKCS#7)."
  take:option "--label":argname "LABEL":default "default"
    :description "Where they count as issued, by the label's profile."
  return parser
end

-- What fits a terminal: with a SAN where there is no subject.
local NARROW <const> = {
  header = { "SERIAL", "STATE", "NOT AFTER", "SUBJECT" },
  line = function(row)
    return { row.serial, row.state, support.time(row.not_after):sub(1, 10),
      row.subject ~= "" and row.subject or row.san }
  end,
}

local function list(options, config)
  return operate.print_list(options, config, {
    command = "lest cert list", operation = "cert_list",
    arguments = { principal_name = options.principal_name, device = options.device,
      label = options.label, part = options.part, serial = options.serial, state = options.state,
      since = options.since, ends_before = options.expires_before,
      ends_from = options.expires_after, not_renewed = options.not_renewed },
    header = { "SERIAL", "PRINCIPAL", "DEVICE", "LABEL", "SUBJECT", "SAN", "PROFILE", "NOT AFTER",
      "STATE" },
    line = function(row)
      return { row.serial, row.principal_name, row.device, row.label, row.subject, row.san,
        row.profile, support.time(row.not_after), row.state }
    end,
    narrow = NARROW, fixed = { STATE = options.state }, object = operate.with_facts,
    order = (options.expires_before or options.expires_after or options.state == "expired")
      and "first" or nil,
  })
end

local FIELDS <const> = { "serial", "state", "subject", "san", "principal_name", "principal_kind",
  "device", "label", "operation", "profile", "fingerprint", "key_hash", "issuer", "request_id",
  "renews", "superseded_by", "revocation_challenge", "revocation_reason" }

local function print_certificate(row)
  operate.print_fields(row, FIELDS)
  operate.print_times(row, { "not_before", "not_after", "issued_at", "revoked_at",
    "revoked_after" })
  for key, value in pairs(row.facts) do
    operate.print_field("fact", support.clean(key) .. "=" .. support.clean(tostring(value)))
  end
  io.write(row.pem)
end

local function show(options, config)
  local rows, err = operator.ask(config, "cert_show", { serial = options.serial })
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    operate.certificate(row)
    if not options.json then print_certificate(row) end
  end
  if options.json then support.print_json(rows) end
end

--- Count by the key, which has no index, what is found by its end. The server's own certificates
--- are issued anew by themselves.
local function count_issuers(ledger)
  local by, now = {}, core.clock.wall_us() // 1000000
  for rows in operator.pages(ledger, "cert_list",
    { state = "valid", ends_from = now, limit = math.maxinteger }) do
    for _, row in ipairs(rows) do
      if row.principal_kind ~= "server" then
        local found = by[row.issuer] or { issuer = row.issuer, count = 0, last = 0 }
        found.count, found.last = found.count + 1, math.max(found.last, row.not_after)
        by[row.issuer] = found
      end
    end
  end
  return by
end

local function issuers(options, config)
  local ledger <close>, err = ledger_file.open_to_read(config)
  if not ledger then return nil, err end
  local by, rows, lines = count_issuers(ledger), {}, {}
  for i, issuer in ipairs(list_of.sorted_keys(by)) do rows[i] = by[issuer] end
  if options.json then return support.print_json(rows) end
  for i, row in ipairs(rows) do lines[i] = { row.issuer, row.count, support.time(row.last) } end
  support.print_columns({ "KEY", "GOOD", "THE LAST UNTIL" }, lines)
end

local STATUS_EVERY <const> = 500

--- Put what stands in one file; `result` says what became of it.
-- Of this command alone, and it takes a while to load.
local function importing() return require "lest.tool.import" end

local function import_file(ledger, judge, file, bytes, result)
  for cert, where, problem in importing().certificates(file, bytes) do
    local known, state
    if cert then known, problem = judge(cert) end
    if known then
      known.from = where
      state, problem = ledger:put(cert, known)
    end
    local told = { where = where, subject = cert and tostring(cert.subject) or nil,
      serial = cert and cert.serial or nil, problem = problem }
    table.insert(result[state or "refused"], told)
    result.count = result.count + 1
    if result.count % STATUS_EVERY == 0 then
      support.status(("%d certificates"):format(result.count))
    end
  end
end

local function print_import(result)
  local function line(told, text)
    io.stderr:write(("lest cert import: %s%s: %s\n"):format(support.clean(told.where),
      told.subject and " (" .. support.clean(told.subject) .. ")" or "", support.clean(text)))
  end
  for _, told in ipairs(result.known) do line(told, "is in the ledger already") end
  for _, told in ipairs(result.refused) do line(told, told.problem) end
  io.write(("%d imported, %d in the ledger already, %d refused\n"):format(#result.new,
    #result.known, #result.refused))
end

local function import_all(options, config)
  local label = config.labels[options.label]
  if not label then
    return fail("usage", ("the configuration has no label '%s'%s"):format(options.label,
      require "lest.base.schema".hint(options.label, config.labels)))
  end
  -- All is read before this process becomes the ledger's owner.
  local judge, err = importing().judge(config, options.label)
  if not judge then return nil, err end
  local texts = {}
  for i, file in ipairs(options.files) do
    texts[i], err = importing().read(file)
    if not texts[i] then return nil, err end
  end
  local who = operate.user_name() or "somebody without a name"
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local into = importer.new(ledger, { label = options.label, profile = label.profile, who = who })
  local result = { new = {}, known = {}, refused = {}, count = 0 }
  local done
  done, err = operator.noted(ledger, "cert_import", { label = options.label }, function()
    for i, file in ipairs(options.files) do import_file(into, judge, file, texts[i], result) end
    into:finish()
    return true
  end)
  if not done then return nil, err end
  support.status()
  result.count = nil
  if options.json then support.print_json(result) else print_import(result) end
  if #result.refused > 0 then
    return fail("refused", ("not imported: %d"):format(#result.refused))
  end
end

local function revoke(options, config)
  return cert_revoke.run(options, config, NARROW)
end

local actions <const> = { import = import_all, issuers = issuers, list = list, show = show,
  revoke = revoke }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
