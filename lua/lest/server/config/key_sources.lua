--- Issuers of JSON Web Tokens whose keys are at an address: what the backend fetches, and the
--- authority verifies with. Both know one by its place in this list.
local list = require "lest.base.list"

local M = {}

---@class lest.config.key_source
---@field where string the key in the configuration, "labels.pods.bearer"
---@field url string
---@field trust string "system" or a file
---@field token_file? string whose text is shown there
---@field keep integer seconds for which its keys are good where it is away

--- Whether `jwks` is an address, and no file.
---@param jwks string
---@return boolean
function M.is_address(jwks) return jwks:find "^https://" ~= nil end

-- Labels share keys that are fetched alike.
local function name_of(bearer)
  return table.concat({ bearer.jwks, bearer.jwks_trust, bearer.jwks_token_file or "",
    bearer.jwks_keep }, "\0")
end

--- The addresses of a configuration.
---@param config table
---@return lest.config.key_source[] sources
---@return table<string, integer> places by the label
function M.list(config)
  local sources, places, known = {}, {}, {}
  for _, label in ipairs(list.sorted_keys(config.labels)) do
    local bearer = config.labels[label].bearer
    if bearer and M.is_address(bearer.jwks) then
      local name = name_of(bearer)
      if not known[name] then
        table.insert(sources, { where = ("labels.%s.bearer"):format(label), url = bearer.jwks,
          trust = bearer.jwks_trust, token_file = bearer.jwks_token_file, keep = bearer.jwks_keep })
        known[name] = #sources
      end
      places[label] = known[name]
    end
  end
  return sources, places
end

return M
