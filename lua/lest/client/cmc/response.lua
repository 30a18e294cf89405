--- The answer to a message of CMC (a PKIResponse, RFC 5272 4): who signed it, and to which request.
--- It is believed for that alone, however it has come.
---
---   local certs, err = response.verify({ trust = trust, fetch_cacerts = fetch }, message, sent)
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local list = require "lest.base.list"

local M = {}

---@class lest.client.cmc_reader
---@field trust lest.client.trust
---@field fetch_cacerts fun(): any, lest.error? makes trust learn what a chain needs

local function distrust(message, cause)
  return fail("trust", "the answer is not believed: " .. message, { cause = cause })
end

-- Who may answer for a CA (RFC 6402 2.10): one with the usage for that, or the CA itself.
local function may_answer(cert)
  return cert.is_ca or list.has(cert.eku, "cmcCA") or list.has(cert.eku, "cmcRA")
end

local function check_signer(reader, message)
  local trust = reader.trust
  local signer = message.signer_certificate
  if not signer then return distrust "its signer's certificate is not with it" end
  local good, err = message:verify(signer.public_key.der)
  if not good then return distrust(err.message) end
  if not may_answer(signer) then
    return distrust("its signer's certificate is for no answers of CMC (cmcCA, cmcRA)")
  end
  good, err = trust:verify(signer, message.certificates)
  if not good and #trust.bag == 0 and reader.fetch_cacerts() then
    good, err = trust:verify(signer, message.certificates)
  end
  if not good then return distrust("its signer's certificate is not accepted", err) end
  return true
end

-- RFC 5272 6.6: of which request it is an answer. One that was not in the request need not be in
-- the answer.
local BACK <const> = { transactionId = "transactionId", senderNonce = "recipientNonce" }

local function check_echo(message, sent)
  for name, as in pairs(BACK) do
    local value = cmc.find(sent, name)
    if value and cmc.find(message, as) ~= value then
      return distrust(("its %s is not that of the request"):format(as))
    end
  end
  return true
end

-- What a path of body parts leads to, within a message: a response, or nil.
local function at_path(message, path)
  for _, id in ipairs(path) do
    local found
    for _, content in ipairs(message.contents) do
      if content.id == id then found = core.cmc.parse(content.der) end
    end
    message = found
    if not message or message.kind ~= "response" then return nil end
  end
  return message
end

-- The certificates of a response, and of those within it that an RA says to be part of its own (RFC
-- 6402 2.6). Each of these is verified; the requests that they answer were the RA's.
local function certificates_of(reader, message)
  local certs = table.move(message.certificates, 1, #message.certificates, 1, {})
  for _, control in ipairs(message.controls) do
    if control.name == "responseBody" then
      local inner = at_path(message, control.value)
      if not inner then return distrust "it says to have a response within, and has none" end
      local good, err = check_signer(reader, inner)
      if not good then return nil, err end
      table.move(inner.certificates, 1, #inner.certificates, #certs + 1, certs)
    end
  end
  return certs
end

--- Verify an answer. What it says is not looked at yet.
---@param reader lest.client.cmc_reader
---@param message lest.cmc the answer
---@param sent lest.cmc what it must be the answer to
---@return lest.cert[]? certs that came along; nothing vouches for them
---@return lest.error? err
function M.verify(reader, message, sent)
  if message.kind ~= "response" then
    return fail("protocol", "the answer is a request (PKIData)")
  end
  local good, err = check_signer(reader, message)
  if good then good, err = check_echo(message, sent) end
  if not good then return nil, err end
  return certificates_of(reader, message)
end

return M
