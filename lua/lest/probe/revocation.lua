--- Checks of what others are told of a certificate's revocation (RFC 5280 5, RFC 6960): the CRL and
--- the OCSP responder that it names itself. It is the one that was issued, or else the client's.
--- What it names is fetched over plain HTTP alone, with nothing shown or told.
local core = require "lest.core"
local der = require "lest.probe.der"
local list = require "lest.base.list"
local wire = require "lest.probe.wire"

local CRL_POINTS <const>, ACCESS <const> = "2.5.29.31", "1.3.6.1.5.5.7.1.1"
local OCSP <const>, NONCE <const> = "\6\8\43\6\1\5\5\7\48\1", "\6\9\43\6\1\5\5\7\48\1\2"
local SEQUENCE <const>, URI <const>, CRL_ISSUER <const> = 0x30, 0x86, 0xa2
local NONCE_BYTES <const> = 32 -- RFC 9654 2.1
local SKEW_S <const> = 300 -- between the clocks of the server and of who probes
local CRL_MAX <const>, OCSP_MAX <const> = 16 * 1024 * 1024, 65536

local function now() return core.clock.wall_us() // 1000000 end

-- ---- what a certificate names

local function extension_of(cert, oid)
  for _, extension in ipairs(cert.extensions) do
    if extension.oid == oid then return not der.problem(extension.value) and extension.value end
  end
end

-- The first URI of plain HTTP among values of DER and what is in them, but not in those of `tag`.
local function http_uri(values, tag)
  for _, value in ipairs(values) do
    local first = value:byte()
    local uri = first == URI and value:match "[hH][tT][tT][pP]://[!-~]+$"
    if uri then return uri end
    local found = first ~= tag and first & 0x20 ~= 0 and http_uri(der.values(value), tag)
    if found then return found end
  end
end

local function crl_uri(cert)
  local value = extension_of(cert, CRL_POINTS)
  return value and http_uri({ value }, CRL_ISSUER)
end

-- Whether a certificate says that another than its CA signs its CRL (RFC 5280 4.2.1.13).
local function names_crl_issuer(cert)
  local value = extension_of(cert, CRL_POINTS)
  for _, point in ipairs(value and der.values(value) or {}) do
    for _, part in ipairs(der.values(point)) do
      if part:byte() == CRL_ISSUER then return true end
    end
  end
  return false
end

local function ocsp_uri(cert)
  local value = extension_of(cert, ACCESS)
  for _, access in ipairs(value and der.values(value) or {}) do
    local parts = der.values(access)
    local uri = parts[1] == OCSP and http_uri { parts[2] }
    if uri then return uri end
  end
end

-- The certificate that is looked at and its CA's.
local function subject(target)
  local cert = target.client.cert
  if target.options.enroll and target:has_credentials() then
    local why
    cert, why = target:issued()
    if not cert then return nil, why end
  end
  if not cert then return nil, "needs a client certificate, or the permission to enroll" end
  local cas, why = target:cas()
  if not cas then return nil, why end
  for _, ca in ipairs(cas) do
    if ca.subject_der == cert.issuer_der and (not cert.aki or ca.ski == cert.aki) then
      return { cert = cert, ca = ca }
    end
  end
  return nil, "/cacerts does not have the certificate's CA"
end

-- ---- the CRL

-- What is at the distribution point, once: { crl =, cert =, ca =, seen = }
local function fetched(target)
  return target:once("crl", function()
    local about, why = subject(target)
    if not about then return nil, why end
    local url = crl_uri(about.cert)
    if not url then return nil, "the certificate names no CRL of plain HTTP" end
    local response, err = target.wire:fetch { url = url, max_body = CRL_MAX }
    local found = { cert = about.cert, ca = about.ca,
      seen = url .. ": " .. wire.shown(response, err) }
    if response and response.status == 200 and not der.problem(response.body) then
      found.crl, err = core.crl.parse(response.body)
      if not found.crl then found.seen = url .. ": " .. tostring(err) end
    elseif response and response.status == 200 then
      found.seen = url .. ": no DER"
    end
    return found
  end)
end

local function of_crl(look)
  return function(target)
    local found, why = fetched(target)
    if not found then return nil, why end
    if not found.crl then return nil, found.seen end
    return look(found.crl, found)
  end
end

-- ---- OCSP

