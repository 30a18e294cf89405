--- The server's configuration: a Lua file that returns a table, checked against a closed schema.
---
---   local config, err = config.load "server.lua"
---
--- Every path in the result is absolute, every duration is seconds, every absent key has its
--- default. A mistake is an error that names the line, the key's path and the nearest right word.
local core = require "lest.core"
local schema = require "lest.schema"
local cjson = require "cjson"

local M = {}

local s <const> = schema

--- The most bytes of a configuration, which a person writes.
local FILE_MAX <const> = 1024 * 1024

local path = s.string { max = 4000, pattern = "^[^%z]+$", what = "a path" }
local name = s.string { max = 64, pattern = "^[%w][%w._-]*$",
  what = "a name (letters, digits, '.', '_', '-')" }
local url = s.string { max = 1000, pattern = "^%a[%w+.-]*:%S+$", what = "a URL" }

local function account(value)
  if math.type(value) == "integer" and value > 0 then return tostring(value) end
  if type(value) == "string" and value:find "^[%w_][%w_.-]*%$?$" then return value end
end

-- A certificate and its key: see lest.identity.
local function identity(fields)
  fields.cert = path
  fields.key = s.string { max = 4000 } -- a path or a URI (pkcs11:...)
  fields.passphrase_file = s.optional(path)
  fields.passphrase_command = s.optional(s.list(s.string(), { min = 1, max = 32 }))
  return s.record(fields)
end

local ca = identity { chain = s.optional(path) }

local san_type = s.one_of { "DNS", "IP", "email", "URI", "dirName", "RID", "otherName" }

local key_usage = s.one_of { "digitalSignature", "nonRepudiation", "keyEncipherment",
  "dataEncipherment", "keyAgreement", "encipherOnly", "decipherOnly" }

local PURPOSES <const> = { serverAuth = true, clientAuth = true, codeSigning = true,
  emailProtection = true, timeStamping = true, OCSPSigning = true }

local function purpose(value)
  if type(value) ~= "string" then return nil end
  if PURPOSES[value] or core.csrattrs.encode { value } then return value end
  return nil, ("'%s' is no extended key usage%s"):format(value, schema.hint(value, PURPOSES))
end

local ATTRIBUTES <const> = { CN = true, O = true, OU = true, C = true, ST = true, L = true,
  DC = true, UID = true, serialNumber = true, emailAddress = true }

local function attribute(value)
  if type(value) ~= "string" then return nil end
  if ATTRIBUTES[value] or core.name.encode { { value, "AA" } } then return value end
  return nil, ("'%s' is no attribute of a name%s"):format(value, schema.hint(value, ATTRIBUTES))
end

local KEYS <const> = { ["ec:P-256"] = true, ["ec:P-384"] = true, ["ec:P-521"] = true,
  ed25519 = true, ed448 = true }

-- Which kinds there are, OpenSSL knows; to make one of RSA takes too long.
local function key_kind(value)
  if type(value) ~= "string" then return nil end
  local low, high = value:match "^rsa:(%d+)%.%.(%d+)$"
  if not low then low = value:match "^rsa:(%d+)$" end
  if low then
    local least, most = tonumber(low), tonumber(high or low)
    if least >= 2048 and least <= most and most <= 16384 then return value end
    return nil, ("'%s' is no RSA key of 2048 to 16384 bits"):format(value)
  end
  local made = #value <= 64 and core.key.generate(value)
  if made and made.type:lower() == value:lower() then return value end
  return nil, ("'%s' is no kind of key here%s"):format(value:sub(1, 64), made
    and (": write '%s'"):format(made.type) or schema.hint(value, KEYS))
end

local profile = s.record {
  lifetime = s.duration { min = 60 },
  keys = s.list(s.custom("a kind of key", key_kind), { min = 1, single = true }),
  names = s.optional(s.one_of { "principal", "renewal", "policy" }, "principal"),
  subject = s.optional(s.list(s.custom("an attribute's name", attribute)), { "CN" }),
  san = s.optional(s.list(san_type), {}),
  key_usage = s.optional(s.list(key_usage), { "digitalSignature" }),
  eku = s.optional(s.list(s.custom("the name of a usage", purpose)), { "clientAuth" }),
  key_change = s.optional(s.one_of { "allowed", "required", "forbidden" }, "allowed"),
  backdate = s.optional(s.duration { max = 86400 }, "1m"),
  per_minute = s.optional(s.integer { min = 1, max = 1000000 }, 6000),
  crl_urls = s.optional(s.list(url, { single = true }), {}),
  ocsp_urls = s.optional(s.list(url, { single = true }), {}),
  ca_issuer_urls = s.optional(s.list(url, { single = true }), {}),
}

