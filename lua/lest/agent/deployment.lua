--- What an identity has to do with its files and hooks, and when: lest.agent.deploy over its place
--- and its memory, whose `deploy` is the record.
local deploy = require "lest.agent.deploy"

local M = {}

local function has_steps(options)
  return #(options.files or {}) > 0 or #(options.hooks or {}) > 0
end

--- Which generation is to be lived with where an older one is in use, after a rollback.
---@param memory table
---@return integer?
function M.held(memory)
  local record = memory.deploy
  if record and record.applied ~= record.newest then return record.newest end
end

--- When there is something to be done: nil, nothing. At the start of an agent there is, since files
--- may be gone, and steps new (identity.unlooked).
---@param identity lest.agent.identity
---@return integer? at seconds since 1970
function M.due(identity)
  local life, record = identity.life, identity.memory.deploy
  if not life or not has_steps(identity.options) then return nil end
  if not record or record.newest ~= life.number or identity.unlooked then return 0 end
  return deploy.due(record)
end

-- The one that was in use when the newest came, though others may lie between that did not do.
local function former_of(record, newest)
  if not record then return nil end
  return record.newest == newest and record.former or record.applied
end

local function context_of(identity, newest)
  local place, world = identity.place, identity.world
  local former = place:before(newest, former_of(identity.memory.deploy, newest))
  return {
    now = world.clock(), random = world.random, log = world.log,
    former = former and place:generation(former),
    save = function(record)
      identity.memory.deploy = record
      return place:remember(identity.memory)
    end,
    switch = function(number) return place:switch(number) end,
  }
end

--- Do what is due. In a task: hooks are waited for.
---@param identity lest.agent.identity
---@param forced? boolean also what waits for another attempt
---@return true?
---@return lest.error? err of the disk
function M.run(identity, forced)
  local newest, record = identity.life.number, identity.memory.deploy
  local context = context_of(identity, newest)
  local options = identity.options
  local described = { name = identity.name, files = options.files, hooks = options.hooks,
    rollback = options.rollback }
  if identity.unlooked then deploy.look(described, record) end
  identity.unlooked = nil
  if forced and record then record.retry_at = nil end
  record = deploy.run(described, identity.place:generation(newest), record, context)
  identity.place:hold(M.held { deploy = record })
  return context.save(record)
end

--- Attempts that have failed since the last success.
---@param identity lest.agent.identity
---@return integer
function M.failures(identity)
  local record = identity.memory.deploy
  return record and record.failures or 0
end

--- Why it is not done, in a sentence; nil: it is.
---@param identity lest.agent.identity
---@return string?
function M.problem(identity)
  local record = identity.memory.deploy
  return record and record.problem
end

return M
