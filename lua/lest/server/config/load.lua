--- The server's configuration: a Lua file that returns a table, checked against a closed schema.
---
---   local config, err = config.load "server.lua"
---
--- Every path in the result is absolute, every duration is seconds, every absent key has its
--- default. A mistake is an error that names the line, the key's path and the nearest right word.
local configuration = require "lest.base.configuration"
local core = require "lest.core"
local csrattrs = require "lest.server.config.csrattrs"
local fail = require "lest.base.fail"
local key_sources = require "lest.server.config.key_sources"
local kinds = require "lest.server.wire.kinds"
local list = require "lest.base.list"
local schema = require "lest.base.schema"
local shape = require "lest.server.config.shape"

local M = {}

--- The most bytes of a configuration, which a person writes.
local FILE_MAX <const> = 1024 * 1024

-- The most addresses of a server (csrc/host/role/parent.h).
local LISTENERS_MAX <const> = 16

-- For how long keys are good whose address is away.
local KEEP_S <const> = 86400

local absolute <const>, is_uri <const> = configuration.absolute, configuration.is_uri

-- A program without a slash is looked for along PATH.
local function resolve_command(folder, command)
  if command and command[1]:find("/", 1, true) then command[1] = absolute(folder, command[1]) end
end

-- "file:" is no URI before a relative path.
local function resolve_identity(folder, each)
  each.cert = absolute(folder, each.cert)
  if each.chain then each.chain = absolute(folder, each.chain) end
  each.key = each.key:gsub("^[fF][iI][lL][eE]:([^/])", "%1")
  if not is_uri(each.key) then each.key = absolute(folder, each.key) end
  if each.passphrase_file then each.passphrase_file = absolute(folder, each.passphrase_file) end
  resolve_command(folder, each.passphrase_command)
end

-- A CA with a key here, or one that is elsewhere.
local function resolve_ca(folder, each)
  if not each.backend then return resolve_identity(folder, each) end
  each.cert = absolute(folder, each.cert)
  for _, key in ipairs { "chain", "file", "password_file", "bearer_file", "auth_key_file" } do
    if each[key] then each[key] = absolute(folder, each[key]) end
  end
  if each.trust and each.trust ~= "system" then each.trust = absolute(folder, each.trust) end
  if each.identity then resolve_identity(folder, each.identity) end
  resolve_command(folder, each.command)
end

-- Beside the ledger, unless told: in a folder that no other account writes in.
local function resolve_control(config, folder)
  if config.control == false then return end
  config.control = config.control or { mode = "0600" }
  local path = config.control.path
  config.control.is_beside_ledger = not path
  config.control.path = path and absolute(folder, path)
    or config.ledger:match "^(.*/)[^/]*$" .. "control.sock"
end

-- Keys in a file, or at an address.
local function resolve_bearer(folder, bearer)
  if not key_sources.is_address(bearer.jwks) then
    bearer.jwks = absolute(folder, bearer.jwks)
    return
  end
  if bearer.jwks_trust ~= "system" then bearer.jwks_trust = absolute(folder, bearer.jwks_trust) end
  if bearer.jwks_token_file then
    bearer.jwks_token_file = absolute(folder, bearer.jwks_token_file)
  end
end

local function resolve(config, folder)
  config.ledger = absolute(folder, config.ledger)
  resolve_control(config, folder)
  if config.tls and not config.tls.auto then resolve_identity(folder, config.tls) end
  resolve_ca(folder, config.ca)
  for _, each in pairs(config.cas) do resolve_ca(folder, each) end
  if config.cmc then resolve_identity(folder, config.cmc) end
  for key, file in pairs(config.anchors) do config.anchors[key] = absolute(folder, file) end
  for i, file in ipairs(config.crls) do config.crls[i] = absolute(folder, file) end
  for _, each in pairs(config.labels) do
    local files = {}
    for i, policy in ipairs(each.policies) do
      policy.file = absolute(folder, policy.file)
      files[i] = policy.file
    end
    each.policy = table.concat(files, ", ")
    if each.shadow then each.shadow.file = absolute(folder, each.shadow.file) end
    if each.bearer then resolve_bearer(folder, each.bearer) end
  end
  config.folder = folder
end

-- The line of each option of a policy.
local function add_lines(policy, source)
  policy.lines = {}
  for option in pairs(policy.options) do
    policy.lines[option] = source and configuration.line_of(source, option)
  end
end

--- The policies of each label as a list, in which an option knows its line.
local function list_policies(config, source, report)
  for name, each in pairs(config.labels) do
    local where = "labels." .. name
    if each.policy and each.policies then
      report(where .. ".policies", "stands beside 'policy': give one of them")
    elseif not each.policy and not each.policies then
      report(where .. ".policy", "is missing")
    end
    for i, policy in ipairs(each.policies or {}) do
      policy.where = ("%s.policies[%d]"):format(where, i)
    end
    if each.policy then each.policy.where = where .. ".policy" end
    each.policies = each.policies or { each.policy }
    for _, policy in ipairs(each.policies) do add_lines(policy, source) end
    if each.shadow then
      each.shadow.where = where .. ".shadow"
      add_lines(each.shadow, source)
    end
  end