local csrattrs_entry = s.custom("a string or a table", function(value)
  if type(value) == "string" or type(value) == "table" then return value end
end)

local auth = s.list(s.one_of { "certificate", "basic", "certificate+basic" },
  { min = 1, single = true })

local label = s.record {
  policy = path,
  profile = s.optional(name),
  profiles = s.optional(s.list(name, { min = 1 })),
  auth = s.optional(auth, { "certificate" }),
  anchors = s.optional(s.list(name, { single = true })),
  ca = s.optional(name),
  renews = s.optional(s.list(s.string { max = 128 }, { min = 1, single = true })),
  csrattrs = s.optional(s.list(csrattrs_entry, { max = 64 })),
  realm = s.optional(s.string { max = 64, pattern = '^[^%c"\\]+$', what = "a realm" }, "lest"),
  wrap = s.optional(s.integer { max = 76 }, 64),
  transfer_encoding = s.optional(s.boolean(), true),
  error_bodies = s.optional(s.boolean(), false),
  retry_after = s.optional(s.duration { min = 1 }, "1m"),
  pending_expires = s.optional(s.duration { min = 60 }, "7d"),
  lost_answer = s.optional(s.duration {}, "1h"),
}

-- What the server of the core bounds has its defaults and its range from there.
local CORE_LIMITS <const> = core.server.limits()

