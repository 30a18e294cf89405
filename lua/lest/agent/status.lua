--- What the identities of an agent are doing, read from its state folder: whether or not an agent
--- runs, and without a change to anything.
---
---   for _, each in ipairs(status.of(agent)) do print(each.name, each.state, each.next) end
local anchors = require "lest.agent.anchors"
local clock = require "lest.base.clock"
local deployment = require "lest.agent.deployment"
local duration = require "lest.duration"

local M = {}

---@class lest.agent.status
---@field name string
---@field state "ok"|"renewing"|"pending"|"failing"|"missing"|"expired"|"operator"|"clock"
--- |"undeployed" its certificate is good, and a file or a hook has failed
---@field severity integer 0 nothing to do; 1 to be looked at; 2 there is no valid certificate
---@field subject string?
---@field serial string?
---@field not_before integer?
---@field not_after integer?
---@field generation integer?
---@field next string what is done next
---@field next_at integer seconds since 1970
---@field renewal integer? when the certificate is to be renewed
---@field failures integer in a row
---@field error string? of the last attempt, in a sentence
---@field error_at integer?
---@field anchors_end integer?
---@field clock_offset integer? seconds that the server's clock was ahead when it last answered,
--- where that is much
---@field carried_at integer? when a request was given to who carries it, whose answer is not there

local function state_of(identity, now, cert)
  local memory = identity.memory
  if cert and now < cert.not_before - 3600 then return "clock", 1 end
  local severity = cert and now < cert.not_after and 0 or 2
  if memory.operator then return "operator", math.max(1, severity) end
  if memory.pending then return "pending", severity end
  if memory.error then return "failing", math.max(1, severity) end
  if not cert then return "missing", 2 end
  if severity == 2 then return "expired", 2 end
  if deployment.problem(identity) then return "undeployed", 1 end
  local at, what = identity:plan(now)
  return what ~= "anchors" and at <= now and "renewing" or "ok", 0
end

local function one(identity, now)
  identity:read()
  local cert, number = identity.place:current()
  local memory = identity.memory
  local state, severity = state_of(identity, now, cert)
  local at, what = identity:plan(now)
  if severity == 0 and anchors.ends_in(identity, now) then severity = 1 end
  return {
    name = identity.name, state = state, severity = severity,
    subject = cert and tostring(cert.subject), serial = cert and cert.serial,
    not_before = cert and cert.not_before, not_after = cert and cert.not_after,
    generation = cert and number, next = what, next_at = math.max(at, now),
    renewal = cert and identity:renewal(),
    failures = memory.failures or 0,
    error = memory.error and memory.error.message or deployment.problem(identity),
    error_at = memory.error and memory.error.at,
    anchors_end = memory.anchors and memory.anchors.ends, clock_offset = memory.clock_offset,
    carried_at = memory.carried and memory.carried.at and identity.place:carried()
      and memory.carried.at or nil,
  }
end

--- Every identity, by name.
---@param agent lest.agent.loop
---@return lest.agent.status[]
function M.of(agent)
  local now, all = agent.world.clock(), {}
  for i, name in ipairs(agent.names) do all[i] = one(agent.identities[name], now) end
  return all
end

local WORDS <const> = { anchors = "ask for the trust anchors", bootstrap = "bootstrap",
  deploy = "write files and run hooks",
  expired = "get a new certificate", poll = "ask again", renew = "renew", retry = "try again" }

--- What is done next and when, for people.
---@param each lest.agent.status
---@param now integer
---@return string
function M.next_text(each, now)
  local text = WORDS[each.next] .. " now"
  if each.next_at > now then
    text = ("%s in %s"):format(WORDS[each.next], duration.format(each.next_at - now))
  end
  if each.next == "anchors" and each.renewal > now then
    text = ("%s, renew in %s"):format(text, duration.format(each.renewal - now))
  end
  if not each.carried_at then return text end
  return ("%s; carried away at %s"):format(text, clock.text(each.carried_at))
end

--- A time in the words of an object of JSON.
---@param seconds integer?
---@return string?
function M.time(seconds)
  return seconds and clock.text(seconds)
end

return M
