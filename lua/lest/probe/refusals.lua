--- Checks of requests that are wrong, sent as the client, and of what an error says (RFC 7030
--- 4.2.3).
local core = require "lest.core"
local wire = require "lest.probe.wire"

local shown <const> = wire.shown
local OPERATION <const> = "simpleenroll"

-- Wrong bodies are refused with one of the statuses allowed.
local function refused(allowed, cases)
  return function(target)
    local good, seen = true, {}
    for i, case in ipairs(cases) do
      local response, err = target:post(OPERATION, case.body(target), case.headers)
      local status = response and response.status
      if status == 401 or status == 403 then return nil, case.name .. ": " .. status end
      good = good and status ~= nil and allowed(status)
      seen[i] = ("%s: %s"):format(case.name, shown(response, err))
    end
    return good, table.concat(seen, "; ")
  end
end

local function is_error(status) return status >= 400 and status < 600 end
local function is_client_error(status) return status >= 400 and status < 500 end
local function is_415(status) return status == 415 end

local function bad_request(target) return target:refused_request() end
local function not_base64() return "*** this is no base64 ***\n" end
local function not_der() return core.base64.encode "no DER at all" .. "\n" end
local function nothing() return "" end

-- Marks of what belongs into a log.
local LEAKS <const> = { "Traceback %(most recent", "stack traceback:", "goroutine %d+ %[",
  "%sat [%w_.$]+%([%w_]+%.java:%d+%)", "%-%-%-BEGIN [%w ]*PRIVATE KEY" }

-- The errors that this probe has caused.
local function errors_of(target)
  local found = {}
  local function add(response)
    if response and response.status >= 400 and response.body ~= "" then
      found[#found + 1] = response
    end
  end
  add((target:offer(OPERATION)))
  add((target:ask { path = target.base.path .. "/lest-probe-no-operation" }))
  add((target:ask { operation = OPERATION, body = not_der() }))
  if target:has_credentials() then add((target:post(OPERATION, not_base64()))) end
  return found
end

return {
  { id = "7030-4.2.3-f", level = "MUST",
    requirement = "say why in text for people where an error has no Content-Type",
    run = function(target)
      local found = errors_of(target)
      if #found == 0 then return nil, "no error has a body" end
      for _, response in ipairs(found) do
        if not response:header "Content-Type" and not core.utf8.is_text(response.body) then
          return false, ("%d: bytes that are no text"):format(response.status)
        end
      end
      return true, ("errors: %d"):format(#found)
    end },
  { id = "7030-4.2.3-s", level = "INTEROP", requirement = "show nothing of its insides in an error",
    run = function(target)
      local found = errors_of(target)
      if #found == 0 then return nil, "no error has a body" end
      for _, response in ipairs(found) do
        for _, leak in ipairs(LEAKS) do
          local text = response.body:match(leak)
          if text then return false, ("%d: %s"):format(response.status, text) end
        end
      end
      return true, ("errors: %d"):format(#found)
    end },
  { id = "7030-4.2.3-d", level = "MUST", needs = "credentials",
    requirement = "answer what it cannot use with 4xx or 5xx",
    run = refused(is_error, { { name = "nothing", body = nothing },
      { name = "no base64", body = not_base64 }, { name = "no DER", body = not_der },
      { name = "a bad signature", body = bad_request } }) },
  { id = "7030-4.2.1-h", level = "INTEROP", needs = "credentials",
    requirement = "refuse a request that another key has signed",
    run = refused(is_client_error, { { name = "another key", body = bad_request } }) },
  { id = "9110-15.5.16-a", level = "INTEROP", needs = "credentials",
    requirement = "answer a wrong media type with 415",
    run = refused(is_415, { { name = "text/plain", body = bad_request,
      headers = { ["Content-Type"] = "text/plain" } } }) },
  { id = "9110-8.3-a", level = "INTEROP", needs = "credentials",
    requirement = "read media types in any case, and with parameters",
    run = refused(function(status) return is_client_error(status) and status ~= 415 end,
      { { name = "Application/PKCS10; x=y", body = bad_request,
        headers = { ["Content-Type"] = "Application/PKCS10; x=y" } } }) },
}
