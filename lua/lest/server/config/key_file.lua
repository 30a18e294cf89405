--- A file with private keys, as `key` of the configuration names one: keys in PEM, or lines with
--- the URIs of keys in hardware ("pkcs11:token=ca;object=2026"), or both, in their order. That of a
--- CA has two while its key changes (`lest ca rollover`).
---
---   local keys, texts = key_file.load_all("/etc/lest/ca.key", { passphrase = pin })
local core = require "lest.core"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"

local M = {}

local FILE_MAX <const>, KEYS_MAX <const> = 256 * 1024, 8
-- By csrc/pki/key/hardware.c.
local URIS <const> = { "^pkcs11:.", "^handle:.", "^object:.", "^tpm2:." }

--- Whether a text names a key in hardware.
---@param text string
---@return boolean
function M.is_in_hardware(text)
  for _, pattern in ipairs(URIS) do
    if text:find(pattern) then return true end
  end
  return false
end

-- The private keys of a text, each as it stands there; and whether a URI is among them.
local function split(text)
  local texts, has_uri, block = {}, false, nil
  -- An empty line ends the headers of a block.
  for line in (mark.strip(text) .. "\n"):gmatch "([^\r\n]*)\r?\n" do
    if line:find "^%-%-%-%-%-BEGIN .*PRIVATE KEY%-%-%-%-%-" then block = {} end
    if block then table.insert(block, line) end
    if block and line:find "^%-%-%-%-%-END " then
      table.insert(texts, table.concat(block, "\n"))
      block = nil
    elseif not block and M.is_in_hardware(line) then
      table.insert(texts, line)
      has_uri = true
    end
  end
  return texts, has_uri
end

local function load_each(path, texts, how)
  if #texts > KEYS_MAX then
    return fail("too_large", ("%s has more than %d keys"):format(path, KEYS_MAX))
  end
  local keys = {}
  for i, text in ipairs(texts) do
    local load = M.is_in_hardware(text) and core.key.load or core.key.parse
    local key, err = load(text, how)
    if not key then
      err.message = ("%s: key %d: %s"):format(path, i, err.message)
      return nil, err
    end
    keys[i] = key
  end
  return keys, texts
end

--- All keys of a file, and each as it stands there. A file in DER has one, and no texts.
---@param path string
---@param how? { passphrase?: string } of each that is encrypted, and a token's PIN
---@return lest.key[]? keys
---@return string[]|lest.error texts
function M.load_all(path, how)
  local text, err = core.file.read(path, FILE_MAX)
  if not text then return nil, err end
  local texts, has_uri = split(text)
  if has_uri then return load_each(path, texts, how) end
  local keys, key
  key, err = core.key.load(path, how)
  if not key then return nil, err end
  keys = core.key.load_all(path, how)
  return keys or { key }, keys and #keys == #texts and texts or {}
end

return M
