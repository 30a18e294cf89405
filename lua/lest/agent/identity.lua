--- One identity, and the next step of its life: bootstrap, renewal, what comes after the end. What
--- it has and remembers is its place's (lest.agent.store); time, chance and words are its world's.
--- Each step may be the last of this process: what matters is in the place before it is relied on.
local anchors = require "lest.agent.anchors"
local clock = require "lest.base.clock"
local deployment = require "lest.agent.deployment"
local duration = require "lest.duration"
local failure = require "lest.agent.failure"
local gateway = require "lest.agent.gateway"
local list = require "lest.base.list"
local request = require "lest.agent.request"
local schedule = require "lest.agent.schedule"
local ways = require "lest.agent.ways"

local M = {}

-- How often a clock that cannot be right, a missing file and a disk are looked at again.
local LOOK_S <const> = 60

-- What was issued is not renewed before a part of its life is over, or a minute, whatever the
-- server wants.
local REST_PARTS <const>, REST_S <const> = 30, 60

-- So many places there are in a window.
local PLACES <const> = 1 << 32

---@class lest.agent.world
---@field clock fun(): integer seconds since 1970
---@field random fun(): number from 0 to 1
---@field log fun(level: string, event: string, fields: any[])
---@field apart? function of lest.agent.apart, where requests have processes of their own

---@class lest.agent.identity
---@field name string
---@field options table as shape.lua has it
---@field place lest.agent.place
---@field world lest.agent.world
---@field memory table what state.json has
---@field life? { not_before: integer, not_after: integer, fingerprint: string, number: integer }
--- of the certificate in use
local Identity = { __name = "lest.agent.identity" }
Identity.__index = Identity

--- An identity that is still to be opened.
---@param name string
---@param options table
---@param place lest.agent.place
---@param world lest.agent.world
---@return lest.agent.identity
function M.new(name, options, place, world)
  return setmetatable({ name = name, options = options, place = place, world = world,
    memory = {} }, Identity)
end

--- A line of the log.
function Identity:say(level, event, fields)
  self.world.log(level, event, { "identity", self.name, table.unpack(fields) })
end

--- What a client has to tell.
function Identity:heard(kind, message)
  if kind == "warning" then self:say("warning", "client warning", { "message", message }) end
end

--- Keep what is remembered.
---@return true?
---@return lest.error? err of the disk
function Identity:remember()
  local ok, err = self.place:remember(self.memory)
  if ok then return true end
  self.untidy = true
  return nil, err
end

--- What is in use, and what is remembered of it, without a change to the disk.
---@return boolean is_known all of it is on the disk
function Identity:read()
  self.memory = self.place:memory() or {}
  self.place:hold(deployment.held(self.memory))
  local cert, number = self.place:current()
  local is_known = self.memory.place ~= nil
  self.memory.place = self.memory.place or math.floor(self.world.random() * PLACES) / PLACES
  self.life = nil
  if not cert then return is_known end
  self.life = { not_before = cert.not_before, not_after = cert.not_after,
    fingerprint = cert.fingerprint, number = number }
  -- A death between the switch and what is said of it.
  local memory = self.memory
  if memory.current ~= cert.fingerprint then
    memory.current, memory.failures, memory.retry, memory.pending = cert.fingerprint, nil, nil, nil
    memory.error, memory.failing_since, memory.way, memory.carried = nil, nil, nil, nil
    is_known = false
  end
  return is_known
end

--- Make the place fit for use, and read what is there. Also after an error of the disk.
---@return true?
---@return lest.error? err
function Identity:open()
  local ok, err = self.place:tidy()
  if not ok then return nil, err end
  local known = self.memory.place
  local is_known = self:read()
  self.memory.place = known or self.memory.place
  if not is_known then ok, err = self:remember() end
  self.untidy, self.unlooked = not ok or nil, true
  return ok, err
end

