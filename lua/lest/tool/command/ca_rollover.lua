--- `lest ca rollover DIR STEP`: another key for a CA, under its name, while its server serves.
local core = require "lest.core"
local fail = require "lest.base.fail"
local generations = require "lest.tool.ca.generations"
local in_use = require "lest.tool.ca.in_use"
local json = require "lest.json"
local key_file = require "lest.server.config.key_file"
local outlook = require "lest.tool.ca.outlook"
local rollover = require "lest.tool.ca.rollover"
local support = require "lest.tool.command.support"

local M = {}

local STEPS <const> = { "begin", "switch", "finish", "status", "abort" }

---@param parser table
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "rollover",
    summary = "Change the key of the CA in a folder, under the same name (RFC 4210 4.4). `begin` "
      .. "makes the next key and certificate, with links between the two (for a CA under another "
      .. "one, a CSR, and with --cert the answer to it); both are served, and the old one signs. "
      .. "`switch` has the new one sign. `finish` retires the old one, for good. `abort` takes "
      .. "back the last step. `status` says what there is and what clients see. A server that runs "
      .. "takes each step up at once.",
    example = "lest ca rollover /etc/lest begin",
  })
  command:argument "dir":description "The folder with ca.pem and ca.key."
  local step = command:argument "step":description("One of " .. table.concat(STEPS, ", ") .. ".")
  step:choices(STEPS)
  command:option "--config":argname "FILE"
    :description "The server's configuration; DIR/server.lua by default, where that is there."
  command:option "--cert":argname "FILE"
    :description "Of begin: what the CA above has issued for ca.csr, in PEM."
  support.new_key(command, "Of begin: the kind of the next key, if not the old one's")
  command:option "--next-key":argname "URI"
    :description("Of begin: the next key, which is in hardware already (pkcs11:..., tpm2:FILE); "
      .. "ca.key then has a line with this URI.")
  command:option "--lifetime":argname "DURATION":convert(support.duration)
    :description "Of begin: how long a new root is valid; ten years by default."
  command:option "--passphrase-file":argname "FILE"
    :description "The passphrase of the keys in ca.key, should they be encrypted; a token's PIN."
  command:option "--away":argname "TIME":convert(support.duration)
    :description "Of status: what clients see that were here last so long ago, as '90d'."
  command:flag "--now"
    :description "Of switch: do not wait until each client has been here since `begin`."
  command:flag "--force"
    :description("Of finish and abort: also where certificates of the key that goes are good "
      .. "still; of begin: take a --cert that no known CA vouches for.")
  command:flag "--no-reload":description "Do not have a server that runs take it up."
  command:flag "--json":description "Print JSON."
end

-- The configuration, where there is one; false: there is none.
local function config_of(options)
  local file = options.config
  if not file then
    file = options.dir .. "/server.lua"
    if not core.system.exists(file) then return false end
  end
  local config, err = require("lest.server.config.load").load(file)
  if config then config.path = file end
  return config, err
end

-- How many certificates of a key are good still; this process has to write the CA's files. False:
-- no ledger is known that would say.
local function live_of(config)
  if not config then return false end
  local rows, err = in_use.issuers(config.path)
  if not rows then
    return fail("ledger", "the ledger cannot be asked how many certificates are good still",
      { cause = err })
  end
  return function(issuer)
    for _, row in ipairs(rows) do
      if row.issuer == issuer then return row.count, row.last end
    end
    return 0
  end
end

--- When each client has been here since the rollover began; nil where that is not known.
local function safe_at(state, config)
  local name = config and outlook.name_of(config, state.cert)
  local since = outlook.since(state)
  if not name or not since then return nil end
  return since + outlook.longest(config, name)
end

-- Whether the new key may sign, by what clients of the old one have had time for.
local function switch_check(options, config)
  return function(state)
    local at = safe_at(state, config)
    if options.now or at and core.clock.wall_us() // 1000000 >= at then return true end
    return fail("usage", at and ("clients that have not been here since `begin` know the old key "
      .. "alone, and some cannot follow links: the last certificate from before ends at %s. --now "
      .. "switches all the same"):format(support.time(at)) or "how long certificates are valid is "
      .. "not known without --config; --now switches all the same")
  end
end

local function generation(each)
  return each and each.cert and json.object { serial = each.cert.serial,
    not_before = each.cert.not_before, not_after = each.cert.not_after,
    key_type = each.cert.public_key.type, fingerprint = each.cert.fingerprint } or nil
end

local function facts_of(state, config, live)
  local links = {}
  for i, cert in ipairs(state.links) do
    links[i] = json.object { serial = cert.serial, not_after = cert.not_after,
      to = state.new and state.new.cert and cert.public_key.der == state.new.cert.public_key.der
        and "new" or state.step == "none" and "new" or "old" }
  end
  local function count(each)
    if not (live and each and each.key) then return nil end
    return (live(core.secret.sha256(each.key:public_der())))
  end
  return json.object { step = state.step, subject = tostring(state.signing.cert.subject),
    signing = generation(state.signing), old = generation(state.old), new = generation(state.new),
    links = links, live_old = count(state.old), live_new = count(state.new),
    safe_to_switch = state.step == "begun" and safe_at(state, config) or nil,
    clients = outlook.clients(state) }
