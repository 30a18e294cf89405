--- What several sections look at in the answers to GET: media types, the certificates of /cacerts,
--- and the attributes of /csrattrs.
local core = require "lest.core"
local der = require "lest.probe.der"
local wire = require "lest.probe.wire"

local M = {}

--- A check of the media type of a 200.
---@param operation string
---@param media_type string "application/csrattrs"
function M.of_type(operation, media_type)
  return function(target)
    local response, err = target:get(operation)
    if not response or response.status ~= 200 then return nil, wire.shown(response, err) end
    local value = response:header "Content-Type"
    local media = value and core.http.media_type(value)
    return media ~= nil and media.type == media_type, value or "no Content-Type"
  end
end

--- A check of the certificates of /cacerts, where they can be read.
---@param look fun(certs: lest.cert[], target: lest.probe.target): boolean?, string
function M.of_cas(look)
  return function(target)
    local certs, why = target:cas()
    if not certs then return nil, why end
    return look(certs, target)
  end
end

--- The attributes of /csrattrs.
---@param target lest.probe.target
---@return lest.csrattr[]? list
---@return string? why not
function M.attributes(target)
  local bytes, response = target:body "csrattrs"
  if not bytes then return nil, response end
  local found, err = core.csrattrs.decode(bytes)
  return found, not found and tostring(err) or nil
end

--- A check of those of some types, where there are any; one without values is an OID alone.
---@param oids table<string, true>
---@param absent string what to say where there is none
---@param look fun(all: lest.csrattr[]): boolean?, string
function M.of_attributes(oids, absent, look)
  return function(target)
    local found, why = M.attributes(target)
    if not found then return nil, why end
    local all = {}
    for _, each in ipairs(found) do
      if oids[each.oid] and each.values then all[#all + 1] = each end
    end
    if #all == 0 then return nil, absent end
    return look(all)
  end
end

--- That there is one of them at most.
function M.is_one(all) return #all == 1, ("%d"):format(#all) end

--- That each has one value.
function M.has_one_value(all)
  for _, each in ipairs(all) do
    if #each.values ~= 1 then return false, ("%d"):format(#each.values) end
  end
  return true, "1"
end

--- That nothing is wrong with any value: problem(value) says what is.
---@param problem fun(value: string, oid: string): string?
function M.are_good(problem)
  return function(all)
    for _, each in ipairs(all) do
      for _, value in ipairs(each.values) do
        local wrong = problem(value, each.oid)
        if wrong then return false, wrong end
      end
    end
    return true, "as it should be"
  end
end

local OID_TAG <const>, OCTETS_TAG <const>, SEQUENCE_TAG <const> = "\6", "\4", "\48"

--- Each extension of an Extensions value (RFC 5280 4.1) as its parts; nil: it is none.
---@param value string
---@return string[][]?
function M.extensions(value)
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

return M
