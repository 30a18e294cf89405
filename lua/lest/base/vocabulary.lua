--- Words of X.509 that a person writes: purposes of a certificate, attributes of a name. OpenSSL
--- knows which there are; the common ones are here for a hint.
---
---   vocabulary.purpose "clientauth"   --> nil, "... did you mean 'clientAuth'?"
local core = require "lest.core"
local schema = require "lest.base.schema"

local M = {}

local PURPOSES <const> = { serverAuth = true, clientAuth = true, codeSigning = true,
  emailProtection = true, timeStamping = true, OCSPSigning = true }

local ATTRIBUTES <const> = { CN = true, O = true, OU = true, C = true, ST = true, L = true,
  DC = true, UID = true, serialNumber = true, emailAddress = true }

--- An extended key usage, by its name or dotted.
---@param value any
---@return string|nil purpose
---@return string|nil problem nil where it is no text
function M.purpose(value)
  if type(value) ~= "string" then return nil end
  if PURPOSES[value] or core.csrattrs.encode { value } then return value end
  return nil, ("'%s' is no extended key usage%s"):format(value, schema.hint(value, PURPOSES))
end

--- The type of an attribute, by its name or dotted.
---@param value any
---@return string|nil attribute
---@return string|nil problem nil where it is no text
function M.attribute(value)
  if type(value) ~= "string" then return nil end
  if ATTRIBUTES[value] or core.name.encode { { value, "AA" } } then return value end
  return nil, ("'%s' is no attribute of a name%s"):format(value, schema.hint(value, ATTRIBUTES))
end

return M
