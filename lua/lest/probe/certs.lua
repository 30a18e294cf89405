--- Checks of every certificate that the server gives (RFC 5280, RFC 8649): those of /cacerts, and
--- what it issues where that may be asked for.
local der = require "lest.probe.der"
local names = require "lest.probe.names"

local HASH_OF_ROOT_KEY <const> = "1.3.6.1.4.1.51483.2.1" -- RFC 8649
local SUBJECT_ALT_NAME <const> = "2.5.29.17"
local UTC_TIME <const>, GENERALIZED_TIME <const> = 0x17, 0x18
local YEAR_2050 <const> = 2524608000

local function name_of(cert)
  local subject = tostring(cert.subject)
  return subject ~= "" and subject or "serial " .. cert.serial
end

-- The first certificate that something is wrong with.
local function each_cert(problem)
  return function(target)
    local certs, why = target:certs()
    if not certs then return nil, why end
    for _, cert in ipairs(certs) do
      local wrong = problem(cert)
      if wrong then return false, ("%s: %s"):format(name_of(cert), wrong) end
    end
    return true, ("certificates: %d"):format(#certs)
  end
end

local function extension_of(cert, oid)
  for _, extension in ipairs(cert.extensions) do
    if extension.oid == oid then return extension end
  end
end

-- The two times of a certificate's validity, as they are written.
local function times_of(cert)
  if der.problem(cert:der()) then return {} end
  local fields = der.values(der.values(cert:der())[1])
  local has_version = fields[1]:byte() == 0xa0
  return der.values(fields[has_version and 5 or 4])
end

return {
  { id = "8649-3-a", level = "MUST NOT", requirement = "mark hashOfRootKey critical",
    run = each_cert(function(cert)
      local extension = extension_of(cert, HASH_OF_ROOT_KEY)
      return extension and extension.critical and "critical" or nil
    end) },
  { id = "5280-4.1.2.2-a", level = "MUST",
    requirement = "have serial numbers that are positive, and of at most 20 octets",
    run = each_cert(function(cert)
      return not names.serial_is_good(cert.serial) and "the serial number is " .. cert.serial
    end) },
  { id = "5280-4.1.2.4-a", level = "MUST",
    requirement = "have an issuer's name in each certificate",
    run = each_cert(function(cert)
      return #tostring(cert.issuer) == 0 and "the issuer is empty"
    end) },
  { id = "5280-4.1.2.5-a", level = "MUST",
    requirement = "write times as UTCTime until 2049, and as GeneralizedTime from then on",
    run = each_cert(function(cert)
      local ends = { cert.not_before, cert.not_after }
      for i, time in ipairs(times_of(cert)) do
        local tag = ends[i] < YEAR_2050 and UTC_TIME or GENERALIZED_TIME
        if time:byte() ~= tag then return ("a time is of the tag 0x%02x"):format(time:byte()) end
      end
    end) },
  { id = "5280-4.2.1.6-a", level = "MUST",
    requirement = "have critical alternative names where the subject is empty",
    run = each_cert(function(cert)
      local extension = extension_of(cert, SUBJECT_ALT_NAME)
      return tostring(cert.subject) == "" and not (extension and extension.critical)
        and (extension and "the alternative names are not critical" or "it has no name at all")
        or nil
    end) },
}
