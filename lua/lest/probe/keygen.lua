--- Checks of keys that the server makes (RFC 7030 4.4). What is asked for has a signature that does
--- not hold, which a server ignores here (4.4.1); the keys are thrown away.
local core = require "lest.core"
local der = require "lest.probe.der"
local wire = require "lest.probe.wire"

local OPERATION <const> = "serverkeygen"
local ABSENT <const> = { [404] = true, [405] = true, [501] = true }
local SEQUENCE <const> = 0x30
local PKCS8_TYPE <const>, CERTS_TYPE <const> = "application/pkcs8", "application/pkcs7-mime"

local function media_of(part)
  local media = part.type and core.est.media_type(part.type)
  return media and media.type or "no Content-Type"
end

-- The answer to who may have a key: 200, or why it cannot be told.
local function made(target)
  local found, why = target:key_made()
  if not found then return nil, why end
  local response, status = found.response, found.response.status
  if status == 200 then return response end
  if ABSENT[status] then return nil, "not offered: " .. status end
  return nil, "no key: the server answered " .. status
end

local function parts_of(target)
  local response, why = made(target)
  if not response then return nil, why end
  local content_type = response:header "Content-Type"
  local parts, err = core.est.mixed_decode(content_type or "", response.body)
  if not parts then
    return false, ("%s: %s"):format(content_type or "no Content-Type", err.message)
  end
  return parts
end

-- look(parts) where the answer is one, with a key that is not encrypted.
local function of_parts(look)
  return function(target)
    local parts, why = parts_of(target)
    if not parts then return nil, why end
    local by_type = {}
    for _, part in ipairs(parts) do by_type[media_of(part)] = part end
    return look(by_type, parts, target)
  end
end

local function strict(part)
  local bytes = part and core.base64.decode(part.body)
  return bytes and bytes:byte() == SEQUENCE and bytes or nil
end

-- RFC 5958 2: the version, then the algorithm; older forms have a number there, or the key.
local function is_pkcs8(bytes)
  return not der.problem(bytes) and (der.values(bytes)[2] or ""):byte() == SEQUENCE
end

return {
  { id = "7030-4.4.2-m", level = "MUST", needs = "credentials",
    requirement = "answer what is no request for a key with 4xx or 5xx",
    run = function(target)
      local response, err = target:post(OPERATION, "MAA=\n")
      if not response then return nil, wire.shown(response, err) end
      if ABSENT[response.status] then return nil, "not offered: " .. response.status end
      return response.status >= 400, wire.shown(response)
    end },
  { id = "7030-4.4.1-c", level = "MUST", needs = "enroll",
    requirement = "ignore key and signature of a request for a key",
    run = function(target)
      local answered, why = made(target)
      if not answered then return nil, why end
      local status = target:key_made().unsigned.status
      return status == 200, status == 200 and "200" or status .. ", and 200 with a good signature"
    end },
  { id = "7030-4.4.2-a", level = "MUST", needs = "enroll",
    requirement = "send key and certificate as two parts of multipart/mixed",
    run = function(target)
      local parts, why = parts_of(target)
      if not parts then return parts, why end
      return #parts == 2, ("parts: %d"):format(#parts)
    end },
  { id = "7030-4.4.2-b", level = "MUST", needs = "enroll",
    requirement = "send the key as PKCS#8, in base64, and its certificate",
    run = of_parts(function(by_type)
      local part = by_type[PKCS8_TYPE]
      if not part then return nil, "no part " .. PKCS8_TYPE end
      local bytes, bag = strict(part), strict(by_type[CERTS_TYPE])
      if not bytes then return false, "the key is no base64 of DER" end
      if not is_pkcs8(bytes) then return false, "the key is no PKCS#8" end
      local key, certs = core.key.parse(bytes), bag and core.pkcs7.decode(bag)
      if not key then return false, "the key cannot be read" end
      for _, cert in ipairs(certs or {}) do
        if cert.public_key.der == key:public_der() then return true, "a key of " .. key.type end
      end
      return false, "no certificate for the key"
    end) },
  { id = "7030-4.4.2-l", level = "INTEROP", needs = "enroll",
    requirement = "send the certificate as simpleenroll would, smime-type=certs-only",
    run = of_parts(function(by_type)
      local part = by_type[CERTS_TYPE]
      if not part then return false, "no part " .. CERTS_TYPE end
      local media = core.est.media_type(part.type)
      return (media.params["smime-type"] or ""):lower() == "certs-only", part.type
    end) },
  { id = "8951-3.2.4-a", level = "INTEROP", needs = "enroll",
    requirement = "send each part in base64",
    run = of_parts(function(_, parts)
      for _, part in ipairs(parts) do
        if not strict(part) then return false, media_of(part) .. " is no base64 of DER" end
      end
      return true, ("parts: %d"):format(#parts)
    end) },
  { id = "2046-5.1-b", level = "INTEROP", needs = "enroll",
    requirement = "end the lines around the parts with CRLF",
    run = of_parts(function(_, _, target)
      local bare = target:key_made().response.body:find "[^\r]\n%-%-" ~= nil
      return not bare, bare and "a bare LF before a boundary" or "it does"
    end) },
}
