--- Checks of the paths (RFC 7030 3.2.2).
local wire = require "lest.probe.wire"

local PREFIX <const> = "/.well-known/est"

local shown <const> = wire.shown

local function status_of(target, path)
  local response, err = target:ask { path = path }
  return response and response.status, shown(response, err)
end

-- An operation that a server must have is not missing: what it says to nobody is its own.
local function offered(operation)
  return function(target)
    local response, err = target:offer(operation)
    if not response then return nil, shown(response, err) end
    local missing = response.status == 404 or response.status == 405 or response.status == 501
    return not missing, shown(response)
  end
end

return {
  { id = "7030-3.2.2-a", level = "MUST", requirement = "serve everything under " .. PREFIX,
    run = function(target)
      local response, err = target:get "cacerts"
      return response ~= nil and response.status ~= 404, shown(response, err)
    end },
  { id = "7030-3.2.2-b", level = "MUST", requirement = "offer /cacerts",
    run = function(target)
      local certs, why = target:cas()
      return certs ~= nil, certs and ("200, certificates: %d"):format(#certs) or why
    end },
  { id = "7030-3.2.2-c", level = "MUST", requirement = "offer /simpleenroll",
    run = offered "simpleenroll" },
  { id = "7030-3.2.2-d", level = "MUST", requirement = "offer /simplereenroll",
    run = offered "simplereenroll" },
  { id = "7030-3.2.2-j", level = "MUST", requirement = "serve requests without a label, too",
    run = function(target)
      local status, seen = status_of(target, PREFIX .. "/cacerts")
      return status == 200, seen
    end },
  { id = "7030-3.2.2-m", level = "INTEROP",
    requirement = "answer unknown labels and operations with 404",
    run = function(target)
      local label, seen_label = status_of(target, PREFIX .. "/lest-probe-no-label/cacerts")
      local operation, seen = status_of(target, target.base.path .. "/lest-probe-no-operation")
      return label == 404 and operation == 404, ("label %s, operation %s"):format(seen_label, seen)
    end },
  { id = "7030-3.2.2-n", level = "INTEROP",
    requirement = "read paths with their case, and decode %XX once",
    run = function(target)
      local upper, seen_upper = status_of(target, target.base.path .. "/CACERTS")
      local coded, seen_coded = status_of(target, target.base.path .. "/%63acerts")
      local twice, seen_twice = status_of(target, target.base.path .. "/%2563acerts")
      return upper ~= 200 and coded == 200 and twice ~= 200,
        ("/CACERTS %s, /%%63acerts %s, /%%2563acerts %s"):format(seen_upper, seen_coded, seen_twice)
    end },
  { id = "7030-3.2.2-o", level = "INTEROP", requirement = "take a query for no other operation",
    run = function(target)
      local status, seen = status_of(target, target.base.path .. "/cacerts?x=1")
      return status == 200, seen
    end },
}
