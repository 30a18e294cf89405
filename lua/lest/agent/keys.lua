--- Keys of identities: how they are made, and where they are kept.
---
---   local keeper = keys.keeper { key = "ec:P-256" }
---   local key = assert(keeper:make())
---   assert(keeper:save(key, "state/dev9/next/key.pem"))
---
--- `key` is a kind: made by this machine, or by its TPM, whose file is of use there alone. Or it is
--- the URI of a key that is in a token: then key.pem is a line with that URI, and nothing is made.
local core = require "lest.core"
local fail = require "lest.base.fail"
local key_kinds = require "lest.base.key_kinds"
local mark = require "lest.base.mark"

local M = {}

local PIN_MAX <const>, FILE_MAX <const> = 4096, 64 * 1024
-- By csrc/pki/key/hardware.c.
local TPM <const>, TPM_KIND <const> = "tpm2:", "^tpm2:(ec:P%-%d+)$"
local IN_TOKEN <const> = { "^pkcs11:.", "^handle:.", "^object:." }

--- Whether a text is the URI of a key that is there already.
---@param text string
---@return boolean
function M.is_in_token(text)
  for _, pattern in ipairs(IN_TOKEN) do
    if text:find(pattern) then return true end
  end
  return false
end

-- To make a key is how it is told whether there is such a kind: once for each, not for each device.
local kinds <const> = {}

--- A kind, or a URI, as a person has written it. No device is asked.
---@param value any
---@return string|nil
---@return string|nil problem nil where it is no text
function M.accept(value)
  if type(value) ~= "string" then return nil end
  if M.is_in_token(value) then
    if value:find "pin%-value" then return nil, "a PIN stands in key_pin_file, not in the URI" end
    return value
  end
  local kind = value:match(TPM_KIND) or value
  if kind == value and value:find("^" .. TPM) then
    return nil, "a TPM makes keys of curves, as \"tpm2:ec:P-256\""
  end
  if not kinds[kind] then
    local accepted, problem = key_kinds.makeable(kind)
    if not accepted then return nil, problem end
    kinds[kind] = accepted
  end
  return value
end

---@class lest.agent.keeper
---@field spec string
---@field pin_file? string
local Keeper = { __name = "lest.agent.keeper" }
Keeper.__index = Keeper

--- Who makes, writes and reads the keys of an identity.
---@param options { key: string, key_pin_file?: string }
---@return lest.agent.keeper
function M.keeper(options)
  return setmetatable({ spec = options.key, pin_file = options.key_pin_file }, Keeper)
end

local function load_from_token(self, uri)
  local pin
  if self.pin_file then
    local text, err = core.file.read(self.pin_file, PIN_MAX)
    if not text then return nil, err end
    pin = mark.strip(text):match "^([^\r\n%z]+)"
    if not pin then return fail("usage", self.pin_file .. ": its first line is to be the PIN") end
  end
  return core.key.load(uri, { passphrase = pin })
end

--- A key to ask a certificate for: a new one, unless it is in a token.
---@return lest.key?
---@return lest.error? err
function Keeper:make()
  if M.is_in_token(self.spec) then return load_from_token(self, self.spec) end
  return core.key.generate(self.spec)
end

--- Write it to a new file of mode 0600, durably.
---@param key lest.key
---@param path string
---@return true?
---@return lest.error? err
function Keeper:save(key, path)
  if not M.is_in_token(self.spec) then return key:save(path, { new = true }) end
  return core.file.write(path, self.spec .. "\n", { mode = 384, new = true }) -- 0600
end

-- A key, or nil, the error, and true: what is missing is the device, and not the key.
local function from_device(key, err)
  if key then return key end
  return nil, err, true
end

--- The key that save() has written; of a token the one that its URI names now.
---@param path string
---@return lest.key?
---@return lest.error? err
---@return boolean? away the device that has it does not give it now
function Keeper:load(path)
  local text, err = core.file.read(path, FILE_MAX)
  if not text then return nil, err end
  local uri = text:match "^([^\n]*)\n$"
  if uri and M.is_in_token(uri) then return from_device(load_from_token(self, uri)) end
  if text:find("^%-%-%-%-%-BEGIN TSS2 ") and self.spec:find("^" .. TPM) then
    return from_device(core.key.load(TPM .. path))
  end
  return core.key.load(path, { own = true })
end

return M
