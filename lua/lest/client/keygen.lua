--- A key that the server makes (RFC 7030 4.4): what is asked for, and what is in the answer.
--- `self` is a lest.client.
local answer = require "lest.client.answer"
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

local OPERATION <const> = "serverkeygen"

--- RFC 7030 6: it SHOULD NOT be used where an implicit anchor vouches for the server.
---@param self lest.client
---@return true?
---@return lest.error? err
function M.may_ask(self)
  if self.trust.kind == "explicit" or self.options.allow_password_with_system_trust then
    return true
  end
  return fail("trust", "no key is taken from a server that only the system's trust anchors vouch "
    .. "for; name its CA or its fingerprint (or allow_password_with_system_trust)",
    { rfc = "7030 6" })
end

local function of_server(response, message, rfc)
  return nil, answer.error(response, { code = "protocol", message = message, rfc = rfc })
end

-- What a part is, by its media type: "key", "envelope", "certificate", or nil for what nobody asked
-- for. Old stacks write application/x-pkcs7-mime.
local function kind_of(part)
  local media = part.type and core.est.media_type(part.type)
  local name = media and media.type:gsub("^application/x%-", "application/")
  if name == "application/pkcs8" then return "key" end
  if name ~= "application/pkcs7-mime" then return nil end
  local smime = media.params["smime-type"]
  if smime and smime:lower() == "server-generated-key" then return "envelope" end
  return "certificate"
end

-- The parts by kind, each there once; in any order.
local function sorted(response)
  local parts, err = answer.parts(response, OPERATION)
  if not parts then return nil, err end
  local found = {}
  for _, part in ipairs(parts) do
    local kind = kind_of(part)
    if kind and found[kind] then
      return of_server(response, "the answer has two parts of one kind")
    end
    if kind then found[kind] = part.body end
  end
  if found.key and found.envelope then return of_server(response, "the answer has two keys") end
  return found
end

local function clear_key(response, body)
  local der, err = core.est.body_decode(body)
  if not der then return answer.unreadable(response, err) end
  local key
  key, err = core.key.parse(der)
  if not key then return answer.unreadable(response, err) end
  return key
end

--- Take certificates and key from a successful answer (RFC 7030 4.4.2).
---@param response lest.http.response
---@return lest.cert[]?
---@return lest.key|lest.error key that is nowhere else, or the error
function M.read(response)
  local found, err = sorted(response)
  if not found then return nil, err end
  if found.envelope then
    return of_server(response, "the key is encrypted, which was not asked for", "7030 4.4.2")
  elseif not found.key then
    return of_server(response, "the answer has no key", "7030 4.4.2")
  elseif not found.certificate then
    return of_server(response, "the answer has no certificate", "7030 4.4.2")
  end
  local key
  key, err = clear_key(response, found.key)
  if not key then return nil, err end
  local der, certs
  der, err = core.est.body_decode(found.certificate)
  if der then certs, err = core.pkcs7.decode(der) end
  if not certs then return answer.unreadable(response, err) end
  return certs, key
end

return M
