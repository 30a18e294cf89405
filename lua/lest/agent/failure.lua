--- What an attempt that has failed leaves in the memory of an identity: the reason in a sentence,
--- when the next attempt is, and whether a network is all that it waits for.
local clock = require "lest.base.clock"
local schedule = require "lest.agent.schedule"

local M = {}

-- How soon a request that waits is asked for where the server does not say.
local POLL_S <const> = 60

-- Errors of a server that is away, or has too much to do.
local CONTACT <const> = { network = true, timeout = true, closed = true, unavailable = true }

-- Those of a network that is not there, or leads elsewhere.
local OFFLINE <const> = { network = true, timeout = true, closed = true }

--- Errors that another credential may not have.
M.OTHER_WAY = { unauthenticated = true, refused = true, tls = true, not_found = true,
  usage = true, config = true, key_passphrase = true, http = true }

--- Errors that no credential helps against, nor time.
M.NO_WAY = { trust = true, cert_untrusted = true }

--- The error on one line.
---@param err lest.error
---@return string
function M.text(err)
  return (tostring(err):gsub("[\r\n]+", " "))
end

-- What a server has asked for holds on while nobody answers.
local function asked_before(memory, now)
  local retry = memory.retry
  return retry and retry.set <= now and (retry.asked or 0) > now and retry.asked or nil
end

local function wait(identity, way, err, now)
  local memory = identity.memory
  memory.pending = memory.pending or { since = now }
  memory.failures, memory.error, memory.failing_since = nil, nil, nil
  local at = schedule.poll(now, err.retry_after or POLL_S, identity.world.random)
  memory.retry = { set = now, at = at, asked = at }
  identity:say("info", "request pending", { "way", way, "message", M.text(err),
    "again", clock.text(at) })
end

--- Remember a failure, which is a line of the log; also that a request waits for operators.
---@param identity lest.agent.identity
---@param way string
---@param err lest.error
---@param now integer
function M.note(identity, way, err, now)
  local memory, ends = identity.memory, identity.life and identity.life.not_after
  memory.way = way
  if err.code == "pending" then return wait(identity, way, err, now) end
  memory.failures = (memory.failures or 0) + 1
  if CONTACT[err.code] then
    memory.failing_since = memory.failing_since or now
  else
    memory.failing_since, memory.pending = nil, nil
  end
  memory.error = { at = now, code = err.code, message = M.text(err), exit_code = err.exit_code }
  local asked = schedule.asked(now, err.retry_after, ends) or asked_before(memory, now)
  memory.retry = { set = now, asked = asked,
    at = schedule.retry(now, memory.failures, ends, asked, identity.world.random),
    offline = OFFLINE[err.code] and not err.retry_after or nil }
  identity:say("warning", "attempt failed", { "way", way, "message", memory.error.message,
    "failures", memory.failures, "again", clock.text(memory.retry.at) })
end

--- When to try once there is a network: not before a server wants to be asked that has said so.
---@param memory table
---@return integer|nil at nil: nothing waits for a network
function M.network_due(memory)
  local retry = memory.retry
  return retry and retry.offline and (retry.asked or 0) or nil
end

return M
