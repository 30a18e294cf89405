--- Trying again what may work later.
---
---   local certs, err = lest.retry { times = 5, backoff = "1s", function()
---     return client:cacerts()
---   end }
---
--- Only an error that may pass is worth another try: no answer, or a server that asks to come back.
--- The pause before try n + 1 is random between nothing and backoff * 2^(n-1) ("full jitter"), so
--- that a crowd of devices does not come back together. Inside a task it blocks nobody, and whoever
--- cancels the task ends it.
local core = require "lest.core"
local duration = require "lest.duration"
local schema = require "lest.base.schema"
local task = require "lest.task"

---@class lest.module.retry
---@field random fun(): number from 0 to 1; this and the next two are for specs to replace
---@field sleep fun(seconds: number) as lest.sleep
---@field now_us fun(): integer monotonic, microseconds
local M = { random = math.random, sleep = task.sleep, now_us = core.clock.monotonic_us }

local TIMES_MAX <const> = 1000

local PASSING <const> = { network = true, timeout = true, closed = true, unavailable = true,
  pending = true }

--- Whether an error may pass by itself. That of a request which may have been done is none: the
--- caller knows whether it may be done twice.
---@param err any
---@return boolean
function M.may_pass(err)
  return core.error.is(err) and PASSING[err.code] == true and not err.unknown
end

-- Seconds, with fractions where a number has them.
local period = schema.custom("a duration, or seconds", function(value)
  if math.type(value) == "float" and value >= 0 and value < math.huge then return value end
  return duration.parse(value)
end)
local callable = schema.custom("a function", function(value)
  if type(value) == "function" then return value end
end)
local shape <const> = schema.record {
  call = callable,
  times = schema.optional(schema.integer { min = 1, max = TIMES_MAX }, 5),
  backoff = schema.optional(period, 1),
  most = schema.optional(period, 60),
  within = schema.optional(period),
  when = schema.optional(callable, M.may_pass),
}

local function options_of(given)
  if type(given) ~= "table" then error("lest.retry takes a table", 3) end
  local options = {}
  for key, value in pairs(given) do options[key == 1 and "call" or key] = value end
  local checked, problems = schema.check(shape, options)
  if checked then return checked end
  error(("lest.retry: %s: %s"):format(problems[1].path, problems[1].problem), 3)
end

-- Seconds before the next try, never less than the server asked for; nil: it would be too long.
local function pause(options, tries, err)
  local most = math.min(options.most, options.backoff * 2.0 ^ (tries - 1))
  local seconds = most * M.random()
  local asked = core.error.is(err) and err.retry_after or 0
  if asked > options.most then return nil end
  return math.max(seconds, asked)
end

---@class lest.retry.options
---@field [1] fun(): any what is tried: its results are returned; it fails with nil and an error, or
--- raises one
---@field times? integer tries in all, default 5
---@field backoff? string|number before the second try at most, a duration or seconds; default 1
---@field most? string|number the longest pause, default 60; a server that asks for a longer one is
--- not waited for
---@field within? string|number no try begins later than this after the first
---@field when? fun(err: any): boolean whether an error is worth another try; default may_pass

--- Call a function until it succeeds, at most so many times.
---@param given lest.retry.options
---@return any ... of the last try; one that raised an error raises it again
function M.retry(given)
  local options = options_of(given)
  local deadline = options.within and M.now_us() + options.within * 1000000 or math.huge
  local tries = 0
  while true do
    tries = tries + 1
    local results = table.pack(pcall(options.call))
    local ok, err = results[1], results[2]
    if ok and (err ~= nil or results[3] == nil) then return table.unpack(results, 2, results.n) end
    if ok then err = results[3] end
    local seconds = tries < options.times and options.when(err) and pause(options, tries, err)
    if not seconds or M.now_us() + seconds * 1000000 > deadline then
      if ok then return table.unpack(results, 2, results.n) end
      error(err, 0)
    end
    M.sleep(seconds)
  end
end

return M