end

--- The kinds that any entry of `auth` names, and whether some entry does without a certificate.
local function read_auth(auth)
  local accepts, without_certificate = {}, false
  for _, entry in ipairs(auth) do
    local certificate = false
    for _, kind in ipairs(entry) do
      accepts[kind] = true
      certificate = certificate or kind == "certificate"
    end
    without_certificate = without_certificate or not certificate
  end
  return accepts, without_certificate
end

local function has_ca_elsewhere(config, label)
  for _, name in ipairs(label.cas) do
    local ca = name == "" and config.ca or config.cas[name]
    if ca and ca.backend then return true end
  end
  return false
end

--- The CAs that may issue for a label, of which `ca` is the first: "" is the top level's `ca`.
local function check_cas(config, each, where, report)
  if each.ca and each.cas then report(where .. ".cas", "stands beside 'ca': give one of them") end
  local key = each.cas and ".cas" or ".ca"
  each.cas = each.cas or { each.ca }
  for _, name in ipairs(each.cas) do
    if not config.cas[name] then
      report(where .. key, ("'%s' is not in cas%s"):format(name, schema.hint(name, config.cas)))
    end
  end
  each.ca = each.cas[1]
  each.cas[1] = each.cas[1] or ""
  -- An order outlives the request that waits for it, and a key that is made must not.
  if each.makes_keys and has_ca_elsewhere(config, each) then
    report(where .. key, "is elsewhere, and a profile of the label has 'server_keys': keys are "
      .. "made for CAs of this server alone")
  end
end

--- The CA of the server's own certificate: "" is the top level's `ca`.
local function check_auto(config, report)
  local auto = config.tls and config.tls.auto
  if not auto then return end
  if auto.ca and not config.cas[auto.ca] then
    report("tls.auto.ca", ("'%s' is not in cas%s"):format(auto.ca, schema.hint(auto.ca,
      config.cas)))
  end
  auto.ca = auto.ca or ""
  local ca = auto.ca == "" and config.ca or config.cas[auto.ca]
  if ca and ca.backend then
    report("tls.auto", "is for a CA of this server, and this one is elsewhere (`backend`): give "
      .. "`cert` and `key`, which an EST client renews")
  end
end

--- What the addresses need, and what needs one of them.
local function check_listen(config, report)
  local has_certificate, has, is_plain = false, {}, {}
  for _, each in ipairs(config.listen_http) do is_plain[each.address] = true end
  for _, each in ipairs(config.listen) do
    local by_handshake = false
    for _, kind in ipairs(kinds.list) do
      if kind.handshake and each[kind.name] then by_handshake, has[kind.name] = true, true end
    end
    has_certificate = has_certificate or not by_handshake
    if each.address == config.metrics then
      report("metrics", "is an address of 'listen' as well")
    end
    if is_plain[each.address] then
      report("listen_http", ("'%s' is an address of 'listen' as well"):format(each.address))
    end
  end
  if config.metrics and is_plain[config.metrics] then
    report("metrics", "is an address of 'listen_http' as well")
  end
  if #config.listen + #config.listen_http > LISTENERS_MAX then
    report("listen_http", ("there are more than %d addresses with those of 'listen'"):format(
      LISTENERS_MAX))
  end
  if has_certificate and not config.tls then report("tls", "is missing") end
  if has.srp and config.tls and config.tls.min_version == "1.3" then
    report("tls.min_version", "is 1.3, and SRP, which an address of 'listen' takes, ends with 1.2")
  end
  for name, label in pairs(config.labels) do
    for _, kind in ipairs(kinds.list) do
      if kind.handshake and label.accepts[kind.name] and not has[kind.name] then
        report(("labels.%s.auth"):format(name), ("takes '%s', and no address of 'listen' does: "
          .. "listen = { { address = \"[::]:8444\", %s = true } }"):format(kind.name, kind.name))
      end
    end
  end
end

-- What is about an address is for one, and has its defaults there.
local function check_bearer(bearer, where, report)
  local is_address = key_sources.is_address(bearer.jwks)
  for _, key in ipairs { "jwks_trust", "jwks_token_file", "jwks_keep" } do
    if bearer[key] and not is_address then
      report(("%s.%s"):format(where, key), "is for keys at an address, and 'jwks' is a file")
    end
  end
  if not is_address then return end
  bearer.jwks_trust = bearer.jwks_trust or "system"
  bearer.jwks_keep = bearer.jwks_keep or KEEP_S
end

