--- A certificate and its private key, as a configuration names them: `ca`, each of `cas`, `tls`.
local blame = require("lest.server.config.start_failure").blame
local core = require "lest.core"
local key_file = require "lest.server.config.key_file"
local mark = require "lest.base.mark"

local M = {}

local PASSPHRASE_MAX <const> = 4096

-- What has a NUL byte is no passphrase, but a file of another kind, as a key in DER.
local function without_nul(where, text)
  if not text:find("\0", 1, true) then return text end
  return blame(where, core.error.new { code = "config", message = "it has a NUL byte, which no "
    .. "passphrase has" })
end

--- The passphrase, false where there is none, or nil and what is wrong.
local function passphrase_of(where, options)
  if options.passphrase_file then
    local text, err = core.file.read(options.passphrase_file, PASSPHRASE_MAX)
    if not text then return blame(where .. ".passphrase_file", err) end
    return without_nul(where .. ".passphrase_file", (mark.strip(text):gsub("[\r\n]+$", "")))
  elseif options.passphrase_command then
    local text, err = core.process.read_command(options.passphrase_command)
    if not text then return blame(where .. ".passphrase_command", err) end
    return without_nul(where .. ".passphrase_command", text)
  end
  return false
end

-- The keys of a file, which has two while that of a CA changes; or the one that a URI names.
local function load_keys(where, options)
  local passphrase, problem = passphrase_of(where, options)
  if passphrase == nil then return nil, problem end
  local how = passphrase and { passphrase = passphrase } or nil
  local keys, key, err
  if options.key:find "^/" then
    keys, err = key_file.load_all(options.key, how)
  else
    key, err = core.key.load(options.key, how)
    keys = key and { key }
  end
  if keys then return keys end
  if err.code == "key_passphrase" and not passphrase then
    err.message = ("%s: name it with %s.passphrase_file or %s.passphrase_command"):format(
      err.message, where, where)
  end
  return blame(where .. ".key", err)
end

--- The key of a certificate, and its place among the others; nil if it is not there.
---@param keys lest.key[]
---@param cert lest.cert
---@return lest.key? key
---@return integer? place
function M.key_of(keys, cert)
  for i, key in ipairs(keys) do
    if key:public_der() == cert.public_key.der then return key, i end
  end
end

--- The certificate and its key, and the keys that stand beside that. Where none is the
--- certificate's, the first: blame() says so.
---@param where string the key in the configuration, "ca"
---@param options table what stands there
---@return lest.cert|nil
---@return lest.key|lest.error key
---@return lest.key[] keys all of the file
function M.load(where, options)
  local cert, err = core.cert.load(options.cert)
  if not cert then return blame(where .. ".cert", err) end
  local keys
  keys, err = load_keys(where, options)
  if not keys then return nil, err end
  return cert, M.key_of(keys, cert) or keys[1], keys
end

--- Why a certificate and a key cannot be used together: as others say it, or that they are no pair.
---@param where string
---@param options table
---@param cert lest.cert
---@param key lest.key
---@param err lest.error
---@return nil
---@return lest.error
function M.blame(where, options, cert, key, err)
  if key:public_der() == cert.public_key.der then return blame(where, err) end
  err.detail = nil
  local file = options.key:find "^/" and options.key .. ": " or "" -- a URI may have a PIN in it
  err.message = ("%sthe key (%s) is not that of the certificate %s (%s)"):format(file, key.type,
    options.cert, cert.public_key.type)
  return blame(where .. ".key", err)
end

return M
