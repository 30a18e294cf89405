--- The CSR attributes of a label as the configuration has them, where no hook says otherwise
--- (RFC 7030 4.5.2).
local core = require "lest.core"

local M = {}

local function encode(entries)
  local ok, der, err = pcall(core.csrattrs.encode, entries)
  if ok and der then return der end
  return nil, ok and tostring(err) or (tostring(der):gsub("^[^:]+:%d+: ", ""))
end

--- What is configured and, as the RFC demands of a CA that insists on one kind of key, that kind.
---@param entries any[]|nil
---@param profiles table[] that may issue at the label
---@return string|false|nil der false: there is nothing to ask for; nil: see problem
---@return string? problem
function M.of_label(entries, profiles)
  entries = { table.unpack(entries or {}) }
  local der, problem = encode(entries) -- as a whole: a digest needs the key beside it
  if not der then return nil, problem end
  local keys = profiles[1].keys
  local insists = #profiles == 1 and #keys == 1
    and (keys[1]:find "^ec:" or keys[1]:find "^rsa:%d+$")
  if insists and not core.csrattrs.wishes(der).key then
    table.insert(entries, { key = keys[1] })
    return encode(entries)
  end
  return #entries > 0 and der
end

return M
