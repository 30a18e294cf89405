--- The journal of one decision: what each rule and test said, and what the policy learned from
--- outside of its request. A worker starts the decision's task with one, and sends it along with
--- the verdict; lest/base/trace.lua is how the ledger keeps it.
---
---   local journal = journals.new()
---   local running = task.start({ limit = limit, context = journal }, hook, request)
---   finish.trace, finish.outside = journals.texts(journal)
---
--- A policy finds the journal by task.context(), and nothing in it: it may ask something through
--- it, and so add to it, but neither read nor change what is there. Each instruction of a policy is
--- dear, since a hook counts them: a step costs two looks at a clock and a small table, and words
--- are for the end.
local core = require "lest.core"
local known = require "lest.policy.known"
local task = require "lest.task"
local terminal = require "lest.base.terminal"
local trace = require "lest.base.trace"

local M = {}

local STEPS_MAX <const>, CALLS_MAX <const> = 200, 64
-- Bytes: of a question, of an error's words.
local QUESTION_MAX <const>, ERROR_MAX <const> = 500, 200
-- Bytes of the answers that are kept of one decision.
local ANSWERS_MAX <const> = 65536

-- What enter() gives for leave(): where the step's items are, and within how many steps it is.
local DEPTH_BITS <const> = 24
local DEPTH_MASK <const> = (1 << DEPTH_BITS) - 1

-- Locals: a policy may put something else into a module.
local context <const>, now_us <const> = task.context, core.clock.monotonic_us
local name_of <const>, ITEMS <const> = known.name, trace.ITEMS

-- What has been noted, by journal.
local states <const> = setmetatable({}, { __mode = "k" })

---@class lest.journal
local Journal = { __name = "lest.journal", __metatable = false }
Journal.__index = {}
function Journal.__newindex() error("a decision's journal has nothing to be set", 2) end

---@class lest.journal.options
---@field outside? fun(kind: string, question: string, ask: function): any, any answers what is
--- asked outside, in place of the world; it raises for what it does not know (M.undecidable)
---@field watch? fun(event: lest.journal.event) called before and after each step and each question,
--- within the decision's coroutine; it may wait
---@field keeps_answers? boolean false: their hashes only

---@class lest.journal.event
---@field at "before"|"after"
---@field kind string "rule", "test", or that of a question to the outside
---@field depth integer
---@field name? string of a step
---@field question? string
---@field outcome? string of a step that is over
---@field saw? any likewise
---@field us? integer likewise
---@field result? any likewise: the verdict, whether the test holds, the answer
---@field err? any of a question without an answer

