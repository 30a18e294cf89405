--- The result of a function that could not do its work: nil and a lest.error.
---
---   if not url then return fail("usage", "the URL is missing") end
---   return fail("io", "the key cannot be moved", { detail = problem })
local core = require "lest.core"

---@param code string one of core.error.codes()
---@param message string a sentence
---@param fields? table the other fields of lest.error
---@return nil
---@return lest.error
return function(code, message, fields)
  if core.error.is(fields) then error("fail: an error is the field 'cause' of another", 2) end
  local err = fields or {}
  err.code, err.message = code, message
  return nil, core.error.new(err)
end
