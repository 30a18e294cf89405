--- What happens with a new generation of an identity: files go to their places, then hooks are run,
--- in the order of the configuration. Each step that is done is in a record that the caller keeps
--- durable, so that a step is repeated only where the agent ended between it and its record.
---
---   record, problem = deploy.run(identity, newest, record, context)
---
--- What fails is tried again, later each time. With `rollback`, a generation whose hook fails makes
--- way for the former one, files and hooks too, until it is tried again.
local files = require "lest.agent.deploy.files"
local hooks = require "lest.agent.deploy.hooks"
local list = require "lest.base.list"
local materials = require "lest.agent.deploy.material"
local shape = require "lest.agent.deploy.shape"

local M = { files = shape.files, hooks = shape.hooks }

local FIRST_S <const>, MOST_S <const> = 30, 3600

---@class lest.agent.deploy.record what is kept of it; plain, for JSON
---@field newest integer the number of the generation that is wanted
---@field applied integer of the one whose steps are done, or being done: the former after a
--- rollback
---@field former? integer of the one to go back to
---@field done table<string, boolean> its steps that are done
---@field failures integer of this newest generation
---@field retry_at? integer seconds since 1970
---@field problem? string a sentence, of the last failure

---@class lest.agent.deploy.identity
---@field name string
---@field files? table[] as deploy.files gives them, with absolute paths
---@field hooks? table[] as deploy.hooks gives them
---@field rollback? boolean

---@class lest.agent.deploy.context
---@field now integer seconds since 1970
---@field random fun(): number from 0 to 1
---@field save fun(record: lest.agent.deploy.record): true?, lest.error? make it durable
---@field log fun(level: string, event: string, fields: any[])
---@field former? lest.agent.generation that was in use before the newest; nil: there is none
---@field switch fun(number: integer): true?, lest.error? make it the current generation

--- The steps of an identity: what to do, and how it is called in the record.
local function steps_of(identity)
  local steps = {}
  for _, file in ipairs(identity.files or {}) do
    steps[#steps + 1] = { key = files.describe(file), name = files.place(file), file = file }
  end
  for i, hook in ipairs(identity.hooks or {}) do
    local key = hooks.describe(hook, i)
    steps[#steps + 1] = { key = key, name = key, hook = hook }
  end
  return steps
end

local function run_step(step, identity, material, kind)
  if step.file then return files.write(step.file, material) end
  return hooks.run(step.hook, hooks.event(identity.name, material, kind))
end

--- Do what is not done. Returns true, or nil, a sentence, and whether a hook failed.
local function apply(identity, generation, record, context)
  local kind = record.applied == record.newest and "installed" or "rolled back"
  local material, err = materials.read(generation)
  if not material then return nil, tostring(err), false end
  for _, step in ipairs(steps_of(identity)) do
    if not record.done[step.key] then
      local done, said = run_step(step, identity, material, kind)
      if not done then
        context.log("warning", step.hook and "hook failed" or "file not written",
          { "identity", identity.name, "generation", generation.number, "step", step.name,
            "problem", tostring(said) })
        return nil, ("%s: %s"):format(step.hook and "hook" or "file", tostring(said)),
          step.hook ~= nil
      end
      record.done[step.key] = true
      local saved
      saved, err = context.save(record)
      if not saved then return nil, tostring(err), false end
      context.log("info", step.hook and "hook done" or "file written",
        { "identity", identity.name, "generation", generation.number, "step", step.name,
          "said", type(said) == "string" and said ~= "" and said or false })
    end
  end
  return true
end

local function delay_of(failures, random)
  local most = math.min(MOST_S, FIRST_S << math.min(failures - 1, 20))
  return math.ceil(most * (0.5 + random() / 2))
end

--- Whether its time has come; a time that a clock which jumped has left far away is none.
local function is_due(record, now)
  return not record.retry_at or now >= record.retry_at or record.retry_at > now + MOST_S
end

local function is_done(identity, record)
  for _, step in ipairs(steps_of(identity)) do
    if not record.done[step.key] then return false end
  end
  return true
end

local function go_back(identity, record, context)
  record.applied, record.done = context.former.number, {}
  local ok, err = context.save(record)
  if ok then ok, err = context.switch(record.applied) end
  if not ok then return tostring(err) end
  context.log("warning", "rolled back", { "identity", identity.name, "generation", record.newest,
    "to", record.applied })
  local _, problem = apply(identity, context.former, record, context)
  return problem
end

-- The newest generation in its place, again where it was rolled back.
local function try_newest(identity, newest, record, context)
  if record.applied ~= newest.number then
    record.applied, record.done = newest.number, {}
    local ok, err = context.save(record)
    if ok then ok, err = context.switch(newest.number) end
    if not ok then return nil, tostring(err) end
  end
  return apply(identity, newest, record, context)
end

local function fail(identity, record, context, problem, is_hook)
  record.failures = record.failures + 1
  record.problem = problem
  record.retry_at = context.now + delay_of(record.failures, context.random)
  if is_hook and identity.rollback and context.former and record.applied == record.newest then
    local also = go_back(identity, record, context)
    if also then record.problem = ("%s; rolling back: %s"):format(problem, also) end
  end
  local saved, err = context.save(record)
  return saved and record.problem or tostring(err)
end

--- Do what there is to be done now for the newest generation, the current one unless it was rolled
--- back. Call it once a generation is current, at each start, and when M.due says so.
---@param identity lest.agent.deploy.identity
---@param newest lest.agent.generation
---@param record? lest.agent.deploy.record as it was kept; nil: none yet
---@param context lest.agent.deploy.context
---@return lest.agent.deploy.record
---@return string? problem a sentence; nil: all is done
function M.run(identity, newest, record, context)
  if not record or record.newest ~= newest.number then
    record = { newest = newest.number, applied = newest.number, done = {}, failures = 0,
      former = context.former and context.former.number }
  end
  if is_done(identity, record) and record.applied == newest.number then return record end
  if not is_due(record, context.now) then
    -- The agent ended while it rolled back.
    if record.applied ~= newest.number and context.former and not is_done(identity, record) then
      local ok, err = context.switch(record.applied)
      if not ok then return record, tostring(err) end
      apply(identity, context.former, record, context)
    end
    return record, record.problem
  end
  local ok, problem, is_hook = try_newest(identity, newest, record, context)
  if not ok then return record, fail(identity, record, context, problem, is_hook) end
  record.failures, record.problem, record.retry_at = 0, nil, nil
  local saved, err = context.save(record)
  return record, not saved and tostring(err) or nil
end

--- When run() is to be called again: nil, never; a time, seconds since 1970.
---@param record? lest.agent.deploy.record
---@return integer?
function M.due(record)
  return record and record.retry_at
end

--- Forget that files were written which are not there any more, so that run() writes them.
---@param identity lest.agent.deploy.identity
---@param record? lest.agent.deploy.record
function M.look(identity, record)
  for _, file in ipairs(record and identity.files or {}) do
    if not files.is_there(file) then record.done[files.describe(file)] = nil end
  end
end

--- Why identities cannot have these files: two of them in one place.
---@param identities table<string, { files?: table[] }> with absolute paths
---@return string? path of the key
---@return string? problem
function M.conflict(identities)
  local owners = {}
  for _, name in ipairs(list.sorted_keys(identities)) do
    for _, file in ipairs(identities[name].files or {}) do
      local place = files.place(file)
      if owners[place] then
        return ("identities.%s.files"):format(name),
          ("%s is written by identities.%s already"):format(place, owners[place])
      end
      owners[place] = name
    end
  end
end

return M
