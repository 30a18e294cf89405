--- The public keys of an issuer of JSON Web Tokens that has them at an address. The backend
--- fetches them; they are checked here as those of a file are, and good for a bounded time after it
--- has seen them there. A key that a token names and that is not among them is asked for at once,
--- though seldom: strangers' tokens name what they like.
---
---   local source = key_source.open(config, backend).pods
---   local key, problem = source:find("key-1", "RS256")    -- may wait
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local jwks = require "lest.server.authority.jwks"
local key_sources = require "lest.server.config.key_sources"
local list = require "lest.base.list"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"
local task = require "lest.task"

local M = {}

-- How often strangers can have the address asked, and how long who comes meanwhile waits for it.
local ASK_MS <const>, WAIT_MS <const> = 30000, 5000
local WAITING_MAX <const> = 64
local RETRY_S <const> = 10

---@class lest.authority.key_source
---@field place integer in the configuration's list
---@field source lest.config.key_source
---@field backend lest.authority.backend
---@field keys? table[] as of lest.authority.jwks
---@field text? string what they were read from
---@field seen_s? integer monotonic: when they were at the address
---@field asked_ms? integer monotonic: when they were asked for
---@field is_asked boolean and the backend has not answered
---@field problem? string why what is there now was not taken, or cannot be had
---@field waiting table<integer, function> wakes who waits for what the backend says next
---@field count integer of these
---@field number integer of the last of these
local KeySource = {}
KeySource.__index = KeySource

local function new(place, source, backend)
  return setmetatable({ place = place, source = source, backend = backend, waiting = {},
    count = 0, number = 0, is_asked = false }, KeySource)
end

--- The sources of a configuration, fed by the backend.
---@param config table
---@param backend lest.authority.backend
---@return table<string, lest.authority.key_source> by the label
function M.open(config, backend)
  local sources, places = key_sources.list(config)
  local all, by_label = {}, {}
  for place, source in ipairs(sources) do all[place] = new(place, source, backend) end
  for label, place in pairs(places) do by_label[label] = all[place] end
  backend:on("keys", function(received)
    local source = all[received.source]
    if source then source:take(received) end
  end)
  return by_label
end

local function keep(self, problem)
  if problem == self.problem then return end
  self.problem = problem
  core.log.write("error", "jwks kept as they were", { "url", self.source.url, "message", problem,
    "keys", self.keys and #self.keys or 0 })
end

--- What the backend has found.
---@param received table of the message
function KeySource:take(received)
  if received.set and received.set ~= self.text then
    local keys, problem = jwks.parse(received.set)
    if keys then
      self.keys, self.text = keys, received.set
      core.log.write("info", "jwks read", { "url", self.source.url, "keys", #keys })
    else
      keep(self, problem)
    end
  end
  if received.set and received.set == self.text then
    self.problem, self.seen_s = nil, clock.monotonic_s() - (received.age_s or 0)
  end
  self.is_asked = false
  for _, each in ipairs(list.sorted_keys(self.waiting)) do
    if self.waiting[each] then self.waiting[each]() end
  end
end

--- For how many seconds its keys have not been seen at the address; nil before there are any.
---@return integer|nil
function KeySource:age() return self.seen_s and clock.monotonic_s() - self.seen_s end

-- A token is not judged by keys that may have been taken back long ago.
local function is_stale(self)
  local age = self:age()
  return not age or age > self.source.keep
end

--- Have the backend look, if it may be asked again. False: it is not looking.
local function ask(self)
  local now = core.clock.monotonic_ms()
  local since = self.asked_ms and now - self.asked_ms
  if since and since < ASK_MS then return self.is_asked and since < WAIT_MS end
  if not self.backend:send(assert(message.encode { type = "renew", source = self.place })) then
    return false
  end
  self.asked_ms, self.is_asked = now, true
  return true
end

--- Wait until the backend has looked, or for as long as a client does.
local function renew(self)
  if self.count >= WAITING_MAX or not ask(self) then return end
  task.await(function(callback)
    self.number, self.count = self.number + 1, self.count + 1
    local number, each = self.number, {}
    function each.close()
      if not self.waiting[number] then return end
      self.waiting[number], self.count = nil, self.count - 1
      each.timer:close()
    end
    self.waiting[number] = function()
      each.close()
      callback()
    end
    each.timer = core.loop.timer(WAIT_MS, self.waiting[number])
    return each
  end)
end

--- The key that a token names, as of a file. May wait where it is not there; raises 503 where there
--- are no keys to judge by.
---@param kid string|nil
---@param algorithm string
---@return lest.jose_key|nil
---@return string|nil problem
function KeySource:find(kid, algorithm)
  local key = not is_stale(self) and jwks.find(self.keys, kid, algorithm)
  if key then return key end
  renew(self)
  if is_stale(self) then
    refusal.raise(503, "the keys of the token's issuer cannot be had now",
      { retry_after = RETRY_S, detail = self.problem })
  end
  return jwks.find(self.keys, kid, algorithm)
end

--- Keys are fetched without being asked for.
function KeySource:refresh() end -- luacheck: ignore 212

return M
