--- What a policy is told in a spec when it asks outside of its request: the answers of the spec,
--- and none from the world.
local json = require "lest.json"

local M = {}

-- Of an HTTP answer: a status alone, or its parts.
local function http_answer(value)
  if math.type(value) == "integer" then value = { status = value } end
  if type(value) ~= "table" then return value end
  local answer = { status = value.status or 200, body = value.body or "", headers = {} }
  for name, text in pairs(value.headers or {}) do
    table.insert(answer.headers, type(text) == "table" and text or { name, text })
  end
  if value.json ~= nil then answer.body = json.encode(value.json) end
  return answer
end

-- A table of HTTP answers may leave out "GET ".
local function find_http(given, question)
  local found = given[question]
  if found == nil then found = given[question:match "^GET (.*)$" or ""] end
  return found
end

local KINDS <const> = { http = { find = find_http, make = http_answer } }
local PLAIN <const> = {
  find = function(given, question) return given[question] end,
  make = function(value) return value end,
}

--- Answers for journal.outside. An answer may be: a value, `false` for nothing, or a text in a
--- table `{ err = "..." }` for a question that failed.
---@param given table<string, table|function> answers by the kind of question: tables from questions
--- to answers, or functions of the question
---@param unanswered table is given each question without an answer: { kind, question }
---@return fun(kind: string, question: string): any, any source
function M.source(given, unanswered)
  return function(kind, question)
    local row, answers = KINDS[kind] or PLAIN, given[kind]
    local found, err
    if type(answers) == "function" then
      found, err = answers(question)
      if found == nil and err == nil then found = false end
    elseif answers then
      found = row.find(answers, question)
    end
    if found == nil and err == nil then
      table.insert(unanswered, { kind, question })
      error(("the test has no answer to %s: %s"):format(kind, question), 0)
    elseif found == nil then
      return nil, err
    elseif type(found) == "table" and found.err ~= nil then
      return nil, found.err
    elseif found == false then
      return nil
    end
    return row.make(found)
  end
end

return M
