--- The rows in which lest.tool.inspect shows each kind of thing.
--- A function a kind: (object, item, now) to
--- { kind =, title =, { key =, label =, value =, text =, children = }, ... }: value is what JSON
--- gets, text (a string or a list of lines) what a person reads, nil where there is nothing to say.
--- crl stands in place of value for the entries of a CRL, which may be many.
local core = require "lest.core"
local duration = require "lest.duration"
local time = require("lest.base.clock").text
local wished = require "lest.base.wished"

local M = {}

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function colons(digits)
  return (digits:gsub("(%x%x)", "%1:"):gsub(":$", ""))
end

local function add(list, key, label, value, text)
  if value ~= nil then
    list[#list + 1] = { key = key, label = label, value = value, text = text or tostring(value) }
  end
end

local function add_list(list, key, label, values)
  list[#list + 1] = { key = key, label = label, value = values,
    text = #values > 0 and table.concat(values, ", ") or nil }
end

--- What the maker of a thing did wrong, and is read all the same.
local function add_flaws(list, object)
  list[#list + 1] = { key = "flaws", label = "Flaws", value = object.flaws,
    text = #object.flaws > 0 and object.flaws or nil }
end

local function name_text(name)
  local text = tostring(name)
  return text == "" and "(empty)" or text
end

local function public_key(list, key)
  local fingerprint = core.secret.sha256(key.der)
  list[#list + 1] = { key = "public_key", label = "Public key",
    value = { type = key.type, security_bits = key.security_bits, sha256 = fingerprint },
    text = { ("%s (%d bits of security)"):format(key.type, key.security_bits),
      "sha256 " .. fingerprint } }
end

local READERS <const> = {
  ["2.5.29.15"] = function(object)
    return object.key_usage and table.concat(object.key_usage, ", ")
  end,
  ["2.5.29.37"] = function(object) return object.eku and table.concat(object.eku, ", ") end,
  ["2.5.29.17"] = function(object, extension)
    local names = extension.san or core.san.decode(extension.value) or object.san
    return names and table.concat(names, ", ")
  end,
}

-- What an extension means, in one line; nil where only its bytes can be shown.
local function meaning(object, extension)
  local reader = READERS[extension.oid]
  local text = reader and reader(object, extension)
    or core.show.extension(extension.oid, extension.value)
  -- An attacker may have chosen the text. A pattern that looks for the end of the line from each of
  -- many spaces would take quadratic time.
  local lines = {}
  for line in (text or ""):gmatch "[^\n]+" do
    local first = line:find "%S"
    if first then table.insert(lines, line:match("^.*%S", first)) end
  end
  return #lines > 0 and table.concat(lines, "; ") or nil
end

local function extensions(list, object, found)
  local lines, values = {}, {}
  for i, extension in ipairs(found) do
    local text = meaning(object, extension)
    values[i] = { oid = extension.oid, name = extension.name, critical = extension.critical,
      value = hex(extension.value), text = text }
    lines[i] = ("%s%s: %s"):format(extension.name or extension.oid,
      extension.critical and " (critical)" or "", text or core.show.value(extension.value))
  end
  list[#list + 1] = { key = "extensions", label = "Extensions", value = values,
    text = #lines > 0 and lines or nil }
end

-- How long until a time span begins or ends, or how long ago it ended.
local function remaining(from, to, now)
  if from and now < from then return ("begins in %s"):format(duration.format(from - now)) end
  if to and now > to then return ("expired %s ago"):format(duration.format(now - to)) end
  if to then return ("%s left"):format(duration.format(to - now)) end
end

local function wall_s()
  return core.clock.wall_us() // 1000000
end

function M.certificate(cert, _, now)
  local list = { kind = "certificate", title = "Certificate" }
  add(list, "subject", "Subject", tostring(cert.subject), name_text(cert.subject))
  add_list(list, "san", "Alternative names", cert.san)
  if #cert.san_unusable > 0 then
    add_list(list, "san_unusable", "Unusable names", cert.san_unusable)
  end
  add(list, "issuer", "Issuer", tostring(cert.issuer),
    name_text(cert.issuer) .. (cert.self_issued and " (itself)" or ""))
  add(list, "serial", "Serial number", cert.serial)
  add(list, "not_before", "Valid from", cert.not_before, time(cert.not_before))
  add(list, "not_after", "Valid until", cert.not_after, ("%s (%s)"):format(time(cert.not_after),
    remaining(cert.not_before, cert.not_after, now or wall_s())))
  public_key(list, cert.public_key)
  add(list, "signature_algorithm", "Signed with", cert.signature_algorithm)
  add(list, "is_ca", "CA", cert.is_ca, cert.is_ca and ("yes" .. (cert.path_len and
    (", path length %d"):format(cert.path_len) or "")) or "no")
  list[#list + 1] = { key = "path_len", value = cert.path_len }
  list[#list + 1] = { key = "version", value = cert.version }
  list[#list + 1] = { key = "key_usage", value = cert.key_usage }
  list[#list + 1] = { key = "eku", value = cert.eku }
  extensions(list, cert, cert.extensions)
  add(list, "fingerprint", "Fingerprint", cert.fingerprint, "sha256 " .. colons(cert.fingerprint))
  add_flaws(list, cert)
  if #cert.chain > 0 then
    local children = {}
    for i, other in ipairs(cert.chain) do children[i] = M.certificate(other, nil, now) end
    list[#list + 1] = { key = "chain", label = "", children = children }
  end
  return list
end

local function attributes(found)
  local lines, values = {}, {}
  for _, attribute in ipairs(found) do
    local shown, raw = {}, {}
    for i, value in ipairs(attribute.values or {}) do
      shown[i], raw[i] = core.show.value(value), hex(value)
    end
    local entry = { oid = attribute.oid, name = attribute.name }
    entry.values = attribute.values and raw or nil
    values[#values + 1] = entry
    lines[#lines + 1] = (attribute.name or attribute.oid)
      .. (attribute.values and ": " .. table.concat(shown, ", ") or "")
  end
  return lines, values
end

-- Attributes with rows of their own: requested extensions (two identifiers), ChangeSubjectName.
local REQUESTED <const> = { ["1.2.840.113549.1.9.14"] = true, ["1.3.6.1.4.1.311.2.1.14"] = true,
  ["1.3.6.1.5.5.7.7.36"] = true }

--- Whether a request is signed by its key, and what to say of it.
local function self_signature(csr)
  local ok, err = csr:verify { allow_weak = true }
  if not ok and err.code == "key_unsupported" then
    return false, "cannot be checked: " .. tostring(err)
  end
  if not ok then return false, "does NOT verify: " .. tostring(err) end
  local strong, weakness = csr:verify()
  return true, strong and "verifies" or "verifies, but is weak: " .. tostring(weakness)
end

function M.csr(csr)
  local list = { kind = "csr", title = "Certification request (CSR)" }
  add(list, "subject", "Subject", tostring(csr.subject), name_text(csr.subject))
  add_list(list, "san", "Alternative names", csr.san)
  local change = csr.change
  if change then
    add(list, "change", "Asks for other names",
      { subject = tostring(change.subject), san = change.san }, { name_text(change.subject),
        #change.san > 0 and table.concat(change.san, ", ") or "no alternative names" })
  end
  add(list, "form", "Form", csr.form == "crmf" and "crmf" or nil, "CRMF, of a message of CMC")
  public_key(list, csr.public_key)
  add(list, "signature_algorithm", "Signed with", csr.signature_algorithm)
  local verifies, text = self_signature(csr)
  add(list, "signature_verifies", "Self-signature", verifies, text)
  list[#list + 1] = { key = "version", value = csr.version }
  list[#list + 1] = { key = "key_usage", value = csr.key_usage }
  list[#list + 1] = { key = "eku", value = csr.eku }
  extensions(list, csr, csr.extensions)
  local others = {}
  for _, attribute in ipairs(csr.attributes) do
    if not REQUESTED[attribute.oid] then others[#others + 1] = attribute end
  end
  local lines = attributes(others)
  local _, values = attributes(csr.attributes)
  list[#list + 1] = { key = "attributes", label = "Attributes", value = values,
    text = #lines > 0 and lines or nil }
  add_flaws(list, csr)
  return list
end

local ENTRIES_SHOWN <const> = 20

function M.crl(crl, _, now)
  local list = { kind = "crl", title = "Certificate revocation list (CRL)" }
  add(list, "issuer", "Issuer", tostring(crl.issuer), name_text(crl.issuer))
  add(list, "this_update", "Made", crl.this_update, time(crl.this_update))
  if crl.next_update then
    add(list, "next_update", "Next one", crl.next_update, ("%s (%s)"):format(time(crl.next_update),
      remaining(crl.this_update, crl.next_update, now or wall_s())))
  end
  add(list, "number", "Number", crl.number)
  add(list, "signature_algorithm", "Signed with", crl.signature_algorithm)
  local lines = {}
  for i, entry in ipairs((crl:page(0, ENTRIES_SHOWN))) do
    lines[i] = ("%s since %s%s"):format(entry.serial, time(entry.date),
      entry.reason and ", " .. entry.reason or "")
  end
  if crl.count > ENTRIES_SHOWN then
    lines[#lines + 1] = ("and %d more"):format(crl.count - ENTRIES_SHOWN)
  end
  list[#list + 1] = { key = "entries", label = "Revoked", crl = crl,
    text = #lines > 0 and lines or "nothing" }
  extensions(list, { key_usage = {}, eku = {} }, crl.extensions)
  return list
end

-- Of which certificate OCSP speaks, and what it says of it.
local function ocsp_certificate(each)
  local list = { kind = "ocsp_certificate", title = "Certificate" }
  add(list, "serial", "Serial number", each.serial)
  add(list, "issuer_name_hash", "Issuer's name", hex(each.name_hash),
    ("%s %s"):format(each.digest or "an unknown digest", hex(each.name_hash)))
  add(list, "issuer_key_hash", "Issuer's key", hex(each.key_hash),
    ("%s %s"):format(each.digest or "an unknown digest", hex(each.key_hash)))
  list[#list + 1] = { key = "digest", value = each.digest }
  return list
end

function M.ocsp_request(request)
  local list = { kind = "ocsp_request", title = "OCSP request" }
  add(list, "nonce", "Nonce", request.nonce and hex(request.nonce))
  add(list, "is_signed", "Signed", request.is_signed, request.is_signed
    and "yes (the signature is not looked at)" or "no")
  local children = {}
  for i, each in ipairs(request.certificates) do children[i] = ocsp_certificate(each) end
  list[#list + 1] = { key = "certificates", label = "", children = children }
  return list
end

local function ocsp_single(each, now)
  local list = ocsp_certificate(each)
  add(list, "state", "State", each.state, each.revoked_at
    and ("revoked since %s%s"):format(time(each.revoked_at),
      each.reason and ", " .. each.reason or "") or each.state)
  list[#list + 1] = { key = "revoked_at", value = each.revoked_at }
  list[#list + 1] = { key = "reason", value = each.reason }
  add(list, "this_update", "As of", each.this_update, time(each.this_update))
  if each.next_update then
    add(list, "next_update", "Good until", each.next_update, ("%s (%s)"):format(
      time(each.next_update), remaining(each.this_update, each.next_update, now or wall_s())))
  end
  return list
end

function M.ocsp_response(response, _, now)
  local list = { kind = "ocsp_response", title = "OCSP response" }
  add(list, "status", "Status", response.status)
  if not response.responses then return list end
  if response.responder_name then
    add(list, "responder_name", "Responder", tostring(response.responder_name),
      name_text(response.responder_name))
  end
  add(list, "responder_key", "Responder's key", response.responder_key,
    response.responder_key and "sha1 " .. response.responder_key)
  add(list, "produced_at", "Made", response.produced_at, time(response.produced_at))
  add(list, "nonce", "Nonce", response.nonce and hex(response.nonce))
  add(list, "signature_algorithm", "Signed with", response.signature_algorithm)
  local singles, certificates = {}, {}
  for i, each in ipairs(response.responses) do singles[i] = ocsp_single(each, now) end
  list[#list + 1] = { key = "responses", label = "", children = singles }
  for _, der in ipairs(response.certificates) do
    local cert = core.cert.parse(der)
    if cert then certificates[#certificates + 1] = M.certificate(cert, nil, now) end
  end
  list[#list + 1] = { key = "certificates", label = "", children = certificates }
  return list
end

function M.pkcs7(message, _, now)
  local list = { kind = "pkcs7", title = "PKCS#7 / CMS message" }
  add(list, "type", "Type", message.type)
  if not message.certificates then return list end
  local certs_only = message.signers == 0 and message.content_len == 0
  add(list, "certs_only", "Certificates only", certs_only, certs_only and "yes" or "no")
  add(list, "content_type", "Content", message.content_type,
    ("%s, %d bytes"):format(message.content_type, message.content_len))
  add(list, "signers", "Signers", message.signers,
    message.signers == 0 and "none" or ("%d (not checked)"):format(message.signers))
  if message.skipped > 0 then add(list, "skipped", "Of other kinds", message.skipped) end
  local certs, crls = {}, {}
  for i, cert in ipairs(message.certificates) do
    certs[i] = M.certificate(cert, nil, now)
    certs[i].title = ("Certificate %d of %d"):format(i, #message.certificates)
  end
  for i, crl in ipairs(message.crls) do crls[i] = M.crl(crl, nil, now) end
  list[#list + 1] = { key = "certificates", label = "", children = certs }
  list[#list + 1] = { key = "crls", label = "", children = crls }
  return list
end

--- A part of a template's subject, as in a name; without a value it is for the client to fill in.
local function part_text(part)
  return ("%s%s=%s"):format(part.plus and "+ " or "", part[1], part[2] or "(open)")
end

local OPEN <const> = "to be filled in"
local TEMPLATE <const> = "1.2.840.113549.1.9.16.2.61" -- id-aa-certificationRequestInfoTemplate

--- A template (RFC 9908 3.4), line by line and as JSON has it.
local function template_rows(template)
  local lines, subject, wanted = {}, nil, {}
  for _, part in ipairs(template.subject or {}) do
    subject = subject or {}
    table.insert(subject, { type = part[1], value = part[2], plus = part.plus })
    table.insert(lines, "subject: " .. part_text(part))
  end
  for _, extension in ipairs(template.extensions) do
    local text = extension.value
      and (meaning({}, extension) or core.show.value(extension.value)) or OPEN
    table.insert(wanted, { oid = extension.oid, name = extension.name,
      critical = extension.critical, value = extension.value and hex(extension.value),
      san = extension.san, text = text })
    table.insert(lines, ("%s%s: %s"):format(extension.name or extension.oid,
      extension.critical and " (critical)" or "", text))
  end
  local others, values = attributes(template.attributes)
  table.move(others, 1, #others, #lines + 1, lines)
  return { subject = subject, key = template.key, extensions = wanted, attributes = values },
    #lines > 0 and lines or "wants nothing but, it may be, a key"
end

local function status_text(status)
  local text = tostring(status.status)
  if status.failure then text = ("%s (%s)"):format(text, status.failure) end
  if status.extended then text = ("%s (%s)"):format(text, status.extended) end
  text = ("%s, of %s"):format(text, table.concat(status.bodies, ", "))
  if status.text then text = ("%s: %s"):format(text, status.text) end
  if status.token then
    text = ("%s; ask again at %s with %s"):format(text, time(status.time), hex(status.token))
  end
  return text
end

-- A control's value: as JSON has it, and as text. Secrets are said to be there.
local function control_value(control)
  local value = control.value
  if control.name == "identification" then return value, value end
  if value == nil then
    local all = table.concat(control.values)
    return hex(all), core.show.value(all)
  elseif type(value) == "string" then
    return hex(value), hex(value)
  elseif value.status then
    local plain = {}
    for key, each in pairs(value) do plain[key] = each end
    plain.token = value.token and hex(value.token)
    return plain, status_text(value)
  elseif value.witness then
    return { digest = value.digest, mac = value.mac, witness = hex(value.witness) },
      ("%s (%s, %s)"):format(hex(value.witness), value.digest, value.mac)
  elseif value.issuer_der then
    return { issuer = tostring(value.issuer), serial = value.serial, reason = value.reason,
        comment = value.comment, passphrase = value.passphrase and true or nil },
      ("%s of %s%s%s"):format(value.serial or "CRL", name_text(value.issuer),
        value.reason and ", reason " .. value.reason or "",
        value.passphrase and ", with a passphrase" or "")
  end
  return value, "of " .. table.concat(value, ", ")
end

local function signer_text(message)
  local signer = message.signer
  if not signer then return "nobody" end
  local who = signer.key_id and "key " .. hex(signer.key_id)
    or ("%s of %s"):format(signer.serial, name_text(signer.issuer))
  local cert = message.signer_certificate
  if cert then
    local good = message:verify(cert.public_key.der)
    return ("%s, %s; the signature is %s"):format(who, name_text(cert.subject),
      good and "that certificate's" or "NOT that certificate's")
  end
  return who .. " (not checked)"
end

function M.cmc(message, _, now)
  local is_request = message.kind == "request"
  local list = { kind = "cmc",
    title = is_request and "CMC request (PKIData)" or "CMC response (PKIResponse)" }
  add(list, "type", "Type", message.kind)
  add(list, "signer", "Signed by", signer_text(message))
  local lines, values = {}, {}
  for i, control in ipairs(message.controls) do
    local value, text = control_value(control)
    values[i] = { id = control.id, oid = control.oid, name = control.name, value = value }
    lines[i] = ("%d %s: %s"):format(control.id, control.name or control.oid, text)
  end
  list[#list + 1] = { key = "controls", label = "Controls", value = values,
    text = #lines > 0 and lines or "none" }
  local requests, certs = {}, {}
  for i, request in ipairs(message.requests) do
    local csr = request.form ~= "orm" and core.csr.parse(request.der, { key_later = true })
    requests[i] = csr and M.csr(csr, nil, now)
      or { kind = "request", title = "", { key = "form", label = "Form", value = request.form,
        text = request.form } }
    requests[i].title = ("Request %d (body part %d)"):format(i, request.id)
  end
  for i, cert in ipairs(message.certificates) do
    certs[i] = M.certificate(cert, nil, now)
    certs[i].title = ("Certificate %d of %d"):format(i, #message.certificates)
  end
  list[#list + 1] = { key = "requests", label = "", children = requests }
  list[#list + 1] = { key = "certificates", label = "", children = certs }
  return list
end

function M.csrattrs(found)
  local list = { kind = "csrattrs", title = "CSR attributes" }
  local wishes, err = core.csrattrs.wishes(found)
  wishes = wishes or { signatures = {}, extensions = {}, unknown = {} }
  add(list, "key", "Key wished for", wishes.key)
  local names = wished.signatures(wishes)
  add(list, "signature", "Signature", names[1] and table.concat(names, " or "))
  list[#list + 1] = { key = "digest", value = names[1] and wishes.signatures[1].digest }
  local binding = wishes.identity_linking and "estIdentityLinking"
    or wishes.challenge_password and "challengePassword"
  add(list, "challenge_password", "Channel binding", wishes.challenge_password == true,
    binding and ("wished for (%s)"):format(binding) or "not wished for")
  if wishes.template then add(list, "template", "Template", template_rows(wishes.template)) end
  extensions(list, {}, wishes.extensions)
  local others = {}
  for _, attribute in ipairs(found) do
    if attribute.oid ~= TEMPLATE or not wishes.template then others[#others + 1] = attribute end
  end
  local lines = attributes(others)
  local _, values = attributes(found)
  list[#list + 1] = { key = "attributes", label = "Elements", value = values,
    text = #lines > 0 and lines or "none" }
  local problems = { err and tostring(err) }
  for _, attribute in ipairs(wishes.unknown) do
    if attribute.problem then
      problems[#problems + 1] = ("%s is ignored: %s"):format(attribute.name or attribute.oid,
        attribute.problem)
    end
  end
  add_list(list, "problems", "Problems", problems)
  return list
end

function M.key(key)
  local list = { kind = "key", title = "Private key" }
  public_key(list, { type = key.type, security_bits = key.security_bits, der = key:public_der() })
  return list
end

function M.public_key(key)
  local list = { kind = "public_key", title = "Public key" }
  public_key(list, key)
  return list
end

function M.encrypted_key()
  return { kind = "encrypted_key", title = "Private key, encrypted with a passphrase" }
end

function M.malformed(_, item)
  local list = { kind = "malformed", title = "PEM block that cannot be read" }
  add(list, "label", "Label", item.label)
  add(list, "block", "Block", item.block)
  add(list, "line", "Line", item.line)
  add(list, "problem", "Problem", tostring(item.problem))
  return list
end

local function subjects(chain)
  local names = {}
  for i, cert in ipairs(chain or {}) do names[i] = tostring(cert.subject) end
  return names
end

local function path_value(path)
  local faults = {}
  for i, fault in ipairs(path.faults) do
    faults[i] = { code = fault.code, depth = fault.depth, text = fault.text, advice = fault.advice,
      subject = tostring(fault.cert.subject), fingerprint = fault.cert.fingerprint }
  end
  return { chain = subjects(path.chain), is_anchored = path.is_anchored, faults = faults }
end

--- Whether a certificate is trusted, and why not (lest.explanation).
function M.explanation(report)
  local lines = {}
  for line in tostring(report):gmatch "[^\n]+" do lines[#lines + 1] = line end
  local list = { kind = "explanation", title = table.remove(lines, 1) }
  local paths = {}
  for i, path in ipairs(report.paths) do paths[i] = path_value(path) end
  list[1] = { key = "ok", value = report.ok }
  list[2] = { key = "chain", value = report.chain and subjects(report.chain) }
  list[3] = { key = "paths", label = "", value = paths, text = lines }
  return list
end

function M.unknown(_, item)
  local list = { kind = "unknown", title = "PEM block that lest does not know" }
  add(list, "label", "Label", item.label)
  return list
end

return M
