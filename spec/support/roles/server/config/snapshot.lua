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

--- It may be as long as the configuration says, or missing: the role ends well before it.
function M.json(config)
  if config.ends_early then os.exit(0, true) end
  local json = cjson.encode(config)
  return json .. (" "):rep((config.json_size or 0) - #json)
end

return M
