-- What the host is told of a configuration without a schema.
local cjson = require "cjson"

local M = {}

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
