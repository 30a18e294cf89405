-- A configuration without a schema, for specs of the host.
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

return M