--- What one table's schema cannot see: names that must exist in another part.
local function cross_check(config, report)
  if not config.labels.default then
    report("labels", "must have 'default', for requests without a label")
  end
  for label_name, each in pairs(config.labels) do
    local where = "labels." .. label_name
    if each.profile and each.profiles then
      report(where .. ".profiles", "stands beside 'profile': give one of them")
    end
    each.profiles = each.profiles or { each.profile }
    if #each.profiles == 0 then report(where .. ".profile", "is missing") end
    each.profile = each.profiles[1]
    local profiles = {}
    for _, profile_name in ipairs(each.profiles) do
      if config.profiles[profile_name] then
        table.insert(profiles, config.profiles[profile_name])
      else
        report(where .. ".profile", ("'%s' is not in profiles%s"):format(profile_name,
          schema.hint(profile_name, config.profiles)))
      end
    end
    for _, profile in ipairs(profiles) do
      each.makes_keys = each.makes_keys or profile.server_keys ~= nil
    end
    if profiles[1] then
      local der, problem = csrattrs.of_label(each.csrattrs, profiles)
      if der == nil then report(where .. ".csrattrs", problem) end
      each.csrattrs = der and core.base64.encode(der)
    end
    check_cas(config, each, where, report)
    each.renews = each.renews or { label_name }
    for _, other in ipairs(each.renews) do
      if not config.labels[other] then
        report(where .. ".renews", ("'%s' is not in labels%s"):format(other,
          schema.hint(other, config.labels)))
      end
    end
    if each.anchors then
      for _, anchor in ipairs(each.anchors) do
        if not config.anchors[anchor] then
          report(where .. ".anchors", ("'%s' is not in anchors%s"):format(anchor,
            schema.hint(anchor, config.anchors)))
        end
      end
    else
      each.anchors = list.sorted_keys(config.anchors)
    end
    each.accepts, each.without_certificate = read_auth(each.auth)
    if each.accepts.challenge and has_ca_elsewhere(config, each) then
      report(where .. ".auth", "has 'challenge': no CSR with a secret in it is sent to a CA "
        .. "elsewhere")
    end
    if each.expired_grace > 0 and not each.accepts.certificate then
      report(where .. ".expired_grace", "is for client certificates, and 'auth' takes none")
    end
    if each.bearer then check_bearer(each.bearer, where .. ".bearer", report) end
    if each.bearer and not each.accepts.bearer then
      report(where .. ".bearer", "is for \"bearer\", which 'auth' does not take")
    end
    for _, option in ipairs { "confirm", "cmc_sha1" } do
      if each[option] and not each.fullcmc then
        report(where .. "." .. option, "is for a label with `fullcmc = true`")
      end
    end
    if each.fullcmc and not config.cmc then
      report(where .. ".fullcmc", "needs `cmc`, who signs its answers")
    end
    for _, name in ipairs(each.fullcmc and each.cas or {}) do
      local ca = name == "" and config.ca or config.cas[name]
      if ca and ca.backend then
        report(where .. ".fullcmc", "is not for a CA that is elsewhere (`backend`)")
      end
    end
    if #each.anchors == 0 and not each.without_certificate then
      report(where .. ".auth", "needs a client certificate, and there are no anchors for one")
    end
  end
  if config.crl and config.crl.refresh >= config.crl.lifetime then
    report("crl.refresh", "is to come before the end of `lifetime`: the CRL before is over then")
  end
  if config.cas.ca then
    report("cas.ca", "has the name that `ca` bears in the paths of what is published")
  end
  check_listen(config, report)
  check_auto(config, report)
  if config.user and config.user == config.authority_user then
    report("authority_user", "must not be the same as 'user'")
  end
  for _, other in ipairs { "user", "authority_user" } do
    if config.backend_user and config.backend_user == config[other] then
      report("backend_user", ("must not be the same as '%s'"):format(other))
    end
  end
end

--- Check a configuration table and resolve its paths against a folder.
---@param raw any
---@param file string for messages
---@param folder string absolute
---@param source? string the file's text, for line numbers
---@return table|nil config
---@return lest.error|nil err code config
function M.check(raw, file, folder, source)
  local config, problems = schema.check(shape, raw)
  if config then
    problems = {}
    local function report(where, problem)
      table.insert(problems, { path = where, problem = problem })
    end
    list_policies(config, source, report)
    cross_check(config, report)
    if #problems == 0 then
      resolve(config, folder)
      config.file = file
      return config
    end
  end
  return configuration.error(file, source, problems)
end

--- Load a configuration file.
---@param file string
---@param overrides? { listen: string[] } what the command line says
---@return table|nil config
---@return lest.error|nil err
function M.load(file, overrides)
  local source, err = core.file.read(file, FILE_MAX)
  if not source then
    return fail("config", "the configuration cannot be read", { cause = err })
  end
  return M.parse(source, file, overrides)
end

--- As load, for a text that was read already; `file` says where it came from.
---@param source string
---@param file string
---@param overrides? { listen: string[] }
---@return table|nil config
---@return lest.error|nil err
function M.parse(source, file, overrides)
  local folder = core.file.absolute(configuration.folder_of(file))
  if not utf8.len(folder) then return fail("config", "the configuration's folder is not UTF-8") end
  local raw, err = configuration.run(source, file)
  if not raw then return nil, err end
  for key, value in pairs(overrides or {}) do
    local _, problems = schema.check(shape.fields[key], value)
    if problems then
      local of = problems[1].path:match "%a[%w_]*$"
      of = of and of .. ": " or ""
      return fail("config", ("--%s: %s%s"):format(key, of, problems[1].problem))
    end
    raw[key] = value
  end
  return M.check(raw, file, folder, source)
end

return M
