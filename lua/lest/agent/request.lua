--- What an identity asks for: the key and the names, which are on the disk before anybody hears of
--- them; and whether what was issued is that.
local clock = require "lest.base.clock"
local fail = require "lest.base.fail"
local schedule = require "lest.agent.schedule"

local M = {}

-- What is asked for, to know it again after a restart.
local function request_of(identity, way, now)
  local each = identity.options
  return { way = way, at = now, key = each.key, subject = each.subject, san = each.san }
end

local function same_names(a, b)
  return table.concat(a or {}, " ") == table.concat(b or {}, " ")
end

--- The key for a request: that of an earlier attempt, whose certificate may be on its way; else a
--- new one, or the one in use. It is on the disk before anybody hears of it.
---@param identity lest.agent.identity
---@param way string
---@param now integer
---@return lest.key?
---@return lest.error? err
function M.key(identity, way, now)
  local each = identity.options
  local key, request = identity.place:pending()
  if key then
    if request.key == each.key and request.subject == each.subject
      and same_names(request.san, each.san) then
      return key
    end
    local ok, err = identity.place:forget()
    if not ok then return nil, err end
  end
  local err
  if each.rekey or not identity.life then
    key, err = identity.place.keeper:make()
  else
    key, err = identity.place:key()
  end
  if not key then return nil, err end
  local ok
  ok, err = identity.place:begin(key, request_of(identity, way, now))
  if not ok then
    identity.untidy = true
    return nil, err
  end
  return key
end

--- Is it what was asked for? (The client has seen to its key and its chain.)
---@param identity lest.agent.identity
---@param cert lest.cert
---@param changed string[] what the server has changed of the names
---@param now integer
---@return true?
---@return lest.error? err code trust
function M.check(identity, cert, changed, now)
  local life = identity.life
  if #changed > 0 and not identity.options.server_names then
    return fail("trust", "the server has issued another name: " .. table.concat(changed, "; ")
      .. " (server_names = true takes it)")
  elseif cert.not_after <= now then
    return fail("trust", "the certificate that was issued has expired at "
      .. clock.text(cert.not_after))
  elseif life and now < life.not_after
    and schedule.renewal(cert, identity.options, 0) <= now then
    return fail("trust", ("the certificate that was issued ends at %s, and would have to be "
      .. "renewed at once"):format(clock.text(cert.not_after)))
  end
  return true
end

return M
