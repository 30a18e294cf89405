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

-- Bytes: of a name, of what a test saw.
local NAME_MAX <const>, SAW_MAX <const> = 120, 200

local function short(text, most)
  return #text <= most and text or text:sub(1, most):gsub("[\xc0-\xff][\x80-\xbf]*$", "") .. "..."
end

--- What a test saw, in a word: it may have returned anything, and none of it runs here.
local function word_of(value)
  local kind = type(value)
  if kind == "string" then return short(value, SAW_MAX) end
  if kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then return tostring(value) end
  if kind ~= "table" then return kind end
  local words = {}
  for i = 1, math.min(rawlen(value), 8) do
    local item = rawget(value, i)
    words[i] = type(item) == "table" and "..." or tostring(word_of(item))
  end
  return words[1] and short(table.concat(words, ", "), SAW_MAX) or kind
end

local OUTCOMES <const> = {}
for _, outcome in ipairs { "approve", "reject", "pending", "unavailable", "-", "yes", "no",
  "error" } do
  OUTCOMES[outcome] = ('"%s",'):format(outcome)
end

-- Most steps take no longer, and a text costs less than a number that becomes one.
local SMALL <const> = {}
for us = 0, 255 do SMALL[us] = tostring(us) end

-- A step is two pieces of the text: what it is and how it ended, microseconds with what it saw.
local PIECES <const> = 2
-- Of the text that was made last: one list for all, since nothing waits while one is made.
local step_pieces <const> = {}

---@class lest.trace.head
---@field kind "rule"|"test"
---@field depth integer
---@field name string
---@field before string the beginning of the first piece of its text
---@field [string] string that piece, by outcome, once it was wanted

--- What stays the same of a step in each decision, to be kept.
---@param depth integer
---@param kind "rule"|"test"
---@param name string
---@return lest.trace.head
function M.head(depth, kind, name)
  return { kind = kind, depth = depth, name = name,
    before = ("],[%d,%s,%s,"):format(depth, encode(kind), encode(short(name, NAME_MAX))) }
end

local function fill(head, outcome)
  if not (outcome and OUTCOMES[outcome]) then outcome = "error" end
  head[outcome] = head.before .. OUTCOMES[outcome]
  return head[outcome]
end

local function more_text(more)
  return more > 0 and (',{"more":%d}'):format(more) or ""
end

-- The list of as many of the parts as a text may have. A part is so many pieces; `before` is what
-- the first of them has before a list's item, `after` what the last one lacks.
local function fitting(pieces, each, all, more, most, before, after)
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

--- How many items of a list a step has: its head, how it ended (nil: it did not), microseconds (or
--- when it began), what it saw.
M.ITEMS = 4

--- The text of steps.
---@param steps any[]
---@param count integer how many are in the list
---@param more integer how many are left out
---@param now integer the end of those that did not end
---@return string
function M.steps_text(steps, count, more, now)
  local last = 0
  for at = 4, 4 * count, 4 do
    local head, outcome, us, saw = steps[at - 3], steps[at - 2], steps[at - 1], steps[at]
    if not outcome then us = now - us end
    us, last = SMALL[us] or us, last + 2
    step_pieces[last - 1] = outcome and head[outcome] or fill(head, outcome)
    step_pieces[last] = saw == nil and us or us .. "," .. encode(word_of(saw))
  end
  return fitting(step_pieces, PIECES, count, more, STEPS_TEXT_MAX, "],", "]")
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
  return fitting(pieces, 1, #pieces, more, CALLS_TEXT_MAX, ",", "")
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
