--- The configuration on its way from the process that evaluates it to the roles of one generation:
--- what the supervisor must know of it, the whole as JSON, and the files that all roles see alike.
local backends = require "lest.server.config.backends"
local blame = require("lest.server.config.start_failure").blame
local core = require "lest.core"
local json = require "lest.json"
local key_sources = require "lest.server.config.key_sources"

local M = {}

--- Whether something is elsewhere that a process of its own asks: a CA, or an issuer's keys.
---@param config table
---@return boolean
function M.has_backend(config)
  return backends.any(config) or key_sources.list(config)[1] ~= nil
end

--- What the supervisor, which has no Lua, needs to know: a list of { key, value }.
---@return string[][]
function M.supervisor(config)
  local lines = {}
  for _, each in ipairs(config.listen) do table.insert(lines, { "listen", each.address }) end
  for _, each in ipairs(config.listen_http) do
    table.insert(lines, { "listen_http", each.address })
  end
  if config.metrics then table.insert(lines, { "metrics", config.metrics }) end
  if config.control then
    local is_beside = config.control.is_beside_ledger
    table.insert(lines, { is_beside and "control_beside_ledger" or "control", config.control.path })
    table.insert(lines, { "control_mode", tostring(tonumber(config.control.mode, 8)) })
    if config.control.group then
      table.insert(lines, { "control_group", config.control.group })
    end
  end
  if config.user then table.insert(lines, { "user", config.user }) end
  if config.authority_user then table.insert(lines, { "authority_user", config.authority_user }) end
  if M.has_backend(config) then table.insert(lines, { "backend", "1" }) end
  if config.backend_user then table.insert(lines, { "backend_user", config.backend_user }) end
  if config.workers > 0 then table.insert(lines, { "workers", tostring(config.workers) }) end
  table.insert(lines, { "watchdog_s", tostring(config.watchdog) })
  table.insert(lines, { "drain_s", tostring(config.drain) })
  if config.policy_tests then table.insert(lines, { "policy_tests", "1" }) end
  table.insert(lines, { "shutdown_delay_s", tostring(config.shutdown_delay) })
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
  for _, each in pairs(config.labels) do
    for _, policy in ipairs(each.policies) do add(policy.where, policy.file) end
    if each.shadow then add(each.shadow.where, each.shadow.file) end
  end
  for key, file in pairs(config.anchors) do add("anchors." .. key, file) end
  for key, ca in pairs(config.cas) do
    if ca.file then add(("cas.%s.file"):format(key), ca.file) end
  end
  if config.ca.file then add("ca.file", config.ca.file) end
  for i, file in ipairs(config.crls) do add(("crls[%d]"):format(i), file) end
  return list
end

--- The configuration as the roles get it.
---@return string json
function M.json(config)
  return json.line(config)
end

--- The reverse of json(), in a role; config.files has the texts of files(), by their paths.
---@param text string
---@param files? table<string, string>
---@return table config
function M.from_json(text, files)
  local config = assert(json.decode(text))
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
    if not anchors[key] then return blame(("anchors.%s: %s"):format(key, file), err) end
  end
  for i, file in ipairs(config.crls) do
    local err
    crls[i], err = core.crl.parse(config.files[file])
    if not crls[i] then return blame(("crls[%d]: %s"):format(i, file), err) end
  end
  return anchors, crls
end

return M
