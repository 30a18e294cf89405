--- What the specs of policies have reached: lines, rules and tests of the policies themselves, and
--- nothing of what the specs have beside them.
---
--- A decision's coroutine has one hook, the limit's. Here it has one that sees lines and calls, and
--- looks at the time in the limit's place.
local core = require "lest.core"
local policies = require "lest.testing.policy"
local rule = require "lest.policy.rule"
local source = require "lest.tool.policy.source"
local statements = require "lest.tool.policy.statements"

local M = {}

-- By the chunk's name: a policy's lines that ran, and its rules and tests.
local files <const> = {}
-- Every function that was called of a policy's rules and tests.
local called <const> = setmetatable({}, { __mode = "k" })
local loading -- the file whose text is running

local LOOK_EVERY <const> = 1000 -- events between two looks at the clock

local function hook_of(deadline_ms)
  local count, is_over = 0, false
  return function(event, line)
    count = count + 1
    if deadline_ms and (is_over or count % LOOK_EVERY == 0)
      and core.clock.monotonic_ms() > deadline_ms then
      is_over = true -- in each line, so that no pcall goes on for long
      error("the decision took too long", 0)
    end
    local info = debug.getinfo(2, "Sf")
    if event == "line" then
      local file = files[info.source]
      if file then file.ran[line] = true end
    elseif called[info.func] == false then
      called[info.func] = true
    end
  end
end

-- Bounds a coroutine by time alone, as it is traced.
local function traced_limit(deadline_ms)
  local hook = hook_of(deadline_ms)
  return { expired = false, exhausted = false, resume = function(_, co, ...)
    debug.sethook(co, hook, "cl")
    return coroutine.resume(co, ...)
  end }
end

local function load_traced(load, path, options)
  local name = "@" .. core.file.absolute(path)
  local before = loading
  files[name] = files[name] or { path = path, ran = {}, rules = {}, by_name = {} }
  loading = files[name]
  debug.sethook(hook_of(), "cl")
  local policy, err = load(path, options)
  debug.sethook()
  loading = before
  return policy, err
end

-- A file that is loaded again, for another spec, has the same rules in the same places.
local function register_noted(register, fn, kind, what, place)
  register(fn, kind, what, place)
  if not loading or type(fn) ~= "function" then return end -- an inventory is no function
  local name = rule.name(fn)
  local row = loading.by_name[name]
  if not row then
    row = { name = name, kind = kind, functions = {} }
    loading.by_name[name] = row
    table.insert(loading.rules, row)
  end
  table.insert(row.functions, fn)
  called[fn] = false
end

--- Watch every policy that specs load from now on.
function M.start()
  local load, register = policies.load, rule.register
  function policies.load(path, options) return load_traced(load, path, options) end
  function rule.register(...) return register_noted(register, ...) end
  core.limit.new = traced_limit
end

local function is_reached(file, statement)
  for line in pairs(statement.lines) do
    if file.ran[line] then return true end
  end
  return false
end

local function of_file(file)
  local text, err = core.file.read(file.path)
  local read
  if text then read, err = source.read(file.path, text) end
  if not read then return nil, err end
  local result = { path = file.path, lines = {}, rules = {}, statements = 0,
    count = #file.rules }
  for _, statement in ipairs(statements.of(read)) do
    result.statements = result.statements + 1
    if not is_reached(file, statement) then
      local last = result.lines[#result.lines]
      if last ~= statement.line then table.insert(result.lines, statement.line) end
    end
  end
  for _, row in ipairs(file.rules) do
    local reached = false
    for _, fn in ipairs(row.functions) do reached = reached or called[fn] end
    if not reached then table.insert(result.rules, row) end
  end
  return result, text
end

--- What no spec has reached, of each policy.
---@return { path: string, text: string, lines: integer[], statements: integer, rules: { name:
--- string, kind: string }[], count: integer }[]|nil
---@return lest.error|nil err
function M.results()
  local results, names = {}, {}
  for name in pairs(files) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local result, text = of_file(files[name])
    if not result then return nil, text end
    result.text = text
    table.insert(results, result)
  end
  return results
end

return M