-- Not before what was issued has rested; a clock that was set back since knows nothing of that.
local function rested(self, at, now)
  local issued, life = self.memory.issued, self.life
  if not issued or issued > now then return at end
  return math.max(at, issued + math.min(REST_S, (life.not_after - life.not_before) // REST_PARTS))
end

--- When the certificate in use is to be renewed: the share of a window, or of its life, that this
--- device keeps.
---@return integer at
function Identity:renewal()
  return schedule.renewal(self.life, self.options, self.memory.place, self.memory.window)
end

--- Whether there should be another certificate by now, whatever was tried already.
---@param now integer
---@return boolean
function Identity:wants(now)
  local life = self.life
  return self.memory.retry ~= nil or not life or now >= math.min(self:renewal(), life.not_after)
end

--- What is to be done next, and when: "bootstrap", "renew", "expired", "retry", "poll",
--- "anchors", or "deploy": files and hooks.
---@param now integer
---@return integer at
---@return string what
function Identity:plan(now)
  local memory, life = self.memory, self.life
  local at, what
  local retry = memory.retry
  if retry and retry.set <= now
    and retry.at <= math.max(now + schedule.RETRY_MOST_S, life and life.not_after or 0) then
    at, what = retry.at, memory.pending and "poll" or "retry"
  elseif retry then
    at, what = now, "retry" -- it was set by a clock that was wrong
  elseif not life then
    return now, "bootstrap"
  elseif now >= life.not_after then
    return rested(self, now, now), "expired"
  else
    at, what = rested(self, self:renewal(), now), "renew"
  end
  -- Whatever is asked for, the anchors are asked for first.
  local refresh = at > now and not retry and anchors.due(self, now)
  if refresh and refresh < at then at, what = refresh, "anchors" end
  local deploy = deployment.due(self)
  if deploy and deploy <= at then return deploy, "deploy" end
  return at, what
end

--- The ways that are open now, in their order.
---@param now integer
---@return string[]
function Identity:ways(now)
  if not self.life then return { "bootstrap", "operator" } end
  if now < self.life.not_after then
    return self.memory.replaced and { "renew", "bootstrap" } or { "renew" }
  end
  return self.options.fallbacks
end

--- Make an issued certificate the one in use, if it is what was asked for.
---@param cert lest.cert verified, with its chain
---@param changed string[] what the server has changed of the names
---@param now integer
---@return integer? number of its generation
---@return lest.error? err; what was in use stays
function Identity:store(cert, changed, now)
  local ok, err = request.check(self, cert, changed, now)
  if not ok then return nil, err end
  local number
  number, err = self.place:finish(cert, self.options.generations)
  if not number then self.untidy = true end
  return number, err
end

--- Nothing that went before counts any more.
---@param cert lest.cert that is in use now
---@param number integer of its generation
---@param way string by which it came
---@param now integer
---@return true?
---@return lest.error? err of the disk
function Identity:succeed(cert, number, way, now)
  local memory = self.memory
  self.life = { not_before = cert.not_before, not_after = cert.not_after,
    fingerprint = cert.fingerprint, number = number }
  self.memory = { place = memory.place, trust = memory.trust, anchors = memory.anchors,
    window = memory.window, deploy = memory.deploy, clock_offset = memory.clock_offset,
    current = cert.fingerprint, issued = now,
    way = way }
  self:say("info", "certificate stored", { "way", way, "generation", number,
    "subject", tostring(cert.subject), "serial", cert.serial,
    "not_after", clock.text(cert.not_after), "renewal", clock.text(self:renewal()) })
  return self:remember()
end

-- How a way is gone: to the server, or by a gateway that sends on.
local function route(self)
  return self.options.gateway and gateway or ways
end

local function attempt(self, way, now)
  local client, err = route(self).open(self, way)
  if not client then return nil, err end
  local _ <close> = client
  local memory, ends = self.memory, self.life and self.life.not_after
  if memory.failing_since and not memory.pending and not self.forced then
    local at = schedule.after_outage(now, memory.failing_since, ends, self.world.random)
    memory.failing_since = nil
    if at then
      memory.retry, memory.failures, memory.error = { set = now, at = at }, nil, nil
      self:say("info", "server is back", { "renewal", clock.text(at) })
      return false
    end
  end
  local key
  key, err = request.key(self, way, now)
  if not key then return nil, err end
  local cert, changed = route(self).ask(self, way, client, key)
  if not cert then return nil, changed end
  local number
  number, err = self:store(cert, changed, now)
  if not number then return nil, err end
  memory.window = client.renewal_window
  return cert, number
end

-- All ways were tried: only a person can help. The agent goes on looking for what they do.
local function call_operator(self, err)
  local memory = self.memory
  if not memory.operator then
    self:say("error", "operator needed", { "message", ("no certificate can be had: %s; give it "
      .. "a new credential, or allow the request at the server"):format(failure.text(err)) })
  end
  memory.operator = ways.stamp(self)
end

-- A certificate that is good still, and that the server takes no more, as a revoked one: a person's
-- new credential is tried beside it, until it was refused, too.
local function note_refused(self, way)
  local memory = self.memory
  if not self.life or not list.has(self.options.fallbacks, "bootstrap") then return end
  if way == "bootstrap" then memory.replaced = nil end
  if not memory.replaced then memory.refused = memory.refused or ways.stamp(self) end
end

-- A way that waits for operators is not left for another while it waits.
local function begin_at(self, open)
  local memory = self.memory
  if not memory.pending then return 1 end
  for i, way in ipairs(open) do
    if way == memory.way then return i end
  end
  return 1
end

local function obtain(self, now)
  local open, err = self:ways(now), nil
  for i = begin_at(self, open), #open do
    local way = open[i]
    if way == "operator" then
      call_operator(self, err)
      break
    end
    local cert, result = attempt(self, way, now)
    if cert then return self:succeed(cert, result, way, now) end
    if cert == false then return self:remember() end
    err = result
    failure.note(self, way, err, now)
    if failure.NO_WAY[err.code] and open[#open] == "operator" then call_operator(self, err) end
    if not failure.OTHER_WAY[err.code] then break end
    note_refused(self, way)
  end
  return self:remember()
end

-- The anchors alone. That they could not be asked for today is nothing to worry about.
local function refresh(self, now)
  local client, err = route(self).open(self, "renew")
  if client then
    client:close()
  else
    self.memory.anchors = { at = now, ends = self.memory.anchors and self.memory.anchors.ends }
    self:say("warning", "trust anchors not refreshed", { "message", failure.text(err) })
  end
  local left = anchors.ends_in(self, now)
  if left then
    self:say("warning", "trust anchors end", { "in", duration.format(math.max(left, 0)) })
  end
  return self:remember()
end

-- Whether somebody has given an operator's answer: another file than those which did not help.
local function is_answered(self)
  local memory = self.memory
  local told = memory.operator or memory.refused
  if not told or told == ways.stamp(self) then return false end
  memory.replaced = memory.refused and true
  memory.operator, memory.refused = nil, nil
  return true
end

-- Nothing is judged by a clock that cannot be right.
local function is_time_known(self, now)
  local known = schedule.is_believable(now, self.life and self.life.not_before)
  if known == not self.clock_told then return known end
  self.clock_told = not known or nil
  self:say(known and "info" or "warning", known and "clock is right" or "clock is wrong",
    { "message", "this machine's clock says " .. clock.text(now)
      .. (known and "" or ", which cannot be: nothing is renewed until it is set") })
  return known
end

--- When to try, now that there is a network; nil: nothing waits for it.
---@return integer|nil at
function Identity:network_due()
  return failure.network_due(self.memory)
end

--- A network has appeared.
---@param is_fresh boolean after a quiet time: what failed before counts no more
---@return boolean waits something waits for it
function Identity:hear_of_network(is_fresh)
  if not self:network_due() then return false end
  if is_fresh then self.memory.failures = nil end
  return true
end

-- Work for a certificate or anchors: in a process of its own, where this world has them.
local function perform(self, work, now)
  local apart = self.world.apart
  if not apart then return work(self, now) end
  local ok, err = apart(function() return work(self, now) end)
  if ok then
    self:read()
    return true
  end
  -- Whatever it was doing then: the folder is made fit for use, as after a death of this process.
  local opened, problem = self:open()
  if not opened then return nil, problem end
  if ok == nil then return nil, err end
  failure.note(self, self.life and "renew" or "bootstrap", err, now)
  return self:remember()
end

-- Whether a step is to do what is not due.
local function is_forced(self, forced)
  if forced == "network" then return self:network_due() ~= nil end
  return forced == "renew" or forced == "try" and self.memory.retry ~= nil
end

--- Write files and run hooks, where that is due. In a task: hooks are waited for.
---@param now integer
---@param forced? boolean also what waits for another attempt
---@return true?
---@return lest.error? err of the disk
function Identity:deploy(now, forced)
  local at = deployment.due(self)
  if not at or not forced and at > now then return true end
  return deployment.run(self, forced)
end

--- Do what is due now, and nothing that is not. In a task: it waits for the server.
---@param forced? "try"|"network"|"renew" try now what waits or has failed, or waits for a network;
--- or renew, whatever is due
---@return integer at when the next step is due
---@return lest.error? err of the disk
function Identity:step(forced)
  local now = self.world.clock()
  if self.untidy ~= nil or not self.memory.place then
    local ok, err = self:open()
    if not ok then
      self:say("error", "state unusable", { "message", failure.text(err) })
      return now + LOOK_S, err
    end
  end
  if not is_time_known(self, now) then return now + LOOK_S end
  local at, what = self:plan(now)
  local ok, err, is_due = true, nil, is_answered(self) or at <= now
  self.forced = is_forced(self, forced)
  if self.forced and (what == "anchors" or what == "deploy") then what = "renew" end
  if self.forced or is_due then
    if what == "anchors" then
      ok, err = perform(self, refresh, now)
    elseif what ~= "deploy" then
      ok, err = perform(self, obtain, now)
    end
  end
  -- At once, where a new certificate has come: who runs the agent once wants to see it in use.
  if ok then ok, err = self:deploy(now, forced ~= nil) end
  self.forced = nil
  if not ok then
    self:say("error", "state unusable", { "message", failure.text(err) })
    return self.world.clock() + LOOK_S, err
  end
  at = self:plan(now)
  if self.memory.operator or self.memory.refused then at = math.min(at, now + LOOK_S) end
  return at
end

return M
