--- Checks of media types and encodings of what is fetched (RFC 7030 3.2.4, RFC 8951 3).
local core = require "lest.core"
local der = require "lest.probe.der"
local fetched = require "lest.probe.fetched"

-- The 200s of what is fetched: { operation, response }.
local function bodies(target)
  local found = {}
  for _, operation in ipairs { "cacerts", "csrattrs" } do
    local response = target:get(operation)
    if response and response.status == 200 and response.body ~= "" then
      found[#found + 1] = { operation = operation, response = response }
    end
  end
  return found
end

-- problem(response) of each body; the first one is what was seen.
local function of_all(problem)
  return function(target)
    local found, good = bodies(target), {}
    if #found == 0 then return nil, "nothing was fetched" end
    for i, each in ipairs(found) do
      local wrong = problem(each.response)
      if wrong then return false, ("/%s: %s"):format(each.operation, wrong) end
      good[i] = "/" .. each.operation
    end
    return true, table.concat(good, ", ")
  end
end

return {
  { id = "7030-3.2.4-a", level = "INTEROP",
    requirement = "answer /cacerts as application/pkcs7-mime",
    run = fetched.of_type("cacerts", "application/pkcs7-mime") },
  { id = "8951-3-a", level = "MUST", requirement = "send every body in base64",
    run = of_all(function(response)
      local bytes = core.base64.decode(response.body)
      if bytes then return bytes:byte() ~= 0x30 and "base64 of something else than DER" or nil end
      return response.body:byte() == 0x30 and "raw DER"
        or response.body:find "%-%-%-BEGIN" and "PEM" or "no base64"
    end) },
  { id = "8951-3-b", level = "MUST", requirement = "send DER, not BER",
    run = of_all(function(response)
      local bytes, err = core.est.body_decode(response.body)
      if not bytes then return tostring(err) end
      local problem = der.problem(bytes)
      return problem and "the value " .. problem
    end) },
  { id = "9110-8.4-a", level = "INTEROP", requirement = "apply no coding that was not asked for",
    run = of_all(function(response)
      local coding = response:header "Content-Encoding"
      return coding and coding:lower() ~= "identity" and coding or nil
    end) },
}
