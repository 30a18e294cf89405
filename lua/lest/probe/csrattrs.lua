--- Checks of /csrattrs (RFC 7030 4.5, RFC 8951 4, RFC 9908 3).
local core = require "lest.core"
local der = require "lest.probe.der"
local wire = require "lest.probe.wire"

local EXTENSION_REQUEST <const> = "1.2.840.113549.1.9.14"
local EC <const>, RSA <const> = "1.2.840.10045.2.1", "1.2.840.113549.1.1.1"
local OID_TAG <const>, INTEGER_TAG <const> = "\6", "\2"
local OCTETS_TAG <const>, SEQUENCE_TAG <const> = "\4", "\48"

local function listed(target)
  local bytes, response = target:body "csrattrs"
  if not bytes then return nil, response end
  local found, err = core.csrattrs.decode(bytes)
  return found, not found and tostring(err) or nil
end

-- The attributes of a type, where there are any.
local function of_type(target, oid)
  local found, why = listed(target)
  if not found then return nil, why end
  local all = {}
  for _, each in ipairs(found) do
    if each.oid == oid and each.values then all[#all + 1] = each end
  end
  if #all == 0 then return nil, "there is none" end
  return all
end

-- Each extension of an Extensions value (RFC 5280 4.1) as its parts; nil: it is none.
local function extensions_of(value)
  if value:sub(1, 1) ~= SEQUENCE_TAG or der.problem(value) then return nil end
  local found = {}
  for i, each in ipairs(der.values(value)) do
    local parts = each:sub(1, 1) == SEQUENCE_TAG and der.values(each) or {}
    if #parts < 2 or #parts > 3 or parts[1]:sub(1, 1) ~= OID_TAG
      or parts[#parts]:sub(1, 1) ~= OCTETS_TAG then
      return nil
    end
    found[i] = parts
  end
  return #found > 0 and found or nil
end

-- Of all Extensions that are asked for: problem(extensions), which is nil where they are none.
local function of_extensions(problem)
  return function(target)
    local all, why = of_type(target, EXTENSION_REQUEST)
    if not all then return nil, why end
    for _, each in ipairs(all) do
      for _, value in ipairs(each.values) do
        local wrong = problem(extensions_of(value))
        if wrong then return false, wrong end
      end
    end
    return true, "as it should be"
  end
end

local function key_types(target)
  local found, why = listed(target)
  if not found then return nil, why end
  local all = {}
  for _, each in ipairs(found) do
    if each.values and (each.oid == EC or each.oid == RSA) then all[#all + 1] = each end
  end
  if #all == 0 then return nil, "no kind of key is asked for" end
  return all
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
    run = function(target)
      local response, err = target:get "csrattrs"
      if not response or response.status ~= 200 then return nil, wire.shown(response, err) end
      local value = response:header "Content-Type"
      local media = value and core.http.media_type(value)
      return media ~= nil and media.type == "application/csrattrs", value or "no Content-Type"
    end },
  { id = "8951-4-a", level = "INTEROP", requirement = "write CsrAttrs as RFC 8951 corrects it",
    run = function(target)
      local response, err = target:get "csrattrs"
      if not response or response.status ~= 200 then return nil, wire.shown(response, err) end
      local found, why = listed(target)
      return found ~= nil, found and ("attributes: %d"):format(#found) or why
    end },
  { id = "9908-3.2-b", level = "MUST",
    requirement = "have one attribute at most that asks for extensions",
    run = function(target)
      local all, why = of_type(target, EXTENSION_REQUEST)
      if not all then return nil, why end
      return #all == 1, ("%d"):format(#all)
    end },
  { id = "9908-3.2-c", level = "MUST", requirement = "have one value in it",
    run = function(target)
      local all, why = of_type(target, EXTENSION_REQUEST)
      if not all then return nil, why end
      for _, each in ipairs(all) do
        if #each.values ~= 1 then return false, ("%d"):format(#each.values) end
      end
      return true, "1"
    end },
  { id = "9908-3.2-d", level = "MUST", requirement = "have Extensions as that value",
    run = of_extensions(function(extensions)
      return not extensions and "the value is no Extensions" or nil
    end) },
  { id = "9908-3.2-e", level = "MUST NOT", requirement = "ask for an extension twice",
    run = of_extensions(function(extensions)
      local seen = {}
      for _, parts in ipairs(extensions or {}) do
        if seen[parts[1]] then return "an extension is there twice" end
        seen[parts[1]] = true
      end
    end) },
  { id = "9908-3.2-f", level = "MUST", requirement = "ask for one kind of key at most",
    run = function(target)
      local all, why = key_types(target)
      if not all then return nil, why end
      return #all == 1, ("%d"):format(#all)
    end },
  { id = "9908-3.2-h", level = "MUST", requirement = "name a curve for an EC key, a size for RSA",
    run = function(target)
      local all, why = key_types(target)
      if not all then return nil, why end
      for _, each in ipairs(all) do
        local tag = each.oid == EC and OID_TAG or INTEGER_TAG
        for _, value in ipairs(each.values) do
          if value:sub(1, 1) ~= tag then
            return false, each.oid == EC and "no curve's OID" or "no INTEGER"
          end
        end
      end
      return true, "as it should be"
    end },
}