-- Lengths of up to 255, which is all that a request has.
local function tlv(tag, body)
  return string.char(tag) .. (#body > 127 and "\x81" or "") .. string.char(#body) .. body
end

local function with_nonce(request, nonce)
  local requests = der.values(der.values(request)[1])[1]
  local extension = tlv(SEQUENCE, NONCE .. tlv(4, tlv(4, nonce)))
  return tlv(SEQUENCE, tlv(SEQUENCE, requests .. tlv(0xa2, tlv(SEQUENCE, extension))))
end

-- The answer about the certificate, once with a nonce and once without: { answer =, single =, ca =,
-- nonce =, seen = }
local function asked(target, nonced)
  return target:once("ocsp " .. tostring(nonced), function()
    local about, why = subject(target)
    if not about then return nil, why end
    local url = ocsp_uri(about.cert)
    if not url then return nil, "the certificate names no OCSP responder of plain HTTP" end
    local found = { ca = about.ca, nonce = nonced and core.secret.random_bytes(NONCE_BYTES) or nil }
    local request = assert(core.ocsp.request(about.ca, about.cert))
    local response, err = target.wire:fetch { url = url, method = "POST", max_body = OCSP_MAX,
      body = nonced and with_nonce(request, found.nonce) or request,
      headers = { ["Content-Type"] = "application/ocsp-request" } }
    found.seen = url .. ": " .. wire.shown(response, err)
    if not response or response.status ~= 200 then return found end
    found.answer, err = core.ocsp.parse_response(response.body)
    found.seen = found.answer and found.answer.status or tostring(err)
    for _, single in ipairs(found.answer and found.answer.responses or {}) do
      if single.serial == about.cert.serial then found.single = single end
    end
    return found
  end)
end

local function of_ocsp(look, nonced)
  return function(target)
    local found, why = asked(target, nonced or false)
    if not found then return nil, why end
    if not found.single then return nil, found.seen end
    return look(found.single, found)
  end
end

-- RFC 6960 4.2.2.2: the CA itself, or one that it has certified for that, directly.
local function responder_problem(answer, ca)
  local name = answer.responder_name
  for _, bytes in ipairs(answer.certificates or {}) do
    local cert = core.cert.parse(bytes)
    if cert and cert.public_key.der ~= ca.public_key.der then
      local store = core.store.new { anchors = { ca } }
      if not list.has(cert.eku, "OCSPSigning") then
        return "its certificate is for something else"
      end
      if cert.issuer_der ~= ca.subject_der or not (store and store:verify(cert, {})) then
        return "its certificate is not by the CA"
      end
      return nil
    end
  end
  if name and tostring(name) ~= tostring(ca.subject) then return "its certificate is not there" end
  local hashes = core.ocsp.hashes(ca) or {}
  for _, each in ipairs(hashes) do
    if each.digest == "sha1" and answer.responder_key and answer.responder_key ~= each.key_hash then
      return "its certificate is not there"
    end
  end
end

local function is_fresh(this_update, next_update)
  if this_update > now() + SKEW_S then return false, "it is of the future" end
  if not next_update then return nil, "no nextUpdate" end
  return next_update >= now() - SKEW_S, next_update >= now() - SKEW_S and "fresh"
    or "it is over"
end

return {
  { id = "5280-4.2.1.13-a", level = "MUST",
    requirement = "have a CRL in DER at the address of HTTP that a certificate names",
    run = function(target)
      local found, why = fetched(target)
      if not found then return nil, why end
      return found.crl ~= nil, found.seen
    end },
  { id = "5280-5.1.1.3-a", level = "MUST",
    requirement = "have it signed by the CA of the certificate",
    run = of_crl(function(crl, found)
      if names_crl_issuer(found.cert) then
        return nil, "the certificate names another issuer of CRLs: " .. tostring(crl.issuer)
      end
      local good, err = crl:verify(found.ca)
      return good == true, good and tostring(crl.issuer) or tostring(err)
    end) },
  { id = "5280-5.1.2.5-a", level = "MUST",
    requirement = "have a newer CRL before the nextUpdate of one, which each has",
    run = of_crl(function(crl)
      local fresh, seen = is_fresh(crl.this_update, crl.next_update)
      return fresh or false, seen
    end) },
  { id = "5280-5.2-a", level = "MUST",
    requirement = "write CRLs of version 2, with a number and the key's identifier",
    run = of_crl(function(crl)
      local missing = crl.version ~= 2 and "version 1" or not crl.number and "no cRLNumber"
        or not crl.aki and "no authorityKeyIdentifier"
      return not missing, missing or "number " .. crl.number
    end) },
  { id = "6960-2.1-a", level = "MUST",
    requirement = "answer by OCSP about a certificate, at the address that it names",
    run = function(target)
      local found, why = asked(target, false)
      if not found then return nil, why end
      return found.single ~= nil and found.single.state ~= "unknown",
        found.single and found.single.state or found.seen
    end },
  { id = "6960-4.2.2.2-a", level = "MUST",
    requirement = "have OCSP answers of the CA, or of one that it has certified for OCSPSigning",
    run = of_ocsp(function(_, found)
      local problem = responder_problem(found.answer, found.ca)
      return not problem, problem or "it is"
    end) },
  { id = "6960-4.2.2.1-a", level = "MUST", requirement = "have OCSP answers of now",
    run = of_ocsp(function(single)
      return is_fresh(single.this_update, single.next_update)
    end) },
  { id = "6960-4.4.1-a", level = "MUST",
    requirement = "give the nonce of an OCSP request back, where it gives one",
    run = of_ocsp(function(_, found)
      if not found.answer.nonce then return nil, "the answer has none" end
      return found.answer.nonce == found.nonce, found.answer.nonce == found.nonce and "it does"
        or "another"
    end, true) },
}
