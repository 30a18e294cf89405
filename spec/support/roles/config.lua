-- A configuration without a schema, for specs of the host.
local cjson = require "cjson"
local core = require "lest.core"

local M = {}

function M.parse(source, file, overrides)
  local chunk, problem = load(source, "@" .. file)
  if not chunk then return nil, core.error.new { code = "config", message = problem } end
  local ok, config = pcall(chunk)
  if not ok then return nil, core.error.new { code = "config", message = tostring(config) } end
  for key, value in pairs(overrides or {}) do config[key] = value end
  return config
end

function M.supervisor(config)
  local lines = {}
  for _, address in ipairs(config.listen) do table.insert(lines, { "listen", address }) end
  for _, key in ipairs { "user", "authority_user", "workers", "watchdog_s", "drain_s" } do
    if config[key] then table.insert(lines, { key, tostring(config[key]) }) end
  end
  for _, pair in ipairs(config.extra or {}) do table.insert(lines, pair) end
  return lines
end

function M.files(config)
  return config.files or {}
end

function M.json(config)
  return cjson.encode(config)
end

return M