-- A list as trace.steps_text() takes it, with room for a dozen steps: one that grows is copied.
local function new_steps()
  return { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
    nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
    nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
end

---@param options? lest.journal.options
---@return lest.journal
function M.new(options)
  options = options or {}
  local journal = setmetatable({}, Journal)
  states[journal] = { steps = new_steps(), count = 0, depth = 0, calls = {}, asked = 0,
    room = ANSWERS_MAX, source = options.outside, watch = options.watch,
    keeps = options.keeps_answers ~= false }
  return journal
end

-- Steps

-- What stays the same of a step, by twice how many steps it is within, one more of a test, and by
-- its function.
local heads <const> = {}

local function make_head(key, depth, kind, fn)
  local by_function = heads[key] or setmetatable({}, { __mode = "k" })
  heads[key] = by_function
  by_function[fn] = trace.head(depth, kind, name_of(fn))
  return by_function[fn]
end

local function tell_step(state, at, head, outcome, us, saw, result)
  state.watch { at = at, kind = head.kind, depth = head.depth, name = head.name,
    outcome = outcome, us = us, saw = saw, result = result }
end

--- A rule or a test of the running decision is asked; nil where there is no journal. What it is
--- within follows from what has not been left yet.
---@param kind "rule"|"test"
---@param fn function
---@return table? state
---@return integer step
local function enter(kind, fn)
  local state = states[context()]
  if not state then return nil, 0 end
  local depth, count = state.depth, state.count + 1
  state.depth, state.count = depth + 1, count
  local at = ITEMS * count
  if count <= STEPS_MAX or state.watch then
    local key = kind == "test" and 2 * depth + 1 or 2 * depth
    local by_function, steps = heads[key], state.steps
    local head = by_function and by_function[fn] or make_head(key, depth, kind, fn)
    steps[at - 3] = head
    if state.watch then
      steps[at - 1] = now_us()
      tell_step(state, "before", head) -- it may wait
    end
    steps[at - 1] = now_us()
  end
  return state, at << DEPTH_BITS | depth
end

--- It has answered. One that raises is never left.
---@param state table of enter()
---@param step integer likewise
---@param outcome string
---@param saw any
---@param result any for who watches
local function leave(state, step, outcome, saw, result)
  local at, watch = step >> DEPTH_BITS, state.watch
  state.depth = step & DEPTH_MASK
  if at > ITEMS * STEPS_MAX and not watch then return end
  local steps = state.steps
  local us = now_us() - steps[at - 1]
  steps[at - 2], steps[at - 1], steps[at] = outcome, us, saw
  if watch then tell_step(state, "after", steps[at - 3], outcome, us, saw, result) end
end

--- What notes steps: for rule.lua, which takes it once, before there is a policy. A policy gets no
--- step, and notes none but what it asks.
---@return fun(kind: string, fn: function): table?, integer enter
---@return fun(state: table, step: integer, outcome: string, saw: any, result: any) leave
function M.take()
  M.take = nil
  return enter, leave
end

-- How many steps were noted.
local function noted_steps(state)
  return math.min(state.count, STEPS_MAX)
end

-- A step ends where it did not by itself.
local function end_step(steps, at, outcome, now)
  if not steps[at - 2] then steps[at - 2], steps[at - 1] = outcome, now - steps[at - 1] end
end

--- A test has ended the decision (lest.policy.stop): the rules around it end with its verdict.
---@param journal lest.journal
---@param outcome string
function M.stop(journal, outcome)
  local state, now = states[journal], now_us()
  for at = ITEMS, ITEMS * noted_steps(state), ITEMS do
    if state.steps[at - 3].kind == "rule" then end_step(state.steps, at, outcome, now) end
  end
end

-- Questions

--- A question as it is noted and known again: one that is not noted as it is by its hash.
local function noted(question)
  local text = terminal.line(question, QUESTION_MAX)
  if text == question then return text end
  return text .. core.secret.sha256(question):sub(1, 16)
end

local function words_of(err)
  if core.error.is(err) then
    return { code = err.code, message = terminal.line(err.message, ERROR_MAX),
      unknown = err.unknown == true or nil }
  end
  return { message = terminal.line(type(err) == "string" and err or type(err), ERROR_MAX) }
end

--- An error as it was before it became words.
local function error_of(words)
  if type(words) ~= "table" or core.error.is(words) then return words end
  if not words.code then return words.message end
  local ok, err = pcall(core.error.new,
    { code = words.code, message = words.message, unknown = words.unknown })
  return ok and err or words.message
end

-- Note what was answered. An answer that is no JSON, or too much of it for the decision's memory,
-- is noted without.
local function keep(state, call, answer, err)
  if answer == nil then
    call.is_nothing = err == nil or nil
    call.err = err ~= nil and words_of(err) or nil
    return
  end
  local status = type(answer) == "table" and rawget(answer, "status")
  call.status = math.type(status) == "integer" and status or nil
  local ok, json = pcall(core.json.encode, answer)
  if not ok then return end
  call.sha256 = core.secret.sha256(json)
  if not state.keeps or #json > state.room then return end
  if not trace.is_shallow((core.json.decode(json))) then return end
  call.answer, state.room = json, state.room - #json
end

local function ask_outside(state, kind, question, ask)
  if type(kind) ~= "string" or not kind:find "^%l[%l%d_]*$" or #kind > 32 then
    error("journal.outside: a kind is a word, as 'http'", 3)
  elseif type(question) ~= "string" then
    error("journal.outside: a question is a text", 3)
  end
  local watch, source = state.watch, state.source
  local call = { kind = kind, question = noted(question), us = -1 } -- -1: it has not ended
  state.asked = state.asked + 1
  if state.asked <= CALLS_MAX then state.calls[state.asked] = call end
  if watch then
    watch { at = "before", kind = kind, depth = state.depth, question = call.question }
  end
  local began_us = now_us()
  local answer, err = (source or ask)(kind, call.question, ask)
  if source then err = error_of(err) end
  call.us = now_us() - began_us
  keep(state, call, answer, err)
  if watch then
    watch { at = "after", kind = kind, depth = state.depth, question = call.question,
      us = call.us, result = answer, err = err }
  end
  return answer, err
end

--- Ask something outside of the request, and note it. Where a decision is made again, the record
--- answers, and ask is not called.
---@param kind string "http"
---@param question string what is asked, without a secret; two that differ are two questions
---@param ask fun(): any, any an answer that JSON has words for; or nil, and an error if it failed
---@return any answer
---@return any err
function Journal.__index:outside(kind, question, ask)
  local answer, err = ask_outside(states[self], kind, question, ask) -- no tail call: see its level
  return answer, err
end

--- The same by the journal of the running decision; outside of one, it just asks.
---@param kind string
---@param question string
---@param ask fun(): any, any
---@return any answer
---@return any err
function M.outside(kind, question, ask)
  local state = states[context()]
  if not state then return ask() end
  local answer, err = ask_outside(state, kind, question, ask)
  return answer, err
end

--- Raise that a decision cannot be made again, since the record has no such answer.
---@param kind string
---@param question string
function M.undecidable(kind, question)
  error(("not decidable: the record has no answer to %s %s"):format(kind, question), 0)
end

-- The end

--- What a journal holds, as the ledger keeps it; nil where there is nothing.
---@param journal lest.journal
---@param verdict? string how the decision ended, for a hook that did not
---@return string? trace
---@return string? outside
function M.texts(journal, verdict)
  local state, now = states[journal], now_us()
  local count, calls = noted_steps(state), state.calls
  if count > 0 then end_step(state.steps, ITEMS, verdict or "error", now) end
  for _, call in ipairs(calls) do
    if call.us < 0 then call.us, call.err = 0, { message = "it did not end" } end
  end
  return count > 0 and trace.steps_text(state.steps, count, state.count - count, now) or nil,
    calls[1] and trace.calls_text(calls, state.asked - #calls) or nil
end

--- The steps of a journal.
---@param journal lest.journal
---@return lest.trace.step[] steps
---@return integer more how many were left out
function M.steps(journal)
  return trace.read_steps((M.texts(journal)))
end

--- What a journal's policy asked outside.
---@param journal lest.journal
---@return lest.trace.call[] calls
---@return integer more how many were left out
function M.calls(journal)
  return trace.read_calls((select(2, M.texts(journal))))
end

return M
