--- When a network has appeared, as the kernel says: routes and addresses come in flocks, and what
--- needs a network is tried once for each, some seconds later. One that comes and goes without end
--- is tried more and more rarely.
---
---   local watch, err = network.watch(world, function(is_fresh) agent:try_network(is_fresh) end)
---   watch:close()
local core = require "lest.core"

local M = {}

-- From the news to the try: the rest of it comes meanwhile, and neighbours who hear of the same
-- router do not come at once.
local SETTLE_S <const>, SPREAD_S <const> = 1, 4

-- Between two tries at least, doubled by each; news after so much quiet begin anew.
local GAP_S <const>, QUIET_S <const> = 5, 900

---@class lest.agent.network
local Network = { __name = "lest.agent.network" }
Network.__index = Network

--- When to try, by when there were news.
---@param random fun(): number from 0 to 1
---@return lest.agent.network
function M.new(random)
  return setmetatable({ random = random, gap = GAP_S }, Network)
end

--- There are news: in how many seconds to try, and whether a quiet time was before. nil: a try is
--- coming already.
---@param now integer seconds; this clock may jump
---@return number? delay
---@return boolean? is_fresh
function Network:news(now)
  local heard, is_fresh = self.heard, false
  self.heard = now
  if self.waits then return nil end
  if not heard or now < heard or now - heard >= QUIET_S then
    is_fresh, self.gap, self.tried = true, GAP_S, nil
  end
  self.waits = true
  local delay = SETTLE_S + SPREAD_S * self.random()
  return math.max(delay, self.tried and self.tried + self.gap - now or 0), is_fresh
end

--- The try has come.
---@param now integer
function Network:try(now)
  self.waits, self.tried = nil, now
  self.gap = math.min(2 * self.gap, QUIET_S)
end

--- Call try() after each appearance of a network.
---@param world lest.agent.world
---@param try fun(is_fresh: boolean)
---@return { close: fun() }?
---@return lest.error? err unavailable: the kernel says nothing to this process
function M.watch(world, try)
  local self, timer = M.new(world.random), nil
  local routes, err = core.loop.routes(function()
    local delay, is_fresh = self:news(world.clock())
    if not delay then return end
    timer = core.loop.timer(math.ceil(delay * 1000), function()
      self:try(world.clock())
      try(is_fresh)
    end)
  end)
  if not routes then return nil, err end
  return { close = function()
    routes:close()
    if timer then timer:close() end
  end }
end

return M
