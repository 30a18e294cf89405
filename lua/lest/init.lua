--- lest: Enrollment over Secure Transport (RFC 7030) in Lua.
---
---   local lest = require "lest"
---   local client = lest.client { url = "https://est.example.com", trust = "ca.pem" }
---   print(#assert(client:cacerts()))
---
--- Each field is loaded when it is first used; an unknown one raises and names the nearest.
local core = require "lest.core"

local CLASSES <const> = { "key", "csr", "cert", "crl", "store", "csrattrs", "pkcs7", "cmc",
  "issuer", "name", "san", "file", "error", "base64", "clock" }

local loaders = {
  agent = function() return require "lest.agent" end,
  client = function() return require "lest.client" end,
  http = function() return require "lest.http" end,
  url = function() return require "lest.url" end,
  json = function() return require "lest.json" end,
  duration = function() return require "lest.duration" end,
  log = function() return require "lest.log" end,
  policy = function() return require "lest.policy" end,
  spawn = function() return require "lest.task".spawn end,
  sleep = function() return require "lest.task".sleep end,
  run = function() return require "lest.task".run end,
  all = function() return require "lest.all" end,
  retry = function() return require "lest.retry".retry end,
  version = function() return core.version end,
}
for _, name in ipairs(CLASSES) do
  loaders[name] = function()
    return core[name] or error(("lest.%s is not within reach of this process"):format(name), 3)
  end
end

-- The nearest right word: a field, or a verdict, which people look for here too.
local function hint_of(name)
  local schema = require "lest.base.schema"
  local hint = schema.hint(name, loaders)
  if hint ~= "" or type(name) ~= "string" then return hint end
  local verdict = schema.nearest(name, require "lest.policy")
  return verdict and (", did you mean 'policy.%s'?"):format(verdict) or ""
end

---@type lest
local M = setmetatable({}, {
  __index = function(_, name)
    local loader = loaders[name]
    if not loader then
      error(("lest has no field '%s'%s"):format(tostring(name), hint_of(name)), 2)
    end
    return loader() -- require keeps what it has loaded
  end,
  __newindex = function(_, name)
    error(("lest.%s cannot be set"):format(tostring(name)), 2)
  end,
  __names = loaders, -- for the REPL: what can follow `lest.`
  __metatable = false,
})

return M
