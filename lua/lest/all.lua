--- The same for many elements, side by side.
---
---   local certs = lest.all(names, { limit = 50,
---     each = function(name) return enroll(name) end })
---
--- Nothing that fails is lost: once all have ended, one error is raised that has every failure, and
--- the results of the others. With `collect` both are returned instead.
local core = require "lest.core"
local origin = require "lest.base.origin"
local task = require "lest.task"

local LIMIT <const> = 100
local SHOWN_MAX <const> = 10 -- failures that the message tells; the list has them all

local KNOWN <const> = { limit = true, each = true, collect = true }

--- What failed, in the order of the list.
---@class lest.failures
---@field message string with the first of them
---@field traceback string where these come from
---@field exit_code integer that of the first failure
---@field results table<integer, any> of those that did not fail
---@field [integer] { index: integer, element: any, err: any } each, in order
local Failures = { __name = "lest.failures" }
function Failures:__tostring() return self.message end

-- As the command line and the log show it: what an object cannot say of itself is its type.
local function text_of(err)
  local ok, text = pcall(tostring, err)
  return ok and type(text) == "string" and origin.words(text) or type(err)
end

local function failures_of(by_index, count, results)
  local failures = { results = results }
  for index = 1, count do failures[#failures + 1] = by_index[index] end
  local lines, origins = { ("%d of %d failed"):format(#failures, count) }, {}
  for i = 1, math.min(#failures, SHOWN_MAX) do
    local err = failures[i].err
    lines[#lines + 1] = ("%d: %s"):format(failures[i].index, text_of(err))
    origins[#origins + 1] = origin.text(err)
  end
  if #failures > SHOWN_MAX then lines[#lines + 1] = "..." end
  failures.message = table.concat(lines, "\n  ")
  failures.traceback = table.concat(origins, "\n")
  failures.exit_code = core.error.is(failures[1].err) and failures[1].err.exit_code or 1
  return setmetatable(failures, Failures)
end

local function problem_of(list, options)
  for name in pairs(options) do
    if not KNOWN[name] then
      local hint = require "lest.base.schema".hint(name, KNOWN)
      return ("there is no option '%s'%s"):format(tostring(name), hint)
    end
  end
  local limit, each = options.limit, options.each
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    return "the option 'limit' is a whole number from 1"
  elseif each ~= nil and type(each) ~= "function" then
    return "the option 'each' is a function"
  end
  for i = 1, each and 0 or #list do
    if type(list[i]) ~= "function" then
      return ("element %d is a %s, and there is no function for each"):format(i, type(list[i]))
    end
  end
end

local function call(element) return element() end

-- Run each(element, index) in tasks: the results, and the failures by index.
local function run(list, options, started)
  local each, count = options.each or call, #list
  local results, failed, next_index, workers = {}, {}, 1, {}
  local function handler(err) return origin.add(err, debug.traceback(nil, 2), started) end
  local function run_one(index)
    local ok, value, err = xpcall(each, handler, list[index], index)
    if not ok or value == nil and err ~= nil then
      failed[index] = { index = index, element = list[index], err = ok and err or value }
    else
      results[index] = value
    end
  end
  local function worker()
    while next_index <= count do
      next_index = next_index + 1
      run_one(next_index - 1)
    end
  end
  for i = 1, math.min(options.limit or LIMIT, count) do
    workers[i] = task.start({ quiet = true }, worker)
  end
  for _, running in ipairs(workers) do running:wait() end
  return results, failed
end

---@class lest.all.options
---@field limit? integer most tasks at once, default 100
---@field each? fun(element: any, index: integer): any what is done with each element; absent: they
--- are functions
---@field collect? boolean failures are returned, not raised

--- Run a function on every element as tasks, and wait for all. An element fails that raises an
--- error, or returns nil and one.
---@param list any[] functions, or elements for options.each
---@param options? lest.all.options
---@return table<integer, any> results the first of each, in order
---@return lest.failures? failures with `collect`
return function(list, options)
  options = options or {}
  if type(list) ~= "table" or type(options) ~= "table" then
    error("lest.all takes a list, and a table of options", 2)
  end
  local problem = problem_of(list, options)
  if problem then error("lest.all: " .. problem, 2) end
  local results, failed = run(list, options, origin.here(2))
  if not next(failed) then return results end
  for _, failure in pairs(failed) do
    if failure.err == "not enough memory" then error(failure.err, 0) end
  end
  local failures = failures_of(failed, #list, results)
  if options.collect then return results, failures end
  error(failures, 0)
end
