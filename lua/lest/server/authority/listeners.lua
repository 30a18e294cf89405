--- Which policies of which labels have hooks for what happened, as the workers say, and which
--- worker may have one more event. No worker can end what another one has said, so that one in an
--- attacker's hands makes no event be forgotten; and it names none that the configuration does not.
---
---   listeners:add(channel, { label = "default", policy = "/etc/lest/notify.lua", issued = true })
---   listeners:of("default", "issued")                 --> { listener }
---   for _, listener in ipairs(listeners:ready(now_ms)) do ... listeners:pick(listener) ... end
local list = require "lest.base.list"
local policy_names = require "lest.server.wire.policy_names"

local M = {}

-- Events under way: of one policy, and in one worker.
local LISTENER_MAX <const>, WORKER_MAX <const> = 8, 16
-- A policy that failed so often in a row rests, and is tried with one event at a time.
local PATIENCE <const>, REST_MOST_MS <const> = 3, 10000

---@class lest.authority.listener what one policy of a label is told
---@field label string
---@field policy string
---@field kinds table<string, boolean> "issued", "revoked"
---@field under_way integer
---@field failures integer in a row
---@field rests_until_ms integer
---@field served_ms? integer when it got one last

---@class lest.authority.listeners
---@field labels table<string, lest.authority.listener[]>
---@field names table<string, table<string, boolean>> the policies that a label can have
---@field due table<lest.authority.listener, boolean> those that may have something to hear
---@field is_known boolean a worker has said all
---@field is_complete boolean each worker has
---@field silent integer workers that have not
local Listeners = {}
Listeners.__index = Listeners

---@param config { labels: table<string, table> }
---@param workers integer
---@return lest.authority.listeners
function M.new(config, workers)
  local labels, names = {}, {}
  for name, label in pairs(config.labels) do
    labels[name], names[name] = {}, list.set(policy_names(label.policies))
  end
  return setmetatable({ labels = labels, names = names, is_known = false,
    is_complete = false, silent = workers, said = {}, channels = {}, due = {} }, Listeners)
end

local function find(all, policy)
  for _, listener in ipairs(all) do
    if listener.policy == policy then return listener end
  end
end

--- A worker has a policy with such hooks.
---@param channel lest.authority.channel
---@param listens { label: string, policy: string, issued?: boolean, revoked?: boolean }
---@return boolean|nil ok nil: the configuration has no such
function Listeners:add(channel, listens)
  local names, all = self.names[listens.label], self.labels[listens.label]
  if not names or not names[listens.policy] then return nil end
  local listener = find(all, listens.policy)
  if not listener then
    listener = { label = listens.label, policy = listens.policy, kinds = {}, under_way = 0,
      failures = 0, rests_until_ms = 0 }
    table.insert(all, listener)
  end
  for _, kind in ipairs { "issued", "revoked" } do
    listener.kinds[kind] = listener.kinds[kind] or listens[kind] or nil
  end
  channel.listens = channel.listens or {}
  channel.listens[listener] = true
  channel.events = channel.events or 0
  self.channels[channel] = true
  return true
end

--- A worker has said all of its hooks.
---@param channel lest.authority.channel
function Listeners:complete(channel)
  self.is_known = true
  if self.said[channel.worker] then return end
  self.said[channel.worker], self.silent = true, self.silent - 1
  self.is_complete = self.silent <= 0
end

--- A policy may have something to hear: it is looked at until it has nothing that is due.
---@param label string
---@param policy string
---@return boolean found false: it has no hook
function Listeners:mark(label, policy)
  local listener = find(self.labels[label] or {}, policy)
  if listener then self.due[listener] = true end
  return listener ~= nil
end

--- The policies of a label that hear of a kind of event.
---@param label string
---@param kind string
---@return lest.authority.listener[]
function Listeners:of(label, kind)
  local found = {}
  for _, listener in ipairs(self.labels[label] or {}) do
    if listener.kinds[kind] then table.insert(found, listener) end
  end
  return found
end

--- A worker is no more.
---@param channel lest.authority.channel
function Listeners:drop(channel)
  self.channels[channel] = nil
end

--- How many more events a policy may have now.
---@param listener lest.authority.listener
---@param now_ms integer monotonic
---@return integer
function M.room(listener, now_ms)
  if now_ms < listener.rests_until_ms then return 0 end
  return (listener.failures >= PATIENCE and 1 or LISTENER_MAX) - listener.under_way
end

--- The policies that may have something to hear, and room for it: those with the fewest events
--- first, so that one that is slow keeps no other waiting.
---@param now_ms integer monotonic
---@return lest.authority.listener[]
function Listeners:ready(now_ms)
  local found = {}
  for listener in pairs(self.due) do
    if M.room(listener, now_ms) > 0 then table.insert(found, listener) end
  end
  table.sort(found, function(a, b)
    if a.under_way ~= b.under_way then return a.under_way < b.under_way end
    return (a.served_ms or 0) < (b.served_ms or 0)
  end)
  return found
end

--- The worker that has the fewest events of those that have a policy; nil where none has room.
---@param listener lest.authority.listener
---@return lest.authority.channel|nil
function Listeners:pick(listener)
  local found
  for channel in pairs(self.channels) do
    if channel.listens[listener] and channel.events < (found and found.events or WORKER_MAX) then
      found = channel
    end
  end
  return found
end

--- An event is given to a worker.
---@param listener lest.authority.listener
---@param channel lest.authority.channel
---@param now_ms integer monotonic
function M.enter(listener, channel, now_ms)
  listener.under_way, listener.served_ms = listener.under_way + 1, now_ms
  channel.events = channel.events + 1
end

--- It is over. A policy that goes on failing rests longer each time.
---@param listener lest.authority.listener
---@param channel lest.authority.channel
---@param is_heard boolean|nil nil: that says nothing of the policy
---@param now_ms integer monotonic
function M.leave(listener, channel, is_heard, now_ms)
  listener.under_way, channel.events = listener.under_way - 1, channel.events - 1
  if is_heard then
    listener.failures = 0
  elseif is_heard == false then
    listener.failures = listener.failures + 1
    local over = listener.failures - PATIENCE
    if over >= 0 then
      listener.rests_until_ms = now_ms + math.min(1000 << math.min(over, 4), REST_MOST_MS)
    end
  end
end

return M
