--- Checks of who may ask for what, and of challenges (RFC 7030 3.2.3; RFC 7617, RFC 7616). The CSR
--- that nobody sends is one that no server takes.
local core = require "lest.core"
local wire = require "lest.probe.wire"

local shown <const> = wire.shown

-- Whether a POST as nobody is refused because it is nobody's.
local function refuses_nobody(operation)
  return function(target)
    local response, err = target:offer(operation)
    if not response then return nil, shown(response, err) end
    local status = response.status
    if status == 401 or status == 403 then return true, shown(response) end
    if status == 404 or status == 405 or status == 501 then
      return nil, "not offered: " .. status
    elseif status >= 400 and status < 500 then
      return nil, ("%d: it looks at the request before it asks who sends it"):format(status)
    end
    return false, shown(response)
  end
end

-- The 401 to a request for a certificate.
local function challenged(target)
  local response, err = target:offer "simpleenroll"
  if not response then return nil, shown(response, err) end
  if response.status ~= 401 then return nil, "no 401: " .. response.status end
  return response
end

local function challenges_of(target, scheme)
  local response, why = challenged(target)
  if not response then return nil, why end
  local found = {}
  for _, each in ipairs(core.http.challenges(response:header_values "WWW-Authenticate")) do
    if each.scheme:lower() == scheme then found[#found + 1] = each end
  end
  if #found == 0 then return nil, "no challenge of " .. scheme end
  return found, response
end

-- A header with nothing in its quoted strings.
local function skeleton(value)
  return (value:gsub("\\.", ""):gsub('"[^"]*"', '""'):gsub("%s*=%s*", "="):lower())
end

local QUOTED <const> = { "realm", "domain", "nonce", "opaque", "qop" }
local UNQUOTED <const> = { "stale", "algorithm" }

local function misquoted(value)
  local text = skeleton(value)
  for _, name in ipairs(QUOTED) do
    if text:find("%f[%w]" .. name .. '=[^"]') then return name .. " is not quoted" end
  end
  for _, name in ipairs(UNQUOTED) do
    if text:find("%f[%w]" .. name .. '="') then return name .. " is quoted" end
  end
end

local function needs_nobody(operation)
  return function(target)
    local response, err = target:get(operation)
    if not response then return nil, shown(response, err) end
    return response.status ~= 401 and response.status ~= 403, shown(response)
  end
end

return {
  { id = "7030-4.2-f", level = "MUST", requirement = "authenticate who wants a certificate",
    run = refuses_nobody "simpleenroll" },
  { id = "7030-3.2.2-k", level = "INTEROP", requirement = "renew nothing without a certificate",
    run = refuses_nobody "simplereenroll" },
  { id = "7030-4.1.2-d", level = "SHOULD NOT", requirement = "want authentication for /cacerts",
    run = needs_nobody "cacerts" },
  { id = "7030-4.5-b", level = "SHOULD NOT", requirement = "want authentication for /csrattrs",
    run = needs_nobody "csrattrs" },
  { id = "9110-11.6.1-a", level = "MUST", requirement = "have a challenge in each 401",
    run = function(target)
      local response, why = challenged(target)
      if not response then return nil, why end
      local value = response:header "WWW-Authenticate"
      return #core.http.challenges(response:header_values "WWW-Authenticate") > 0,
        value or "no WWW-Authenticate"
    end },
  { id = "7617-2-a", level = "MUST", requirement = "name a realm in a challenge of Basic",
    run = function(target)
      local found, why = challenges_of(target, "basic")
      if not found then return nil, why end
      for _, each in ipairs(found) do
        if not (each.params and each.params.realm) then return false, "no realm" end
      end
      return true, ("realm=%q"):format(found[1].params.realm)
    end },
  { id = "7616-3.7-b", level = "MUST",
    requirement = "use another algorithm in each challenge of Digest, the best first",
    run = function(target)
      local found, why = challenges_of(target, "digest")
      if not found then return nil, why end
      local seen, order = {}, {}
      local good = true
      for i, each in ipairs(found) do
        local name = (each.params and each.params.algorithm or "MD5"):upper()
        good = good and not seen[name] and not (seen.MD5 and name ~= "MD5")
        seen[name], order[i] = true, name
      end
      return good, table.concat(order, ", ")
    end },
  { id = "7616-3.3-a", level = "MUST",
    requirement = "quote realm, domain, nonce, opaque and qop of Digest, not stale and algorithm",
    run = function(target)
      local found, response = challenges_of(target, "digest")
      if not found then return nil, response end
      for _, value in ipairs(response:header_values "WWW-Authenticate") do
        local problem = value:lower():find "^%s*digest" and misquoted(value)
        if problem then return false, problem end
      end
      return true, "as it should be"
    end },
}
