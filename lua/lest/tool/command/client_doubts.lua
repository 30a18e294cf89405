--- What a client's command goes on with all the same, and says: anchors and a certificate that are
--- over, keys that others can read.
local core = require "lest.core"
local support = require "lest.tool.command.support"
local validity = require "lest.validity"

local M = {}

-- A bundle of the world's CAs is larger, and always has some that are over.
local ANCHORS_MAX <const> = 64 * 1024

local OTHERS_READ <const> = 4 -- the bits of a file's mode
local OTHERS_USE <const> = 63

local function warn(name, message, ...)
  support.complain(name, "warning: " .. message:format(...))
end

local function mode_of(path)
  local _, mode = core.system.exists(core.file.resolve(path) or path)
  return math.type(mode) == "integer" and mode or 0
end

--- Say that others may use a key that this command takes for its own.
---@param name string of the command
---@param path string
function M.tell_readers(name, path)
  local mode = mode_of(path)
  if mode & OTHERS_USE == 0 then return end
  warn(name, "others may use the key in %s: its mode is %03o, not 600", path, mode)
end

local function tell_anchors(name, path, now)
  if not path or path == "-" or path == "system" then return end
  local text = core.file.read(path, ANCHORS_MAX)
  for _, cert in ipairs(text and core.cert.parse_all(text) or {}) do
    local fault = validity.fault(cert.not_before, cert.not_after, now)
    if fault then warn(name, "%s: the anchor %s %s", path, tostring(cert.subject), fault) end
  end
end

--- Say what is to be doubted of the files of a client whose options were taken.
---@param name string of the command
---@param options table
---@param cert? lest.cert the client's
function M.tell(name, options, cert)
  local now = core.clock.wall_us() // 1000000
  tell_anchors(name, options.trust, now)
  -- That it ends soon is no news to who renews it.
  local fault = cert and (now < cert.not_before or now > cert.not_after)
    and validity.fault(cert.not_before, cert.not_after, now)
  if fault then
    warn(name, "%s: the certificate of %s %s", options.cert, tostring(cert.subject), fault)
  end
  for _, option in ipairs { "key", "csr_key" } do
    local path = options[option]
    if path and not path:find ":" and mode_of(path) & OTHERS_READ ~= 0 then
      M.tell_readers(name, path)
    end
  end
end

return M
