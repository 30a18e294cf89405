--- AGENT.lua: a Lua file that returns a table, checked against a closed schema.
---
---   local config, err = load.file "agent.lua"
---
--- Every path in the result is absolute, every time is seconds, every absent key has its default.
local client_options = require "lest.client.options"
local configuration = require "lest.base.configuration"
local core = require "lest.core"
local deploy = require "lest.agent.deploy"
local fail = require "lest.base.fail"
local keys = require "lest.agent.keys"
local schema = require "lest.base.schema"
local shape = require "lest.agent.shape"

local M = {}

--- The most bytes of a file that a person writes, or a program.
local FILE_MAX <const> = 16 * 1024 * 1024
-- What it may take to run: a minute of time, and memory beside the agent's own.
local RUN_MS <const> = 2000
local MEMORY_MAX <const> = 512 * 1024 * 1024

local FILES <const> = { "key_pin_file", "password_file", "proxy_password_file", "bearer_file",
  "psk_file", "srp_password_file", "challenge_file", "cert", "cert_passphrase_file" }

local function resolve(folder, each)
  for _, key in ipairs(FILES) do
    if each[key] then each[key] = configuration.absolute(folder, each[key]) end
  end
  if each.trust and each.trust ~= "system" then
    each.trust = configuration.absolute(folder, each.trust)
  end
  if each.cert_key and not configuration.is_uri(each.cert_key) then
    each.cert_key = configuration.absolute(folder, each.cert_key)
  end
  for _, file in ipairs(each.files or {}) do
    for _, key in ipairs { "path", "folder", "password_file" } do
      if file[key] then file[key] = configuration.absolute(folder, file[key]) end
    end
  end
  -- A program without a slash is looked for along PATH.
  for _, hook in ipairs(each.hooks or {}) do
    local command = hook.command
    if command and command[1]:find("/", 1, true) then
      command[1] = configuration.absolute(folder, command[1])
    end
  end
end

-- A key in a token is the same one for ever: nothing makes another there.
local function check_key(each, report)
  local is_in_token = keys.is_in_token(each.key)
  if is_in_token and each.rekey then
    report("rekey", "a key in a token stays: leave it out")
  elseif each.key_pin_file and not is_in_token then
    report("key_pin_file", "is for a key in a token, as \"pkcs11:...\"")
  end
  if each.rekey == nil then each.rekey = not is_in_token end
end

-- Secrets that stand in the configuration, or in a file that it names.
local SECRETS <const> = { "password", "proxy_password", "psk", "srp_password", "challenge",
  "bearer" }

local function check_secrets(each, report)
  for _, name in ipairs(SECRETS) do
    if each[name] and each[name .. "_file"] then
      report(name .. "_file", ("stands beside '%s': give one of them"):format(name))
    end
  end
  if each.username and not (each.password or each.password_file) then
    report("username", "needs password_file")
  elseif not each.username and (each.password or each.password_file) then
    report("password_file", "needs username")
  end
  if (each.cert ~= nil) ~= (each.cert_key ~= nil) then
    report(each.cert and "cert" or "cert_key", "cert and cert_key go together")
  end
end

-- As lest.client will read it.
local function check_url(each, report)
  local base, err = client_options.base(each)
  if not base then return report("url", err.message) end
  local renewal = each.renewal or {}
  base, err = client_options.base { url = renewal.url or each.url,
    label = renewal.label or each.label }
  if not base then report(renewal.url and "renewal.url" or "renewal.label", err.message) end
end

local function check_identity(each, report)
  check_url(each, report)
  local by_handshake = each.psk_identity or each.srp_user
  if not each.trust and not each.fingerprint and not by_handshake then
    report("trust", "is missing: how is the server known? A file of anchors, \"system\", or a "
      .. "fingerprint")
  elseif each.trust and each.fingerprint then
    report("fingerprint", "stands beside 'trust': give one of them")
  end
  if not each.subject and not each.san and not each.server_names then
    report("subject", "is missing: for which name? (or san, or server_names = true)")
  end
  local renewal = each.renewal or {}
  if renewal.credential and (renewal.url or renewal.label) then
    report("renewal.credential", "is for the server and the label of the first certificate")
  end
  if each.gateway and (not each.trust or each.trust == "system") then
    report("gateway", "needs 'trust', a file: nothing else vouches for what comes by it")
  elseif each.gateway and renewal.credential then
    report("gateway", "sends on what a certificate signs, and renewal.credential shows none")
  end
  check_secrets(each, report)
  check_key(each, report)
  for i, way in ipairs(each.fallbacks) do
    if way == "operator" and i < #each.fallbacks then
      report("fallbacks", "'operator' is the last: nothing is tried after it")
    end
  end
end

--- Check a table, and resolve its paths against a folder.
---@param raw any
---@param file string for messages
---@param folder string absolute
---@param source? string the file's text, for line numbers
---@return table|nil config
---@return lest.error|nil err code config
function M.check(raw, file, folder, source)
  local config, problems = schema.check(shape.agent, raw)
  if config then
    problems = {}
    for name, each in pairs(config.identities) do
      check_identity(each, function(key, problem)
        problems[#problems + 1] = { path = ("identities.%s.%s"):format(name, key),
          problem = problem }
      end)
    end
    if not next(config.identities) then
      problems[1] = { path = "identities", problem = "has none" }
    end
    table.sort(problems, function(a, b) return a.path < b.path end)
  end
  if #problems > 0 then return configuration.error(file, source, problems) end
  config.state = configuration.absolute(folder, config.state)
  if config.textfile then config.textfile = configuration.absolute(folder, config.textfile) end
  for _, each in pairs(config.identities) do resolve(folder, each) end
  local path, problem = deploy.conflict(config.identities)
  if path then return configuration.error(file, source, { { path = path, problem = problem } }) end
  return config
end

-- Run a chunk within bounds: a loop without end in it is a mistake, and not the end of a timer.
local function run_bounded(chunk, file)
  local limit = core.limit.new(core.clock.monotonic_ms() + RUN_MS, MEMORY_MAX)
  local thread = coroutine.create(chunk)
  local ok, raw = limit:resume(thread)
  local late = limit.expired
  limit:close()
  if late then return false, ("%s: has not ended after %d s"):format(file, RUN_MS // 1000) end
  if ok and coroutine.status(thread) ~= "dead" then
    return false, file .. ": waits for something"
  end
  return ok, raw
end

--- What the first certificate needs, and what cannot be read.
---@param each table of identities
---@return { key: string, problem: string }[]
function M.unreadable(each)
  local found = {}
  local function look(key, path)
    local text, err
    if path then text, err = core.file.read(path, FILE_MAX) end
    if err and not text then found[#found + 1] = { key = key, problem = err.message } end
  end
  for _, key in ipairs(FILES) do look(key, each[key]) end
  look("trust", each.trust ~= "system" and each.trust)
  look("cert_key", each.cert_key and not configuration.is_uri(each.cert_key) and each.cert_key)
  return found
end

--- Load a configuration file.
---@param file string
---@return table|nil config
---@return lest.error|nil err
function M.file(file)
  local source, err = core.file.read(file, FILE_MAX)
  if not source then
    return fail("config", "the configuration cannot be read", { cause = err })
  end
  local folder = core.file.absolute(configuration.folder_of(file))
  local raw
  raw, err = configuration.run(source, file, function(chunk) return run_bounded(chunk, file) end)
  if not raw then return nil, err end
  return M.check(raw, file, folder, source)
end

return M
