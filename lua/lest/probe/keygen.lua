--- Checks of keys that the server makes (RFC 7030 4.4). What is asked for has a signature that does
--- not hold, which a server ignores here (4.4.1); the keys are thrown away.
local core = require "lest.core"
local der = require "lest.probe.der"
local keygen = require "lest.client.keygen"
local wire = require "lest.probe.wire"

local OPERATION <const> = "serverkeygen"
local ABSENT <const> = { [404] = true, [405] = true, [501] = true }
local SEQUENCE <const> = 0x30
local SEALED <const> = "server-generated-key"
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

-- What comes of a request for a key that is encrypted. asking(target): whose key that is, as
-- client:serverkeygen has it.
local function encrypted(target, name, asking)
  return target:once("key for " .. name, function()
    local what, why = asking(target)
    if not what then return nil, why end
    local response, problem = target:ask_key((target:request {
      attributes = assert(keygen.attributes(what)) }))
    if not response then return nil, problem end
    local status = response.status
    if ABSENT[status] then return nil, "not offered: " .. status end
    if status == 401 or status == 403 then return nil, "no key: " .. status end
    return response
  end)
end

-- A server has no key that it does not know to encrypt for, and sends none in its place.
local function refuses_unknown(name, asking)
  return function(target)
    local response, why = encrypted(target, name, asking)
    if not response then return nil, why end
    return response.status >= 400, wire.shown(response)
  end
end

-- For the certificate that was issued.
local function for_holder(target)
  local cert, why = target:issued()
  if not cert then return nil, why end
  local kind = target:key().type:match "^%a+"
  if kind ~= "rsa" and kind ~= "ec" then return nil, "nothing is encrypted for " .. kind end
  return { decrypt = target:key(), decrypt_cert = cert }
end

-- The parts of a 200 with one, by their type.
local function encrypted_parts(target)
  local response, why = encrypted(target, "the holder", for_holder)
  if not response then return nil, why end
  if response.status ~= 200 then return nil, "no encrypted key: " .. response.status end
  local parts, err = core.est.mixed_decode(response:header "Content-Type" or "", response.body)
  if not parts then return nil, err.message end
  local by_type = {}
  for _, part in ipairs(parts) do
    local media = part.type and core.est.media_type(part.type)
    local smime = media and (media.params["smime-type"] or ""):lower() or ""
    by_type[smime == SEALED and SEALED or media_of(part)] = part
  end
  return by_type
end

local function of_encrypted(look)
  return function(target)
    local by_type, why = encrypted_parts(target)
    if not by_type then return nil, why end
    return look(by_type, target)
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
  { id = "7030-4.4.1.1-b", level = "MUST", needs = "enroll",
    requirement = "refuse to encrypt a key for a shared key that it does not know",
    run = refuses_unknown("nobody's secret", function()
      return { shared_key = assert(core.secret.random_bytes(32)),
        shared_key_id = assert(core.secret.random(16)) }
    end) },
  { id = "7030-4.4.1.2-b", level = "MUST", needs = "enroll",
    requirement = "refuse to encrypt a key for a certificate that it does not know",
    run = refuses_unknown("nobody", function()
      return { decrypt = assert(core.key.generate "ec:P-256") }
    end) },
  { id = "7030-4.4.1-i", level = "INTEROP", needs = "enroll",
    requirement = "send no key in the clear where one was to be encrypted",
    run = of_encrypted(function(by_type)
      return not by_type[PKCS8_TYPE], by_type[PKCS8_TYPE] and "a part " .. PKCS8_TYPE or "none"
    end) },
  { id = "7030-4.4.2-k", level = "INTEROP", needs = "enroll",
    requirement = "call an encrypted key smime-type=server-generated-key",
    run = of_encrypted(function(by_type)
      return by_type[SEALED] ~= nil, by_type[SEALED] and by_type[SEALED].type or "no such part"
    end) },
  { id = "7030-4.4.2-c", level = "INTEROP", needs = "enroll",
    requirement = "sign and encrypt that key, for who asked, by a certificate that chains",
    run = of_encrypted(function(by_type, target)
      local bytes = strict(by_type[SEALED])
      if not bytes then return nil, "there is none" end
      local key, signers = core.envelope.open(bytes, { key = target:key() })
      if not key then return false, tostring(signers) end
      local store = assert(core.store.new { anchors = target:roots() })
      local good, err = store:verify(signers[1], { untrusted = signers })
      return good ~= nil, good and "a key of " .. key.type or tostring(err)
    end) },
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
