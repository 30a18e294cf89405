--- `lest credential`: what authenticates devices: passwords, tokens and other secrets.
local credential_file = require "lest.tool.command.credential_file"
local credentials = require "lest.server.ledger.credentials"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"
local terms = require "lest.server.ledger.terms"

local M = {}

local function fact(text)
  local key, value = text:match "^([^=]+)=(.*)$"
  if not key then return nil, ("'%s' is not KEY=VALUE"):format(text) end
  return { key, value }
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest credential", summary = "Add, list, show and remove credentials of devices.",
    example = "lest credential add device001 --expires 24h",
  }
  parser:require_command(true):command_target "subcommand"
  local add = operate.subcommand(parser, "add", "Make a credential. Without --password-file its "
    .. "secret is random and printed alone on one line, this once.",
    "lest credential add device001 --expires 24h --set site=Ulm")
  add:argument "name":args("?"):description "The user name."
  add:option "--from":argname "FILE"
    :description("Instead, many: a file with a NAME a line, or with a first row that names its "
      .. "columns, of: name, password, expires; all are made, or none.")
  add:flag "--another"
    :description "Of --from: also for names that have a live credential, which is kept."
  add:option "--kind":choices(terms.KINDS):default(terms.KINDS[1])
    :description("By what of `auth` it is proven. key-wrap proves nothing: it is an AES key in hex "
      .. "with which keys that the server makes for NAME are encrypted (lest serverkeygen "
      .. "--shared-key); it is always reusable.")
  add:option "--realm":argname "REALM"
    :description("Of --kind digest: the realm of the labels that it is for, where they have "
      .. "several; it is good for nothing in another.")
  add:option "--password-file":argname "FILE"
    :description "Take the secret from the first line of a file (- is standard input)."
  add:flag "--reusable":description "It authenticates any number of requests, not one."
  add:option "--expires":argname "TIME":convert(support.duration)
    :description "It must be used within this time, as in 24h."
  add:option "--set":argname "KEY=VALUE":count "*":convert(fact):target "facts"
    :description "A fact for policies (request.principal.credential); may be repeated."
  local list = operate.subcommand(parser, "list", "List credentials, without their secrets.",
    "lest credential list")
  list:argument "name":args "?":description "Those of one user name."
  operate.lists(list, "1000")
  local show = operate.subcommand(parser, "show",
    "Show a name's credentials, or the one with an id, without their secrets.",
    "lest credential show device001")
  show:argument "name":description "The user name, or a credential's id."
  operate.reads(show)
  local remove = operate.subcommand(parser, "remove",
    "Remove a name's credentials, or the one with an id.", "lest credential remove device001")
  remove:argument "name":description "The user name, or a credential's id."
  return parser
end

local function facts_of(pairs_list)
  local facts = {}
  for _, pair in ipairs(pairs_list) do
    if facts[pair[1]] then support.usage(("--set %s is given twice"):format(pair[1])) end
    facts[pair[1]] = pair[2]
  end
  return facts
end

--- The realm of a Digest credential: that of the labels which take Digest.
local function realm_of(options, config)
  if options.kind ~= "digest" then
    if options.realm then support.usage "--realm is of --kind digest" end
    return nil
  end
  local realms, seen = {}, {}
  for _, label in pairs(config.labels) do
    if label.accepts.digest and not seen[label.realm] then
      seen[label.realm] = true
      table.insert(realms, label.realm)
    end
  end
  table.sort(realms)
  local named = "'" .. table.concat(realms, "', '") .. "'"
  if #realms == 0 then
    support.usage "no label of the configuration has \"digest\" in its `auth`"
  elseif options.realm and not seen[options.realm] then
    support.usage(("no label that takes Digest has the realm '%s': --realm may be %s"):format(
      options.realm, named))
  elseif not options.realm and #realms > 1 then
    support.usage("the labels that take Digest have several realms: --realm, one of " .. named)
  end
  return options.realm or realms[1]
end

-- A secret that nobody has seen is of no use to anybody: its credential goes with it.
local function print_made(made, as_json, ledger)
  if as_json then
    support.print_json(made)
  elseif made.secret then
    io.write(made.secret, "\n")
  end
  local ok, err = support.flush()
  if ok then return 0 end
  if made.secret then operator.run(ledger, "credential_remove", { name = made.id }) end
  return nil, err
end

-- They are there before they are shown, so that no pager holds the ledger's lock.
local function print_all(all, as_json, ledger)
  if as_json then support.print_json(all) end
  local ok, err = true, nil
  for _, made in ipairs(as_json and {} or all) do
    if ok and made.secret then ok, err = io.write(made.name, ",", made.secret, "\n") end
  end
  if ok then ok, err = support.flush() else ok, err = support.output_lost(err) end
  if ok then return 0 end
  local gone, why = operator.run(ledger, "credential_remove_all", { made = all })
  local rest = gone and "no credential was made, and what was printed is of no use"
    or "the credentials were made and cannot be removed: " .. tostring(why)
  err.message = ("%s; %s"):format(err.message, rest)
  return nil, err
