--- Checks of what a server need not offer (RFC 7030 4.3, 4.4): where it does, by its rules.
local wire = require "lest.probe.wire"

local ABSENT <const> = { [404] = true, [405] = true, [501] = true }
local CMC <const> = { ["Content-Type"] = "application/pkcs7-mime; smime-type=CMC-request" }

-- An operation is there or says that it is not.
local function optional(operation, headers)
  return function(target)
    local response, err = target:ask { operation = operation, method = "POST",
      body = target:refused_request(), headers = headers }
    if not response then return nil, wire.shown(response, err) end
    local absent = ABSENT[response.status]
    return absent or response.status < 500, ("%s: %d"):format(absent and "not offered" or "offered",
      response.status)
  end
end

return {
  { id = "7030-3.2.2-e", level = "MAY", requirement = "offer /fullcmc",
    run = optional("fullcmc", CMC) },
  { id = "7030-3.2.2-f", level = "MAY", requirement = "offer /serverkeygen",
    run = optional "serverkeygen" },
  { id = "7030-3.2.2-g", level = "MAY", requirement = "offer /csrattrs",
    run = function(target)
      local response, err = target:get "csrattrs"
      if not response then return nil, wire.shown(response, err) end
      return ABSENT[response.status] or response.status < 500, ("%s: %d"):format(
        ABSENT[response.status] and "not offered" or "offered", response.status)
    end },
  { id = "7030-4.4-c", level = "MUST", requirement = "make no key for nobody",
    run = function(target)
      local response, err = target:offer "serverkeygen"
      if not response then return nil, wire.shown(response, err) end
      if ABSENT[response.status] then return nil, "not offered: " .. response.status end
      return response.status >= 400, wire.shown(response)
    end },
  { id = "7030-4.3.1-a", level = "MUST",
    requirement = "refuse what is no Full PKI Request at /fullcmc",
    run = function(target)
      local response, err = target:ask { as = target.client, operation = "fullcmc",
        method = "POST", body = target:refused_request(), headers = CMC }
      if not response then return nil, wire.shown(response, err) end
      if ABSENT[response.status] then return nil, "not offered: " .. response.status end
      return response.status >= 400, wire.shown(response)
    end },
}