local function period(key)
  local limit = CORE_LIMITS[key]
  return s.optional(s.duration { min = 1, max = limit.max // 1000 }, limit.default // 1000)
end

local function bounded(shape, key)
  local limit = CORE_LIMITS[key]
  return s.optional(shape { min = math.max(1, limit.min), max = limit.max }, limit.default)
end

local limits = s.record {
  handshake = period "handshake_ms",
  header = period "header_ms",
  body = period "body_ms",
  answer = period "answer_ms",
  write = period "write_ms",
  idle = period "idle_ms",
  decision = s.optional(s.duration { min = 1, max = 86400 }, "10s"),
  decision_memory = s.optional(s.size { min = 65536 }, "64MiB"),
  header_size = bounded(s.size, "header_max"),
  body_size = bounded(s.size, "body_max"),
  connections = bounded(s.integer, "connections_max"),
  connections_per_address = bounded(s.integer, "connections_per_address_max"),
  requests = bounded(s.integer, "requests_max"),
  requests_per_connection = bounded(s.integer, "requests_per_connection_max"),
  failures_per_minute = s.optional(s.integer { min = 1 }, 10),
  address_failures_per_minute = s.optional(s.integer { min = 1 }, 60),
  requests_per_principal_per_minute = s.optional(s.integer { min = 1 }, 600),
  pending_per_principal = s.optional(s.integer { min = 1 }, 64),
  scrypt_threads = s.optional(s.integer { min = 1, max = 64 }, 2),
  scrypt_queue = s.optional(s.integer { min = 1, max = 100000 }, 64),
}

local function listen_address(value)
  local host, port = tostring(value):match "^%[([%x:.]+)%]:(%d+)$"
  if not host then host, port = tostring(value):match "^([%d.]+):(%d+)$" end
  if not host or tonumber(port) > 65535 then
    local problem = "'%s' is no address: write one as \"[::]:8443\" or \"127.0.0.1:8443\""
    return nil, problem:format(tostring(value))
  end
  return value
end

local listen = s.list(s.custom("an address", listen_address), { min = 1, max = 16, single = true })

local server = s.record {
  listen = s.optional(listen, { "[::]:8443" }),
  tls = identity { min_version = s.optional(s.one_of { "1.2", "1.3" }, "1.2") },
  ledger = s.optional(path, "ledger.db"),
  user = s.optional(s.custom("a user's name or number", account)),
  authority_user = s.optional(s.custom("a user's name or number", account)),
  workers = s.optional(s.integer { min = 0, max = 256 }, 0), -- 0: one a processor
  ca = ca,
  cas = s.optional(s.map(ca), {}),
  anchors = s.optional(s.map(path), {}),
  crls = s.optional(s.list(path, { single = true }), {}),
  crl_required = s.optional(s.boolean(), false),
  profiles = s.map(profile),
  labels = s.map(label, { key = function(key)
    if key == "default" then return true end
    return core.est.label_check(key)
  end }),
  limits = s.optional(limits, {}),
  watchdog = s.optional(s.duration { min = 2, max = 86400 }, "10s"),
  drain = s.optional(s.duration { min = 1, max = 86400 }, "30s"),
  log_level = s.optional(s.one_of { "debug", "info", "warning", "error" }, "info"),
}

--- The line of `source` on which the last name of a path is written, if that can be told.
local function line_of(source, where)
  local key = where:match "([%w_]+)[%d%[%]]*$"
  if not key then return nil end
  local line, found = 0, nil
  for text in (source .. "\n"):gmatch "(.-)\n" do
    line = line + 1
    local code = text:gsub("%-%-.*$", "")
    if code:find("%f[%w_]" .. key .. "%f[^%w_]%s*=")
      or code:find('%[%s*["\']' .. key .. '["\']%s*%]%s*=') then
      if found then return nil end
      found = line
    end
  end
  return found
end

local function config_error(file, source, problems)
  local sentences = {}
  for i, problem in ipairs(problems) do
    if i > 8 then
      sentences[i] = ("and %d more"):format(#problems - 8)
      break
    end
    local line = source and line_of(source, problem.path)
    sentences[i] = ("%s: %s%s"):format(line and ("%s:%d"):format(file, line) or file,
      problem.path ~= "" and problem.path .. ": " or "", problem.problem)
  end
  return core.error.new { code = "config", message = table.concat(sentences, "\n") }
end

local function absolute(folder, file)
  if file:sub(1, 1) == "/" then return file end
  return folder .. "/" .. file
end

local function is_uri(text)
  return text:find "^%a[%w+.-]+:" ~= nil
end

-- A program without a slash is looked for along PATH; "file:" is no URI before a relative path.
local function resolve_identity(folder, each)
  each.cert = absolute(folder, each.cert)
  each.key = each.key:gsub("^[fF][iI][lL][eE]:([^/])", "%1")
  if not is_uri(each.key) then each.key = absolute(folder, each.key) end
  if each.chain then each.chain = absolute(folder, each.chain) end
  if each.passphrase_file then each.passphrase_file = absolute(folder, each.passphrase_file) end
  local command = each.passphrase_command
  if command and command[1]:find("/", 1, true) then command[1] = absolute(folder, command[1]) end
end

local function resolve(config, folder)
  config.ledger = absolute(folder, config.ledger)
  resolve_identity(folder, config.tls)
  resolve_identity(folder, config.ca)
  for _, each in pairs(config.cas) do resolve_identity(folder, each) end
  for key, file in pairs(config.anchors) do config.anchors[key] = absolute(folder, file) end
  for i, file in ipairs(config.crls) do config.crls[i] = absolute(folder, file) end
  for _, each in pairs(config.labels) do each.policy = absolute(folder, each.policy) end
end

local function takes_password_alone(label_options)
  for _, kind in ipairs(label_options.auth) do
    if kind == "basic" then return true end
  end
  return false
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
    for _, profile_name in ipairs(each.profiles) do
      if not config.profiles[profile_name] then
        report(where .. ".profile", ("'%s' is not in profiles%s"):format(profile_name,
          schema.hint(profile_name, config.profiles)))
      end
    end
    if each.csrattrs then -- the list as a whole: a digest needs the key beside it
      local ok, der, err = pcall(core.csrattrs.encode, each.csrattrs)
      if not ok or not der then report(where .. ".csrattrs", tostring(ok and err or der)) end
    end
    if each.ca and not config.cas[each.ca] then
      report(where .. ".ca", ("'%s' is not in cas%s"):format(each.ca,
        schema.hint(each.ca, config.cas)))
    end
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
      each.anchors = {}
      for anchor in pairs(config.anchors) do table.insert(each.anchors, anchor) end
      table.sort(each.anchors)
    end
    if #each.anchors == 0 and not takes_password_alone(each) then
      report(where .. ".auth", "needs a client certificate, and there are no anchors for one")
    end
    if each.wrap % 4 ~= 0 then
      report(where .. ".wrap", "must be a multiple of 4, or 0 for one line")
    end
  end
  if config.user and config.user == config.authority_user then
    report("authority_user", "must not be the same as 'user'")
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
  local config, problems = schema.check(server, raw)
  if config then
    problems = {}
    cross_check(config, function(where, problem)
      table.insert(problems, { path = where, problem = problem })
    end)
    if #problems == 0 then
      resolve(config, folder)
      config.file = file
      return config
    end
  end
  return nil, config_error(file, source, problems)
end

local function parent(file)
  local folder = file:match "^(.*)/[^/]*$"
  if folder == "" then return "/" end
  return folder or "."
end

--- Load a configuration file.
---@param file string
---@param overrides? { listen: string[] } what the command line says
---@return table|nil config
---@return lest.error|nil err
function M.load(file, overrides)
  local source, err = core.file.read(file, FILE_MAX)
  if not source then
    return nil, core.error.new { code = "config", message = "the configuration cannot be read",
      cause = err }
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
  local folder = core.file.absolute(parent(file))
  local env = setmetatable({}, { __index = _G, __newindex = function(_, key)
    error(("'%s' is assigned as a global: put 'local' before it"):format(tostring(key)), 2)
  end })
  local chunk, problem = load(source, "@" .. file, "t", env)
  if not chunk then return nil, core.error.new { code = "config", message = problem } end
  local ok, raw = pcall(chunk)
  if not ok then return nil, core.error.new { code = "config", message = tostring(raw) } end
  if type(raw) ~= "table" then
    return nil, core.error.new { code = "config", message = file .. ": must return a table" }
  end
  for key, value in pairs(overrides or {}) do
    local _, problems = schema.check(server.fields[key], value)
    if problems then
      return nil, core.error.new { code = "config",
        message = ("--%s: %s"):format(key, problems[1].problem) }
    end
    raw[key] = value
  end
  return M.check(raw, file, folder, source)
end

--- An error with the key of the configuration that it is about, as wrong as any other there.
---@param where string "ca.key"
---@param err lest.error
---@return nil
---@return lest.error
function M.blame(where, err)
  return nil, core.error.new { code = err.code, message = ("%s: %s"):format(where, err.message),
    detail = err.detail, cause = err.cause, exit_code = 2 }
end

--- Say why a role cannot start: in a check as a sentence, else in the log.
---@param context table what the host gives a role
---@param err lest.error
---@return integer exit_code
function M.cannot_start(context, err)
  if context.check then
    io.stderr:write("lest serve: ", (tostring(err):gsub("%s*\n%s*", "; ")), "\n")
  else
    core.log.write("error", "cannot start", { "message", tostring(err) })
  end
  return err.exit_code or 1
end

--- What the supervisor, which has no Lua, needs to know: a list of { key, value }.
---@return string[][]
function M.supervisor(config)
  local lines = {}
  for _, address in ipairs(config.listen) do table.insert(lines, { "listen", address }) end
  if config.user then table.insert(lines, { "user", config.user }) end
  if config.authority_user then table.insert(lines, { "authority_user", config.authority_user }) end
  if config.workers > 0 then table.insert(lines, { "workers", tostring(config.workers) }) end
  table.insert(lines, { "watchdog_s", tostring(config.watchdog) })
  table.insert(lines, { "drain_s", tostring(config.drain) })
  return lines
end

--- The files that every process of a generation must see alike, whenever it starts: a list of
--- { key, path }. The supervisor reads them once.
---@return string[][]
function M.files(config)
  local list, listed = {}, {}
  local function add(key, file)
    if not listed[file] then table.insert(list, { key, file }) end
    listed[file] = true
  end
  for key, each in pairs(config.labels) do add(("labels.%s.policy"):format(key), each.policy) end
  for key, file in pairs(config.anchors) do add("anchors." .. key, file) end
  for i, file in ipairs(config.crls) do add(("crls[%d]"):format(i), file) end
  return list
end

--- The share of one worker in a count that is for the whole server.
---@param count integer
---@param workers integer
---@return integer
function M.share(count, workers)
  return (count + workers - 1) // workers
end

--- The configuration as the roles get it.
---@return string json
function M.json(config)
  return cjson.encode(config)
end

--- The reverse of json(), in a role; config.files has the texts of files(), by their paths.
---@param text string
---@param files? table<string, string>
---@return table config
function M.from_json(text, files)
  local config = cjson.decode(text)
  -- JSON numbers are floats to cjson: every number of a configuration is whole.
  local function whole(value)
    if type(value) == "number" then return math.tointeger(value) or value end
    if type(value) == "table" then
      for key, item in pairs(value) do value[key] = whole(item) end
    end
    return value
  end
  whole(config)
  config.files = files
  return config
end

--- The anchors and CRLs of a role's configuration.
---@return table<string, lest.cert[]>|nil anchors by name
---@return lest.crl[]|lest.error crls
function M.trust(config)
  local anchors, crls = {}, {}
  for key, file in pairs(config.anchors) do
    local err
    anchors[key], err = core.cert.parse_all(config.files[file])
    if not anchors[key] then return M.blame(("anchors.%s: %s"):format(key, file), err) end
  end
  for i, file in ipairs(config.crls) do
    local err
    crls[i], err = core.crl.parse(config.files[file])
    if not crls[i] then return M.blame(("crls[%d]: %s"):format(i, file), err) end
  end
  return anchors, crls
end

return M
