--- What one decision did, as the ledger keeps it: two texts of JSON, one of its steps and one of
--- what the policy learned from outside of its request.
---
---   [[0,"rule","first at policy.lua:3","approve",812],[1,"test","network at policy.lua:4","no",3,
---   "192.0.2.7"],{"more":12}]       depth, kind, name, outcome, microseconds, what it saw
---   [{"kind":"http","question":"GET https://inventory/devices/42","sha256":"...","status":200,
---   "answer":{...},"us":5120}]
---
--- A worker writes them, and may be in an attacker's hands: who reads them finds every kind of
--- value where it belongs, or nothing.
local core = require "lest.core"

local M = {}

-- Bytes of a text: both fit into a packet with the rest of a verdict.
local STEPS_TEXT_MAX <const>, CALLS_TEXT_MAX <const> = 32768, 98304

local encode <const> = core.json.encode

---@class lest.trace.step
---@field depth integer how many steps it is within
---@field kind "rule"|"test"
---@field name string
---@field outcome string of a rule a verdict, or "-" where it was not for the request; of a test
--- "yes" or "no"; "error" of one that did not end
---@field us integer
---@field saw? string|number|boolean

---@class lest.trace.call
---@field kind string "http"
---@field question string
---@field sha256? string of the answer's JSON
---@field answer? any absent where only its hash was kept
---@field is_nothing? boolean the answer was nil, and no error
---@field status? integer
---@field err? { code: string?, message: string, unknown: boolean? }
---@field us integer

-- Levels of a value in a record: what shows it puts it deeper into JSON of its own.
local LEVELS_MAX <const> = 32

local function is_within(value, levels)
  if type(value) ~= "table" then return true end
  if levels == 0 then return false end
  for _, each in next, value do
    if not is_within(each, levels - 1) then return false end
  end
  return true
end

--- Whether a value that was read from JSON is no deeper than a record may be.
---@param value any
---@return boolean
function M.is_shallow(value)
  return is_within(value, LEVELS_MAX)
end

-- A step is three pieces of the text of steps: what it is, how it ended, microseconds with what it
-- saw.
local PIECES <const> = 3
local OUTCOMES <const> = {}
for _, outcome in ipairs { "approve", "reject", "pending", "unavailable", "-", "yes", "no",
  "error" } do
  OUTCOMES[outcome] = ('"%s",'):format(outcome)
end

-- Most steps take no longer, and a text costs less than a number that becomes one.
local SMALL <const> = {}
for us = 0, 255 do SMALL[us] = tostring(us) end

--- The first piece of a step, to be kept: it is the same in each decision.
---@param depth integer
---@param kind "rule"|"test"
---@param name string
---@return string
function M.head(depth, kind, name)
  return ("],[%d,%s,%s,"):format(depth, encode(kind), encode(name))
end

--- Put the pieces of a step into those of a text.
---@param pieces any[]
---@param number integer of the step, from 1
---@param head string of head()
---@param outcome any what is none is "error"
---@param us integer
---@param saw? string|number|boolean
function M.set_step(pieces, number, head, outcome, us, saw)
  local at = PIECES * number
  pieces[at - 2] = head
  pieces[at - 1] = OUTCOMES[outcome] or OUTCOMES.error
  pieces[at] = saw == nil and (SMALL[us] or us) or ("%d,%s"):format(us, encode(saw))
end

local function more_text(more)
  return more > 0 and (',{"more":%d}'):format(more) or ""
end

-- The list of as many of the parts as a text may have. A part is so many pieces; `before` is what
-- the first of them has before a list's item, `after` what the last one lacks.
local function fitting(pieces, each, more, most, before, after)
  local all = #pieces // each
  local count = all
  pieces[1] = "[" .. pieces[1]:sub(#before + 1)
  while count > 0 do
    local last = each * count + 1
    pieces[last] = after .. more_text(more + all - count) .. "]"
    local text = table.concat(pieces, "", 1, last)
    if #text <= most then return text end
    count = count // 2
  end
  return "[" .. more_text(more + all):sub(2) .. "]"
end

--- The text of steps.
---@param pieces any[] of set_step()
---@param more integer how many steps are left out
---@return string
function M.steps_text(pieces, more)
  return fitting(pieces, PIECES, more, STEPS_TEXT_MAX, "],", "]")
end

-- A call with its answer, which is JSON already.
local function call_text(call, with_answer)
  local answer = call.answer
  call.answer = nil
  local text = encode(call)
  call.answer = answer
  if not (answer and with_answer) then return "," .. text end
  return (',%s,"answer":%s}'):format(text:sub(1, -2), answer)
end

--- The text of calls.
---@param calls table[] as lest.trace.call has them, but for the answer, which is a text of JSON
---@param more integer how many calls are left out
---@return string
function M.calls_text(calls, more)
  local pieces, bytes = {}, 0
  for i, call in ipairs(calls) do
    pieces[i] = call_text(call, true)
    bytes = bytes + #pieces[i]
  end
  if bytes >= CALLS_TEXT_MAX - 64 then -- what is left out has its words, too
    for i, call in ipairs(calls) do pieces[i] = call_text(call, false) end
  end
  return fitting(pieces, 1, more, CALLS_TEXT_MAX, ",", "")
end

local function integer(value)
  return math.type(value) == "integer" and value >= 0 and value or 0
end

local function text(value)
  return type(value) == "string" and value or "?"
end

local function step_of(row)
  local saw = row[6]
  return { depth = integer(row[1]), kind = row[2] == "test" and "test" or "rule",
    name = text(row[3]), outcome = text(row[4]), us = integer(row[5]),
    saw = type(saw) ~= "table" and saw or nil }
end

local function error_of(err)
  if type(err) ~= "table" then return nil end
  return { code = type(err.code) == "string" and err.code or nil, message = text(err.message),
    unknown = err.unknown == true or nil }
end

local function call_of(row)
  return { kind = text(row.kind), question = text(row.question),
    answer = M.is_shallow(row.answer) and row.answer or nil,
    is_nothing = row.is_nothing == true or nil, us = integer(row.us), err = error_of(row.err),
    sha256 = type(row.sha256) == "string" and row.sha256 or nil,
    status = math.type(row.status) == "integer" and row.status or nil }
end

-- The rows of a text, each as `read` takes it.
local function read_list(json, read)
  if json == nil then return {}, 0 end
  local rows, problem = core.json.decode(json)
  if type(rows) ~= "table" then return nil, problem or "no list" end
  local list, more = {}, 0
  for _, row in ipairs(rows) do
    if type(row) == "table" and row.more then
      more = integer(row.more)
    elseif type(row) == "table" then
      list[#list + 1] = read(row)
    end
  end
  return list, more
end

--- Read a text of steps; nil is one of none.
---@param json string?
---@return lest.trace.step[]? steps
---@return integer|string more how many were left out; or what is wrong
function M.read_steps(json)
  return read_list(json, step_of)
end

--- Read a text of calls; nil is one of none.
---@param json string?
---@return lest.trace.call[]? calls
---@return integer|string more how many were left out; or what is wrong
function M.read_calls(json)
  return read_list(json, call_of)
end

return M
