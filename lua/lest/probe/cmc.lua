--- Checks of /fullcmc where a server has it (RFC 7030 4.3, RFC 5272): what is refused, and a
--- renewal by the certificate that was issued.
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local list = require "lest.base.list"
local wire = require "lest.probe.wire"

local ABSENT <const> = { [404] = true, [405] = true, [501] = true }
local TYPE <const> = "application/pkcs7-mime"
local HEADERS <const> = { ["Content-Type"] = TYPE .. "; smime-type=CMC-request" }
local REQUEST_ID <const>, CONTROL_ID <const> = 1, 1001
local NONCE_ID <const>, TRANSACTION_ID <const> = 1002, 1003
-- Of 2.999, which is for examples: no server can know it.
local STRANGE <const> = { id = CONTROL_ID, oid = "2.999.7030", values = { "\5\0" } }
local RETURNED <const> = { id = 1004, name = "dataReturn", value = "\0lest probe\255" }
local OF_RESPONSES <const> = { id = CONTROL_ID, name = "responseBody", value = { REQUEST_ID } }
local TWICE <const> = { id = NONCE_ID, name = "dataReturn", value = "twice" }
local NONCE_BYTES <const> = 16

-- A message that the holder of a certificate signs, or whoever has the key if there is none.
-- link: what its request is linked to.
local function message(target, cert, further, link)
  local plan = cert and { subject_der = cert.subject_der, san_der = cert.san_der } or {}
  local key_id = not cert and assert(core.envelope.key_id(target:key())) or nil
  if key_id then
    plan.extensions = { { oid = "2.5.29.14", value = core.envelope.identifier(key_id) } }
  end
  plan.challenge_password = link
  local _, csr = target:request(plan)
  local sent = { nonce = assert(core.secret.random_bytes(NONCE_BYTES)), transaction = "\42\70\48" }
  local controls = { { id = NONCE_ID, name = "senderNonce", value = sent.nonce },
    { id = TRANSACTION_ID, name = "transactionId", value = sent.transaction } }
  table.move(further or {}, 1, #(further or {}), 3, controls)
  local content = assert(core.cmc.content { kind = "request", controls = controls,
    requests = { { id = REQUEST_ID, csr = csr:der() } } })
  sent.der = assert(core.cmc.sign { kind = "request", content = content, key = target:key(),
    cert = cert, key_id = key_id, certificates = cert and { cert } or {} })
  return sent
end

-- The answer to a message, once.
local function answer(target, name, as, make)
  return target:once("cmc " .. name, function()
    local sent = make()
    local response, err = target:ask { as = as, operation = "fullcmc", method = "POST",
      body = core.est.body_encode(sent.der), headers = HEADERS }
    if not response then return nil, wire.shown(response, err) end
    if ABSENT[response.status] then return nil, "not offered: " .. response.status end
    sent.response = response
    local bytes = core.est.body_decode(response.body)
    sent.answer = bytes and core.cmc.parse(bytes)
    sent.status = sent.answer and cmc.worst(sent.answer)
    return sent
  end)
end

-- To one whose signature does not hold; its last byte is of that.
local function forged(target)
  return answer(target, "forged", target.client, function()
    local sent = message(target)
    sent.der = sent.der:sub(1, -2) .. string.char(sent.der:byte(-1) ~ 1)
    return sent
  end)
end

local function of_holder(name, controls, link)
  return function(target)
    local cert, why = target:issued()
    if not cert then return nil, why end
    return answer(target, name, target:as_holder(cert), function()
      return message(target, cert, controls, link and link())
    end)
  end
end

local strange <const> = of_holder("strange", { STRANGE })
local returning <const> = of_holder("returning", { RETURNED, STRANGE })
local of_response <const> = of_holder("of a response", { OF_RESPONSES })
local twice <const> = of_holder("twice", { TWICE })
local renewal <const> = of_holder("renewal")
local elsewhere <const> = of_holder("elsewhere", nil, function()
  return core.base64.encode(assert(core.secret.random_bytes(32)))
end)

-- look(sent) of an answer.
local function of(ask, look)
  return function(target)
    local sent, why = ask(target)
    if not sent then return nil, why end
    return look(sent, target)
  end
end

-- An error whose answer is one of CMC.
local function of_failure(ask, look)
  return of(ask, function(sent)
    if sent.response.status < 400 then return nil, wire.shown(sent.response) end
    if not sent.status then return nil, wire.shown(sent.response) .. " without a PKI Response" end
    return look(sent, sent.status)
  end)
end

local function is_failure(status, failure, body)
  return status.status == "failed" and status.failure == failure
    and (not body or list.has(status.bodies, body)),
    ("%s, body parts: %s"):format(cmc.text(status), table.concat(status.bodies, " "))
end

-- That a message is refused, and as what.
local function refuses_as(failure, body)
  return function(sent)
    if sent.response.status < 300 then return false, wire.shown(sent.response) end
    if not sent.status then return nil, wire.shown(sent.response) end
    return is_failure(sent.status, failure, body)
  end
end

return {
  { id = "7030-4.3.2-c", level = "MUST", needs = "credentials",
    requirement = "refuse a Full PKI Request with 4xx or 5xx",
    run = of(forged, function(sent)
      return sent.response.status >= 400, wire.shown(sent.response)
    end) },
  { id = "7030-4.3.2-d", level = "MUST", needs = "credentials",
    requirement = "have a PKI Response in that, as application/pkcs7-mime",
    run = of(forged, function(sent)
      if sent.response.status < 400 or sent.response.status == 401 then
        return nil, wire.shown(sent.response)
      end
      local value = sent.response:header "Content-Type"
      local media = value and core.http.media_type(value)
      if not media or media.type ~= TYPE then return false, value or "no Content-Type" end
      if not (sent.answer and sent.answer.kind == "response") then
        return false, "the body is no PKI Response"
      end
      return cmc.is_failure(sent.status), sent.status and cmc.text(sent.status) or "no status"
    end) },
  { id = "5272-3.2.1.3.4-b", level = "MUST", needs = "credentials",
    requirement = "call a signature that does not hold badMessageCheck, of body part 0",
    run = of_failure(forged, function(_, status)
      return is_failure(status, "badMessageCheck", 0)
    end) },
  { id = "5272-3.2.1.1-a", level = "MUST", needs = "enroll",
    requirement = "refuse a control that it does not know: badRequest, and its body part",
    run = of(strange, refuses_as("badRequest", CONTROL_ID)) },
  { id = "5272-6.6-a", level = "MUST", needs = "enroll",
    requirement = "give a message's transactionId back",
    run = of_failure(strange, function(sent)
      local value = cmc.find(sent.answer, "transactionId")
      return value == sent.transaction, value and "another" or "none"
    end) },
  { id = "5272-6.6-b", level = "MUST", needs = "enroll",
    requirement = "give its senderNonce back as recipientNonce, with a nonce of its own",
    run = of_failure(strange, function(sent)
      local value, own = cmc.find(sent.answer, "recipientNonce"),
        cmc.find(sent.answer, "senderNonce")
      if value ~= sent.nonce then return false, value and "another" or "none" end
      return own ~= nil and own ~= value, own and "and its own" or "none of its own"
    end) },
  { id = "5272-6.4-a", level = "MUST", needs = "enroll",
    requirement = "give a message's dataReturn back",
    run = of_failure(returning, function(sent)
      local value = cmc.find(sent.answer, "dataReturn")
      return value == RETURNED.value, value and (value == RETURNED.value and "as it was"
        or "another") or "none"
    end) },
  { id = "5272-6.1-a", level = "MUST", needs = "enroll",
    requirement = "say the status by CMCStatusInfoV2",
    run = of_failure(strange, function(sent)
      return cmc.find(sent.answer, "statusInfoV2") ~= nil, cmc.find(sent.answer, "statusInfoV2")
        and "it does" or "by CMCStatusInfo alone"
    end) },
  { id = "5272-3.2.2-a", level = "MUST", needs = "enroll",
    requirement = "refuse a message with two body parts of one id: badRequest",
    run = of(twice, refuses_as "badRequest") },
  { id = "6402-2.6-c", level = "MUST NOT", needs = "enroll",
    requirement = "take a control of responses in a request: badRequest, and its body part",
    run = of(of_response, refuses_as("badRequest", CONTROL_ID)) },
  { id = "7030-3.5-i", level = "MUST", needs = "enroll",
    requirement = "call the link to another connection popFailed in a PKI Response",
    run = of(elsewhere, refuses_as "popFailed") },
  { id = "7030-4.3.2-a", level = "MUST", needs = "enroll",
    requirement = "answer a Full PKI Request that it grants with 200 and application/pkcs7-mime",
    run = of(renewal, function(sent, target)
      local status = sent.response.status
      if status >= 300 or status == 202 then return nil, "not granted: " .. status end
      local value = sent.response:header "Content-Type"
      local media = value and core.http.media_type(value)
      if status ~= 200 or not media or media.type ~= TYPE then
        return false, ("%d, %s"):format(status, value or "no Content-Type")
      end
      local bytes = core.est.body_decode(sent.response.body)
      local certs = sent.answer and sent.answer.certificates or bytes and core.pkcs7.decode(bytes)
      for _, cert in ipairs(certs or {}) do
        if cert.public_key.der == target:key():public_der() then return true, value end
      end
      return false, "no certificate for the key"
    end) },
}
