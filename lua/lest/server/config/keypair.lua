--- A certificate and its private key, as a configuration names them: `ca`, each of `cas`, `tls`.
local blame = require("lest.server.config.start_failure").blame
local core = require "lest.core"
local mark = require "lest.base.mark"

local M = {}

local PASSPHRASE_MAX <const> = 4096

--- The passphrase, false where there is none, or nil and what is wrong.
local function passphrase_of(where, options)
  if options.passphrase_file then
    local text, err = core.file.read(options.passphrase_file, PASSPHRASE_MAX)
    if not text then return blame(where .. ".passphrase_file", err) end
    return (mark.strip(text):gsub("[\r\n]+$", ""))
  elseif options.passphrase_command then
    local text, err = core.process.read_command(options.passphrase_command)
    if not text then return blame(where .. ".passphrase_command", err) end
    return text
  end
  return false
end

---@param where string the key in the configuration, "ca"
---@param options table what stands there
---@return lest.cert|nil
---@return lest.key|lest.error key
function M.load(where, options)
  local cert, passphrase, key, err
  cert, err = core.cert.load(options.cert)
  if not cert then return blame(where .. ".cert", err) end
  passphrase, err = passphrase_of(where, options)
  if passphrase == nil then return nil, err end
  key, err = core.key.load(options.key, passphrase and { passphrase = passphrase } or nil)
  if not key then return blame(where .. ".key", err) end
  return cert, key
end

return M