end

-- The file is read before this process may become another user. The ledger is locked while rows are
-- written, not while passwords are hashed.
local function add_all(options, config)
  local all, err = credential_file.read(options.from)
  if not all then return nil, err end
  local facts, realm = facts_of(options.facts), realm_of(options, config)
  for _, wanted in ipairs(all) do
    wanted.reusable, wanted.facts = options.reusable, facts
    wanted.kind, wanted.realm = options.kind, realm
    wanted.expires_s = wanted.expires_s or options.expires
  end
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local progress <close> = support.progress "hashing"
  local prepared
  prepared, err = credential_file.prepare(all, function(scrypt)
    return credentials.new { ledger = ledger, scrypt = scrypt }
  end, progress)
  if not prepared then return nil, err end
  progress:close()
  local made
  made, err = operator.run(ledger, "credential_add_all",
    { prepared = prepared, another = options.another })
  if not made then return nil, err end
  local chosen = 0
  for _, each in ipairs(made) do chosen = chosen + (each.secret and 0 or 1) end
  support.complain("lest credential add", ("%d credentials made: %d random, %d with the password "
    .. "of the file"):format(#made, #made - chosen, chosen))
  return print_all(made, options.json, ledger)
end

local function check_add(options)
  if options.from and (options.name or options.password_file) then
    support.usage "--from stands alone, without a name and --password-file"
  elseif not options.from and not options.name then
    support.usage "say whose: a NAME, or --from FILE"
  elseif options.another and not options.from then
    support.usage "--another is of --from"
  end
end

-- The password is read before this process may become another user.
local function add(options, config)
  check_add(options)
  if options.from then return add_all(options, config) end
  local password, err
  if options.password_file then
    if options.kind == "bearer" then
      support.usage "a Bearer token is made here, and random: no --password-file"
    end
    password, err = support.secret(options.password_file)
    if not password then return nil, err end
    if #password < credential_file.PASSWORD_MIN then
      support.usage(("a password has %d bytes at least"):format(credential_file.PASSWORD_MIN))
    end
  end
  local facts, realm = facts_of(options.facts), realm_of(options, config)
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local made
  made, err = operator.run(ledger, "credential_add", { name = options.name, password = password,
    kind = options.kind, realm = realm, reusable = options.reusable, expires_s = options.expires,
    facts = facts })
  if not made then return nil, err end
  return print_made(made, options.json, ledger)
end

-- A pending request holds a one-time secret until it ends, and gives it back then.
local function state_of(row)
  if not row.one_time and row.state ~= "expired" then return "reusable" end
  if row.state ~= "reserved" then return row.state end
  return "held until " .. support.time(row.bound_until)
end

local function facts_text(facts)
  local words = {}
  for key, value in pairs(facts) do words[#words + 1] = ("%s=%s"):format(key, value) end
  table.sort(words)
  return words[1] and table.concat(words, " ")
end

-- What fits a terminal: of times the date.
local NARROW <const> = {
  header = { "ID", "NAME", "STATE", "EXPIRES", "FACTS" }, name = "NAME",
  line = function(row)
    return { row.id, row.name, state_of(row):sub(1, #"held until 2026-01-31"),
      row.expires and support.time(row.expires):sub(1, #"2026-01-31"), facts_text(row.facts) }
  end,
}

local function list(options, config)
  return operate.print_list(options, config, {
    command = "lest credential list", operation = "credential_list",
    arguments = { name = options.name }, fixed = { NAME = options.name },
    header = { "ID", "NAME", "STATE", "SECRET", "KIND", "CREATED", "EXPIRES", "FACTS" },
    line = function(row)
      return { row.id, row.name, state_of(row),
        row.secret_kind == "random" and "random" or "password", row.kind, support.time(row.created),
        row.expires and support.time(row.expires), facts_text(row.facts) }
    end,
    narrow = NARROW,
    object = function(row)
      row.facts = json.object(row.facts)
      return row
    end,
  })
end

local FIELDS <const> = { "id", "name", "kind", "realm", "secret_kind", "pending_id", "key_hash",
  "label", "operation" }

local function print_credential(row)
  operate.print_field("state", state_of(row))
  operate.print_fields(row, FIELDS)
  operate.print_times(row, { "created", "expires", "used_at", "bound_until" })
  local facts = facts_text(row.facts)
  if facts then operate.print_field("facts", support.clean(facts)) end
end

local function show(options, config)
  local rows, err = operator.ask(config, "credential_show", { name = options.name })
  if not rows then return nil, err end
  for i, row in ipairs(rows) do
    row.facts = json.object(row.facts)
    if not options.json then
      if i > 1 then io.write "\n" end
      print_credential(row)
    end
  end
  if options.json then support.print_json(rows) end
end

local function remove(options, config)
  local result, err = operator.call(config, "credential_remove", { name = options.name })
  if not result then return nil, err end
  if options.json then support.print_json(result) end
end

local actions <const> = { add = add, list = list, show = show, remove = remove }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
