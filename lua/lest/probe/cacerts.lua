--- Checks of /cacerts (RFC 7030 4.1.3): the bag, its roots, and the links of a rollover (RFC 4210
--- 4.4).
local core = require "lest.core"
local fetched = require "lest.probe.fetched"
local rollover = require "lest.base.rollover"

local function name_of(cert)
  return tostring(cert.subject)
end

local function is_valid(cert)
  local now = core.clock.wall_us() // 1000000
  return cert.not_before <= now and now <= cert.not_after
end

local function describe(target)
  local der, why = target:body "cacerts"
  if not der then return nil, why end
  local found, err = core.pkcs7.describe(der)
  return found, not found and tostring(err) or der
end

return {
  { id = "7030-4.1.3-c", level = "MUST",
    requirement = "answer /cacerts with a bag of certificates only (Simple PKI Response)",
    run = function(target)
      local certs, why = target:cas()
      if not certs then return false, why end
      return #certs > 0, ("certificates: %d"):format(#certs)
    end },
  { id = "5652-5.1-a", level = "MUST",
    requirement = "write the bag as SignedData of version 1, of type data, without signers",
    run = function(target)
      local found, der = describe(target)
      if not found then return nil, der end
      if found.type ~= "pkcs7-signedData" then return false, found.type end
      local seen = ("version %d, %s, signers: %d"):format(found.version, found.content_type,
        found.signers)
      return found.version == 1 and found.content_type == "pkcs7-data" and found.signers == 0
        and found.content_len == 0, seen
    end },
  { id = "7030-4.1.3-e", level = "MUST", requirement = "have the current root in /cacerts",
    run = function(target)
      local roots, why = target:roots()
      if not roots then return nil, why end
      for _, root in ipairs(roots) do
        if is_valid(root) then return true, name_of(root) end
      end
      return false, #roots == 0 and "no self-signed CA certificate" or "its time is over"
    end },
  { id = "7030-4.1.3-g", level = "SHOULD",
    requirement = "have OldWithOld, OldWithNew and NewWithOld while the root changes",
    run = fetched.of_cas(function(certs)
      local missing = rollover.missing(certs)
      if #missing > 0 then return false, missing[1] end
      if #rollover.find(certs) == 0 then return nil, "one generation of roots" end
      return true, "both roots, and the links between them"
    end) },
  { id = "4210-4.4-a", level = "INTEROP",
    requirement = "have links of the CA's name that are CAs, NewWithOld until OldWithOld ends",
    run = fetched.of_cas(function(certs)
      local links = rollover.links(certs)
      if #links == 0 then return nil, "no links" end
      for _, cert in ipairs(links) do
        local fault = rollover.fault(cert, certs)
        if fault then return false, name_of(cert) .. " " .. fault end
      end
      return true, ("links: %d"):format(#links)
    end) },
}
