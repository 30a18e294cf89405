--- Checks of what a server issues (RFC 7030 4.2, RFC 5280). They ask for a certificate, and for
--- renewals of it.
local core = require "lest.core"
local list = require "lest.base.list"

-- A check of the answer to the enrollment.
local function of_answer(look)
  return function(target)
    local found, why = target:enrolled()
    if not found then return nil, why end
    return look(found, target)
  end
end

-- A check of the certificate.
local function of_cert(look)
  return function(target)
    local cert, why = target:issued()
    if not cert then return nil, why end
    return look(cert, target)
  end
end

-- A renewal that goes through where a plain one does.
local function accepted(edit, headers)
  return function(target)
    local plain, why = target:renewed()
    if not plain then return nil, why end
    local found, problem = target:renew(nil, edit, headers)
    if not found then return false, problem end
    return found.cert ~= nil, found.problem or "200"
  end
end

-- One that is refused where a plain one goes through. good(found): other answers that are right.
local function refused(plan, edit, good)
  return function(target)
    local plain, why = target:renewed()
    if not plain then return nil, why end
    local found, problem = target:renew(type(plan) == "function" and plan(target) or plan, edit)
    if not found then return nil, problem end
    local status = found.response.status
    if good and found.cert and good(found.cert) then return true, "200, without it" end
    return status >= 400 and status < 500, tostring(status)
  end
end

-- Requests that are linked to their connection go through where a plain one does. fills: a list of
-- what each has, with its name.
local function linked(...)
  local fills <const> = { ... }
  return function(target)
    local plain, why = target:renewed()
    if not plain then return nil, why end
    for _, each in ipairs(fills) do
      local found, problem = target:linked("simplereenroll", each.fill)
      if not found or not found.cert then
        return false, ("%s: %s"):format(each.name, problem or found.problem)
      end
    end
    return true, "200"
  end
end

-- The binding as a value of an attribute in a type of string.
local function in_string(name, oid, tag, width)
  return { name = name, fill = function(binding)
    local value = binding:gsub(".", ("\0"):rep((width or 1) - 1) .. "%0")
    local long = #value > 127 and "\129" or ""
    return { attributes = { { oid = oid,
      values = { string.char(tag) .. long .. string.pack("s1", value) } } } }
  end }
end

local function media_of(response)
  local value = response:header "Content-Type"
  return value and core.http.media_type(value), value or "no Content-Type"
end

local function has(cert, oid)
  for _, extension in ipairs(cert.extensions) do
    if extension.oid == oid then return extension end
  end
end

local KEY_USAGE <const> = "2.5.29.15"
local CHALLENGE_PASSWORD <const>, CHANGE_SUBJECT_NAME <const> = "1.2.840.113549.1.9.7",
  "1.3.6.1.5.5.7.7.36"
local IDENTITY_LINKING <const> = "1.2.840.113549.1.9.16.2.58"
local SIGNS <const> = { oid = KEY_USAGE, critical = true, value = "\3\2\7\128" }
local BASIC_CONSTRAINTS <const> = { oid = "2.5.29.19", critical = true, value = "\48\3\1\1\255" }

local function random_link()
  return { challenge_password = core.base64.encode(assert(core.secret.random_bytes(32))) }
end

local function spread(base64)
  return "\r\n \t" .. base64:gsub("%s", ""):gsub(("."):rep(76), "%0 \t\r\n") .. "\r\n\r\n"
end

