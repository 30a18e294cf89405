--- Keys of identities: how they are made, and where they are kept.
---
---   local key = assert(keys.make "ec:P-256")
---   assert(keys.save(key, "state/dev9/next/key.pem"))
local core = require "lest.core"

local M = {}

--- Make a key.
---@param spec string "ec:P-256"
---@return lest.key?
---@return lest.error? err
function M.make(spec)
  return core.key.generate(spec)
end

--- Write it to a new file of mode 0600, durably.
---@param key lest.key
---@param path string
---@return true?
---@return lest.error? err
function M.save(key, path)
  return key:save(path, { new = true })
end

--- The key that save() has written.
---@param path string
---@return lest.key?
---@return lest.error? err
function M.load(path)
  return core.key.load(path, { own = true })
end

return M
