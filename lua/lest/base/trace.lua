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

-- The first so many of the parts, and how many there are more.
local function text_of(parts, count, more)
  local list = table.move(parts, 1, count, 1, {})
  if more > 0 then list[count + 1] = ('{"more":%d}'):format(more) end
  return "[" .. table.concat(list, ",") .. "]"
end

-- As many of the parts as a text may have.
local function fitting(parts, more, most)
  local count = #parts
  while true do
    local text = text_of(parts, count, more + #parts - count)
    if #text <= most then return text end
    count = count // 2
  end
end

--- The text of steps: rows of depth, kind, name, outcome, microseconds, and what was seen if that
--- is known.
---@param rows any[][]
---@param more integer how many steps are left out
---@return string
function M.write_steps(rows, more)
  local count = #rows
  if more > 0 then rows[count + 1] = { more = more } end
  local text = encode(rows)
  if #text <= STEPS_TEXT_MAX then return text end
  local parts = {}
  for i = 1, count do parts[i] = encode(rows[i]) end
  return fitting(parts, more, STEPS_TEXT_MAX)
end

-- A call with its answer, which is JSON already.
local function call_text(call, with_answer)
  local answer = call.answer
  call.answer = nil
  local text = encode(call)
  call.answer = answer
  return answer and with_answer and ('%s,"answer":%s}'):format(text:sub(1, -2), answer) or text
end

--- The text of calls.
---@param calls table[] as lest.trace.call has them, but for the answer, which is a text of JSON
---@param more integer how many calls are left out
---@return string
function M.write_calls(calls, more)
  local parts, bare = {}, {}
  for i, call in ipairs(calls) do parts[i] = call_text(call, true) end
  local text = text_of(parts, #parts, more)
  if #text <= CALLS_TEXT_MAX then return text end
  for i, call in ipairs(calls) do bare[i] = call_text(call, false) end
  return fitting(bare, more, CALLS_TEXT_MAX)
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
