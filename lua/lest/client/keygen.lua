--- A key that the server makes (RFC 7030 4.4): what is asked for, and what is in the answer.
--- `self` is a lest.client.
local answer = require "lest.client.answer"
local core = require "lest.core"
local fail = require "lest.base.fail"
local session = require "lest.client.session"

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

local ASYMMETRIC <const> = "1.2.840.113549.1.9.16.2.54"
local SYMMETRIC <const> = "1.2.840.113549.1.9.16.2.37"
local CAPABILITIES <const> = "1.2.840.113549.1.9.15"

local ID_MAX <const> = 256

local function from_hex(text)
  return (text:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- How the server knows the key: by its certificate.
local function identifier_of(key, cert)
  if not cert then return core.envelope.key_id(key) end
  if cert.public_key.der ~= key:public_der() then
    return fail("usage", "the key to decrypt with is not that of its certificate")
  end
  return cert.ski and from_hex(cert.ski) or core.envelope.key_id(key)
end

local function add(list, identifier_oid, id, kind)
  table.insert(list, { oid = identifier_oid, values = { core.envelope.identifier(id) } })
  table.insert(list, { oid = CAPABILITIES, values = { core.envelope.capabilities(kind) } })
  return list
end

-- RFC 7030 4.4.1.1
local function add_shared(list, what)
  local key, id = what.shared_key, what.shared_key_id
  if what.decrypt or what.decrypt_cert then
    return fail("usage", "a key is encrypted for a certificate or for a shared key, not for both")
  elseif not key or not id then
    return fail("usage", "shared_key and shared_key_id go together")
  elseif #key ~= 16 and #key ~= 32 then
    return fail("usage", "a shared key has 16 or 32 bytes")
  elseif #id == 0 or #id > ID_MAX then
    return fail("usage", ("the identifier of a shared key has 1 to %d bytes"):format(ID_MAX))
  end
  return add(list, SYMMETRIC, id, #key == 32 and "wrap256" or "wrap128")
end

--- The attributes of a CSR that ask for encryption (RFC 7030 4.4.1), with those of the caller.
---@param what lest.client.keygen
---@return { oid: string, values: string[] }[]?
---@return lest.error? err
function M.attributes(what)
  local list = table.move(what.attributes or {}, 1, #(what.attributes or {}), 1, {})
  if what.shared_key or what.shared_key_id then return add_shared(list, what) end
  if not what.decrypt then
    if what.decrypt_cert then return fail("usage", "decrypt_cert needs decrypt, its key") end
    return list
  end
  local kind = what.decrypt.type:match "^%a+"
  if kind ~= "rsa" and kind ~= "ec" then
    return fail("key_unsupported", ("nothing can be encrypted for a key of type %s"):format(
      what.decrypt.type))
  end
  local id, err = identifier_of(what.decrypt, what.decrypt_cert)
  if not id then return nil, err end
  return add(list, ASYMMETRIC, id, kind)
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

-- RFC 5652 has the message's signature checked, and RFC 7030 says by whom it is: its certificate
-- must lead to an anchor.
local function opened_key(self, response, body, opener)
  local der, err = core.est.body_decode(body)
  if not der then return answer.unreadable(response, err) end
  local key, signers = core.envelope.open(der, opener)
  if not key then return answer.unreadable(response, signers) end
  local signer = table.remove(signers, 1)
  local chain, problem = self.trust:verify(signer, signers)
  if not chain and #self.trust.bag == 0 then
    session.fetch_cacerts(self)
    chain, problem = self.trust:verify(signer, signers)
  end
  if chain then return key end
  key:close()
  return fail("trust", ("the key is signed by %s, which no anchor vouches for"):format(
    signer.subject), { cause = problem })
end

-- What opens the key of this call; nil: it comes in the clear.
local function opener_of(what)
  if what.shared_key then return { shared = what.shared_key, id = what.shared_key_id } end
  return what.decrypt and { key = what.decrypt }
end

--- Take certificates and key from a successful answer (RFC 7030 4.4.2). Asked for encryption, a
--- server that sends the key in the clear has told it to whoever listens: it is not taken.
---@param self lest.client
---@param what lest.client.keygen
---@param response lest.http.response
---@return lest.cert[]?
---@return lest.key|lest.error key that is nowhere else, or the error
function M.read(self, what, response)
  local found, err = sorted(response)
  if not found then return nil, err end
  local opener = opener_of(what)
  if found.envelope and not opener then
    return of_server(response, "the key is encrypted, which was not asked for", "7030 4.4.2")
  elseif found.key and opener then
    return of_server(response, "the key is not encrypted, which was asked for", "7030 4.4.2")
  elseif not found.key and not found.envelope then
    return of_server(response, "the answer has no key", "7030 4.4.2")
  elseif not found.certificate then
    return of_server(response, "the answer has no certificate", "7030 4.4.2")
  end
  local key
  if opener then
    key, err = opened_key(self, response, found.envelope, opener)
  else
    key, err = clear_key(response, found.key)
  end
  if not key then return nil, err end
  local der, certs
  der, err = core.est.body_decode(found.certificate)
  if der then certs, err = core.pkcs7.decode(der) end
  if not certs then return answer.unreadable(response, err) end
  return certs, key
end

return M