return {
  { id = "7030-4.2.3-h", level = "MUST", needs = "enroll",
    requirement = "say in Retry-After of a 202 when to come back",
    run = of_answer(function(found)
      if found.response.status ~= 202 then return nil, "no 202: " .. found.response.status end
      local value = found.response:header "Retry-After"
      return value ~= nil and core.http.retry_after(value) ~= nil, value or "no Retry-After"
    end) },
  { id = "7030-4.2.3-a", level = "MUST", needs = "enroll",
    requirement = "answer an enrollment with 200 and application/pkcs7-mime",
    run = of_answer(function(found)
      if found.response.status == 202 then return nil, found.problem end
      if found.response.status ~= 200 then return nil, found.problem end
      local media, seen = media_of(found.response)
      return media ~= nil and media.type == "application/pkcs7-mime", seen
    end) },
  { id = "7030-4.2.3-c", level = "INTEROP", needs = "enroll",
    requirement = "add smime-type=certs-only",
    run = of_answer(function(found)
      if found.response.status ~= 200 then return nil, found.problem end
      local media, seen = media_of(found.response)
      return ((media and media.params["smime-type"]) or ""):lower() == "certs-only", seen
    end) },
  { id = "7030-4.2.3-b", level = "MUST", needs = "enroll",
    requirement = "answer with the certificate alone, without its chain",
    run = of_answer(function(found)
      if found.response.status ~= 200 then return nil, found.problem end
      if not found.cert then return false, found.problem end
      return #found.certs == 1, ("certificates: %d"):format(#found.certs)
    end) },
  { id = "7030-4.1.3-f", level = "MUST", needs = "enroll",
    requirement = "have in /cacerts what chains an issued certificate to the root",
    run = of_cert(function(cert, target)
      local certs, why = target:cas()
      if not certs then return nil, why end
      local store = assert(core.store.new { anchors = target:roots() })
      local chain, err = store:verify(cert, { untrusted = certs })
      return chain ~= nil, chain and ("certificates in the chain: %d"):format(#chain)
        or tostring(err)
    end) },
  { id = "5280-4.2.1.1-a", level = "MUST", needs = "enroll",
    requirement = "issue certificates with an authorityKeyIdentifier",
    run = of_cert(function(cert) return cert.aki ~= nil, cert.aki or "there is none" end) },
  { id = "5280-4.2.1.2-a", level = "SHOULD", needs = "enroll",
    requirement = "issue certificates with a subjectKeyIdentifier",
    run = of_cert(function(cert) return cert.ski ~= nil, cert.ski or "there is none" end) },
  { id = "5280-4.2.1.3-a", level = "SHOULD", needs = "enroll",
    requirement = "mark keyUsage critical",
    run = of_cert(function(cert)
      local extension = has(cert, KEY_USAGE)
      if not extension then return nil, "there is none" end
      return extension.critical, extension.critical and "it does" or "it does not"
    end) },
  { id = "7030-4.2.2-c", level = "INTEROP", needs = "enroll",
    requirement = "renew a certificate of its own for who shows it",
    run = function(target)
      local found, why = target:enrolled()
      if not found or not found.cert then return nil, why or found.problem end
      local renewed, problem = target:renewed()
      return renewed ~= nil, problem or "200"
    end },
  { id = "7030-4.2.2-d", level = "INTEROP", needs = "enroll",
    requirement = "renew it for another key",
    run = function(target)
      local plain, why = target:renewed()
      if not plain then return nil, why end
      local found, problem = target:renew { key = assert(core.key.generate(target:key().type)) }
      if not found then return false, problem end
      return found.cert ~= nil, found.problem or "200"
    end },
  { id = "8951-3-c", level = "MUST", needs = "enroll",
    requirement = "ignore Content-Transfer-Encoding",
    run = accepted(nil, { ["Content-Transfer-Encoding"] = "quoted-printable" }) },
  { id = "8951-3.1-a", level = "SHOULD", needs = "enroll",
    requirement = "take base64 with blanks and line ends anywhere",
    run = accepted(spread) },
  { id = "4648-3.3-a", level = "MUST", needs = "enroll",
    requirement = "refuse characters that are not of base64",
    run = refused(nil, function(base64) return base64:sub(1, 8) .. "*" .. base64:sub(9) end) },
  { id = "5967-2.1-c", level = "INTEROP", needs = "enroll",
    requirement = "refuse bytes behind a request",
    run = refused(nil, function(base64)
      return core.base64.encode(assert(core.base64.decode(base64)) .. "\0") .. "\n"
    end) },
  { id = "4648-3.2-a", level = "INTEROP", needs = "enroll",
    requirement = "refuse base64 that goes on behind its end",
    run = refused(nil, function(base64) return base64 .. "MAA=\n" end) },
  { id = "7030-4.2.2-e", level = "INTEROP", needs = "enroll",
    requirement = "renew for the names of the certificate alone",
    run = refused { subject_der = core.name.encode { { "CN", "lest probe, another name" } } } },
  { id = "5280-4.2.1.9-a", level = "MUST", needs = "enroll",
    requirement = "make no CA of who asks to be one",
    run = refused({ extensions = { BASIC_CONSTRAINTS } }, nil,
      function(cert) return not cert.is_ca and not list.has(cert.key_usage, "keyCertSign") end) },
  { id = "2985-5.4.1-c", level = "MUST", needs = "enroll",
    requirement = "refuse two values of challengePassword",
    run = refused { attributes = { { oid = CHALLENGE_PASSWORD,
      values = { "\12\1a", "\12\1b" } } }, raw = {} } },
  { id = "5280-4.2-a", level = "MUST NOT", needs = "enroll",
    requirement = "put an extension in a certificate twice",
    run = refused({ extensions = { SIGNS, SIGNS }, raw = {} }, nil, function(cert)
      local seen = {}
      for _, extension in ipairs(cert.extensions) do
        if seen[extension.oid] then return false end
        seen[extension.oid] = true
      end
      return true
    end) },
  { id = "6402-2.8-a", level = "MUST", needs = "enroll",
    requirement = "refuse a ChangeSubjectName without a name",
    run = refused { attributes = { { oid = CHANGE_SUBJECT_NAME, values = { "\48\0" } } },
      raw = {} } },
  { id = "7030-3.5-c", level = "MUST", needs = "enroll",
    requirement = "refuse a request that is linked to another connection",
    run = refused(random_link) },
  { id = "7030-3.3-e", level = "MUST", needs = "enroll",
    requirement = "take a request that is linked to its connection",
    run = linked { name = "challengePassword", fill = function(binding)
      return { challenge_password = binding }
    end } },
  { id = "2985-5.4.1-b", level = "MUST", needs = "enroll",
    requirement = "read challengePassword in every type of string",
    run = linked(in_string("PrintableString", CHALLENGE_PASSWORD, 0x13),
      in_string("UTF8String", CHALLENGE_PASSWORD, 0x0c),
      in_string("T61String", CHALLENGE_PASSWORD, 0x14),
      in_string("BMPString", CHALLENGE_PASSWORD, 0x1e, 2),
      in_string("UniversalString", CHALLENGE_PASSWORD, 0x1c, 4)) },
  { id = "7894-3-c", level = "MUST", needs = "enroll",
    requirement = "read estIdentityLinking as PrintableString and as UTF8String",
    run = linked(in_string("PrintableString", IDENTITY_LINKING, 0x13),
      in_string("UTF8String", IDENTITY_LINKING, 0x0c)) },
  { id = "7030-4.2-h", level = "MUST", needs = "enroll",
    requirement = "look at the link of a first request, as of a renewal",
    run = function(target)
      local right, why = target:linked("simpleenroll", function(binding)
        return { challenge_password = binding }
      end)
      if not right or not right.cert then
        return nil, "a right one is not granted: " .. (why or right.problem)
      end
      local wrong, problem = target:linked("simpleenroll", random_link)
      if not wrong then return nil, problem end
      local status = wrong.response.status
      return status >= 400 and status < 500, tostring(status)
    end },
}
