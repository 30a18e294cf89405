--- Checks of /csrattrs (RFC 7030 4.5, RFC 8951 4, RFC 9908 3.2).
local fetched = require "lest.probe.fetched"
local wire = require "lest.probe.wire"

local EC <const>, RSA <const> = "1.2.840.10045.2.1", "1.2.840.113549.1.1.1"
local OID_TAG <const>, INTEGER_TAG <const> = "\6", "\2"

local function of_extensions(look)
  return fetched.of_attributes({ ["1.2.840.113549.1.9.14"] = true }, "there is none", look)
end

local function of_keys(look)
  return fetched.of_attributes({ [EC] = true, [RSA] = true }, "no kind of key is asked for", look)
end

return {
  { id = "7030-4.5.2-b", level = "INTEROP",
    requirement = "say 200, or 204 or 404 where it has no wishes",
    run = function(target)
      local response, err = target:get "csrattrs"
      local status = response and response.status
      if status == 401 or status == 403 then return nil, wire.shown(response) end
      return status == 200 or status == 204 or status == 404 or status == 501,
        wire.shown(response, err)
    end },
  { id = "7030-4.5.2-d", level = "MUST", requirement = "answer /csrattrs as application/csrattrs",
    run = fetched.of_type("csrattrs", "application/csrattrs") },
  { id = "8951-4-a", level = "INTEROP", requirement = "write CsrAttrs as RFC 8951 corrects it",
    run = function(target)
      local response, err = target:get "csrattrs"
      if not response or response.status ~= 200 then return nil, wire.shown(response, err) end
      local found, why = fetched.attributes(target)
      return found ~= nil, found and ("attributes: %d"):format(#found) or why
    end },
  { id = "9908-3.2-b", level = "MUST",
    requirement = "have one attribute at most that asks for extensions",
    run = of_extensions(fetched.is_one) },
  { id = "9908-3.2-c", level = "MUST", requirement = "have one value in it",
    run = of_extensions(fetched.has_one_value) },
  { id = "9908-3.2-d", level = "MUST", requirement = "have Extensions as that value",
    run = of_extensions(fetched.are_good(function(value)
      return not fetched.extensions(value) and "the value is no Extensions" or nil
    end)) },
  { id = "9908-3.2-e", level = "MUST NOT", requirement = "ask for an extension twice",
    run = of_extensions(fetched.are_good(function(value)
      local seen = {}
      for _, parts in ipairs(fetched.extensions(value) or {}) do
        if seen[parts[1]] then return "an extension is there twice" end
        seen[parts[1]] = true
      end
    end)) },
  { id = "9908-3.2-f", level = "MUST", requirement = "ask for one kind of key at most",
    run = of_keys(fetched.is_one) },
  { id = "9908-3.2-h", level = "MUST", requirement = "name a curve for an EC key, a size for RSA",
    run = of_keys(fetched.are_good(function(value, oid)
      if value:sub(1, 1) == (oid == EC and OID_TAG or INTEGER_TAG) then return nil end
      return oid == EC and "no curve's OID" or "no INTEGER"
    end)) },
}
