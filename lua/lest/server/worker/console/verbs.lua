--- What an operator can say at the console besides Lua: about the server as a whole, which the
--- terminal asks of every worker and of the control role; and about the request that is parked.
local environment = require "lest.server.worker.console.environment"
local filter = require "lest.server.worker.console.filter"
local frames = require "lest.server.worker.console.frames"
local holding = require "lest.server.worker.console.holding"
local hooks = require "lest.server.worker.hooks"
local list = require "lest.base.list"
local policy = require "lest.policy"

local M = {}

local raise <const> = environment.raise

local function held_by(statement)
  if statement.held and statement.held.place then return statement.held end
  raise("no request is parked here: break_at { principal = \"...\" } parks the next")
end

local function for_write(session, what)
  if not session.may_write then
    raise(what .. " is for `lest repl --attach --write`")
  end
end

-- What has no answer, as break_at, shows none.
local function unless_nil(value)
  if value ~= nil then return value end
end

--- What the terminal asks of all workers, or of the control role, in the statement's place.
local function remote(name)
  return function(_, statement)
    return function(argument)
      return unless_nil(statement.ask(name, argument))
    end
  end
end

local function filtered(name)
  return function(session, statement)
    return function(options)
      local labels = list.sorted_keys(session.console.worker.labels)
      local wanted, problem = filter.check(options, labels)
      if not wanted then raise(("%s: %s"):format(name, problem)) end
      return unless_nil(statement.ask(name, options or {}))
    end
  end
end

-- Let the parked request go on, and wait for what becomes of it.
local function going_on(is_stepping)
  return function(_, statement)
    return function()
      local held = held_by(statement)
      held:go_on(is_stepping)
      held:await_change()
    end
  end
end

local function frame_at(held, level)
  local all = held:frames()
  local at = level or 1
  if math.type(at) ~= "integer" or not all[at] then
    raise(("there is no such function of the policy here: there are %d"):format(#all))
  end
  return all[at]
end

-- The variables where the policy stands: the innermost function's first, then those around the
-- policy's functions.
local function variables_of(held)
  if not held or not held.place then return {} end
  local layers = {}
  for _, frame in ipairs(held:frames()) do
    layers[#layers + 1] = frames.locals(held.co, frame.level)
    layers[#layers + 1] = frames.upvalues(frame.func)
  end
  layers[#layers + 1] = held:around()
  local found = {}
  for _, layer in ipairs(layers) do
    for name, value in pairs(layer) do
      if found[name] == nil then found[name] = value end
    end
  end
  return found
end

-- A policy for the parked request alone. The terminal has read the file.
local function reload(session, statement)
  return function(name, options)
    for_write(session, "policy.reload")
    local held, file = held_by(statement), statement.files[name]
    if type(file) ~= "table" then
      raise("policy.reload takes the name of a file as it is typed, policy.reload \"x.lua\"")
    end
    local made, err = hooks.load(file.path, file.text, options)
    if not made then raise(err.message) end
    held:try(made)
    held:await_change()
  end
end

local function answer(session, statement)
  return function(verdict)
    for_write(session, "answer")
    local held = held_by(statement)
    if not policy.is_verdict(verdict) then
      raise("answer takes a verdict, as answer(policy.reject \"...\")")
    end
    held:answer(holding.of_operator(verdict, session.who))
    held:await_change()
  end
end

local VERBS <const> = {
  workers = remote "workers", requests = remote "requests", stats = remote "stats",
  stack = remote "stack", parked = remote "parked", wait = remote "wait",
  trace = filtered "trace", untrace = remote "untrace",
  break_at = filtered "break_at", unbreak = remote "unbreak",
  ledger = function(_, statement)
    return function(what)
      return function(query)
        return statement.ask("ledger", { what = what, query = query or {} })
      end
    end
  end,
  labels = function(session) return session.looker:see(session.console:labels()) end,
  config = function(session) return session.looker:see(session.console:config()) end,
  request = function(session, statement)
    return session.looker:see(held_by(statement).seen)
  end,
  verdict = function(session, statement)
    return session.looker:see(held_by(statement).verdict)
  end,
  locals = function(session, statement)
    return function(level)
      local held = held_by(statement)
      return session.looker:see(frames.locals(held.co, frame_at(held, level).level))
    end
  end,
  upvalues = function(session, statement)
    return function(level)
      local held = held_by(statement)
      if not level and #held:frames() == 0 then return session.looker:see(held:around()) end
      return session.looker:see(frames.upvalues(frame_at(held, level).func))
    end
  end,
  step = going_on(true), resume = going_on(false), answer = answer,
}

--- The globals of a statement.
---@param session lest.console.session
---@param statement table
---@return table
function M.environment(session, statement)
  local verbs = {}
  for name, make in pairs(VERBS) do
    verbs[name] = function() return make(session, statement) end
  end
  verbs.print = function() return statement.print end
  verbs.policy = function()
    local kit = { reload = reload(session, statement) }
    for name, made in next, session.plain.policy do kit[name] = made end
    return kit
  end
  return environment.new(session, verbs, function() return variables_of(statement.held) end)
end

--- The words that can follow, for completion.
---@return string[]
function M.words()
  local words = { "policy", "print" }
  for name in pairs(VERBS) do words[#words + 1] = name end
  return words
end

return M
