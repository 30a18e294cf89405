--- Names of numbers of TLS, and what several sections say of certificates.
local M = {}

local ALERTS <const> = { [0] = "close_notify", [10] = "unexpected_message",
  [20] = "bad_record_mac", [22] = "record_overflow", [40] = "handshake_failure",
  [47] = "illegal_parameter", [50] = "decode_error", [51] = "decrypt_error",
  [70] = "protocol_version", [71] = "insufficient_security", [80] = "internal_error",
  [86] = "inappropriate_fallback", [109] = "missing_extension", [110] = "unsupported_extension",
  [112] = "unrecognized_name", [115] = "unknown_psk_identity", [116] = "certificate_required",
  [120] = "no_application_protocol" }

local VERSIONS <const> = { [0x0300] = "SSL 3.0", [0x0301] = "TLS 1.0", [0x0302] = "TLS 1.1",
  [0x0303] = "TLS 1.2", [0x0304] = "TLS 1.3" }

---@param number integer of an alert
---@return string
function M.alert(number)
  return ALERTS[number] or tostring(number)
end

---@param number integer
---@return string
function M.version(number)
  return VERSIONS[number] or ("version 0x%04x"):format(number)
end

--- RFC 5280 4.1.2.2: positive, and at most 20 octets.
---@param serial string hex
---@return boolean
function M.serial_is_good(serial)
  return serial:find "^%x+$" ~= nil and serial:find "[1-9a-fA-F]" ~= nil and #serial <= 40
end

return M