end

local NEXT <const> = {
  none = "", asked = "have the CA above sign ca.csr, then `begin --cert FILE`",
  begun = "`switch`", switched = "`finish`, once nothing of the old key is good any more",
  finishing = "`finish`, again",
}

local function print_generation(word, each, live)
  if not (each and each.cert) then return end
  local count = live and live(core.secret.sha256(each.cert.public_key.der))
  io.write(("%-9s serial %s, %s, until %s%s\n"):format(word, each.cert.serial,
    each.cert.public_key.type, support.time(each.cert.not_after),
    count and (", certificates good still: %d"):format(count) or ""))
end

local function print_clients(state, away)
  local since = outlook.since(state)
  for _, each in ipairs(outlook.clients(state)) do
    local wanted = not away or not since or (away < since) == (each.who == "old")
      or not each.until_s and not each.since_s
    if wanted then
      local who = each.until_s and "away since before " .. support.time(each.until_s)
        or each.since_s and "here since " .. support.time(each.since_s) or "any client"
      io.write("  ", who, ": ", each.sees, "\n")
    end
  end
end

local function print_state(state, config, live, options)
  io.write(support.clean(tostring(state.signing.cert.subject)), ": ",
    state.step == "none" and "no rollover" or state.step, "\n")
  print_generation("signs", state.signing, live)
  local other = state.step == "begun" and state.new or state.step == "switched" and state.old
  print_generation(state.step == "begun" and "next" or "old", other or nil, live)
  local away = options.away and core.clock.wall_us() // 1000000 - options.away
  if #outlook.clients(state) > 0 then io.write "what clients see:\n" end
  print_clients(state, away)
  local at = state.step == "begun" and safe_at(state, config)
  if NEXT[state.step] ~= "" then
    io.write("next: ", NEXT[state.step], at and ", from " .. support.time(at)
      .. " on for all clients (--now: for those that follow links)" or "", "\n")
  end
end

local function reload(options, config)
  if options.no_reload or not config then
    return "a server that runs takes it up at SIGHUP: systemctl reload lest, or kill -HUP PID"
  end
  local done, err = require("lest.tool.policy.reload").ask(config)
  if done then return "the server has taken it up" end
  if err.code == "not_found" then return "no server runs there: the next start takes it up" end
  return nil, err
end

local function passphrase_of(options)
  if not options.passphrase_file then return true end
  local text, err = support.secret(options.passphrase_file)
  options.passphrase = text
  return text, err
end

-- The CAs above that a configuration knows.
local function above_of(config, state_cert)
  local name = config and outlook.name_of(config, state_cert)
  local ca = name and (name == "" and config.ca or config.cas[name])
  return ca and ca.chain and core.cert.load_all(ca.chain) or nil
end

local function check_options(options)
  local uri = options.next_key
  if options.dir == "" then support.usage "the folder's name is empty" end
  if not uri then return end
  if options.step ~= "begin" or options.new_key then
    support.usage "--next-key is for begin, and --new-key for a key that is made"
  elseif not key_file.is_in_hardware(uri) or uri:find "%c" then
    support.usage "--next-key is the URI of a key in hardware, as pkcs11:token=ca;object=2026"
  elseif uri:find "pin%-value" then
    support.usage "a PIN stands in --passphrase-file, not in the URI"
  end
end

---@param options table
---@return integer? exit_code
---@return lest.error? err
function M.run(options)
  check_options(options)
  local ok, err = passphrase_of(options)
  local config, live, state
  if ok then config, err = config_of(options) end
  if config == nil then return nil, err end
  local step = options.step
  if step ~= "begin" and step ~= "switch" and not options.force then
    live, err = live_of(config)
    if live == nil and step ~= "status" then return nil, err end
  end
  if step == "status" then
    state, err = generations.read(options.dir, options.passphrase)
  else
    state, err = rollover[step](options.dir, { passphrase = options.passphrase,
      kind = options.new_key, uri = options.next_key, may_switch = switch_check(options, config),
      lifetime = options.lifetime, cert = options.cert, live = live,
      above = above_of(config, options.dir .. "/ca.pem"), force = options.force })
  end
  if not state then return nil, err end
  local taken_up
  if step ~= "status" then taken_up, err = reload(options, config) end
  local facts = facts_of(state, config, live)
  if options.json then support.print_json(facts)
  else print_state(state, config, live, options) end
  if err then return nil, err end
  if taken_up and not options.json then io.write(taken_up, "\n") end
  if state.is_left and not options.json then
    io.write "the old key is in its token still, where it is yours to destroy\n"
  end
  return 0
end

return M
