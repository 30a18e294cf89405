--- What a policy is told in a spec when it asks outside of its request: the answers of the spec,
--- and none from the world.
local json = require "lest.json"

local M = {}

-- Of an HTTP answer: a status alone, or its parts.
local function http_answer(value)
  if math.type(value) == "integer" then value = { status = value } end
  if type(value) ~= "table" then return value end
  local answer = { status = value.status or 200, body = value.body or "", headers = {} }
  if value.body_base64 or value.body_sha256 then
    answer.body, answer.body_base64, answer.body_sha256 = value.body, value.body_base64,
      value.body_sha256
  end
  for name, text in pairs(value.headers or {}) do
    table.insert(answer.headers, type(text) == "table" and text or { name, text })
  end
  if value.json ~= nil then answer.body = json.encode(value.json) end
  return answer
end

-- A table of HTTP answers may leave out "GET ", and the hash of what else was sent.
local function find_http(given, question)
  for _, text in ipairs { question, (question:gsub(" %(%x+%)$", "")) } do
    for _, key in ipairs { text, text:match "^GET (.*)$" } do
      if given[key] ~= nil then return given[key] end
    end
  end
end

local KINDS <const> = { http = { find = find_http, make = http_answer } }
local PLAIN <const> = {
  find = function(given, question) return given[question] end,
  make = function(value) return value end,
}

--- The answer of a spec to a question.
---@param given table<string, table|function> answers by the kind of question: tables from questions
--- to answers, or functions of the question. An answer may be a value, `false` for nothing, or
--- `{ err = "..." }` for a question that failed
---@param kind string
---@param question string
---@return boolean found
---@return any answer
---@return any err
function M.find(given, kind, question)
  local row, answers = KINDS[kind] or PLAIN, given[kind]
  local found, err
  if type(answers) == "function" then
    found, err = answers(question)
    if found == nil then return true, nil, err end
  elseif answers then
    found = row.find(answers, question)
  end
  if found == nil then return false end
  if found == false then return true end
  if type(found) == "table" and found.err ~= nil and next(found, (next(found))) == nil then
    return true, nil, found.err
  end
  return true, row.make(found)
end

--- Answers for journal.outside.
---@param given table<string, table|function> as of find()
---@param unanswered table is given each question without an answer: { kind, question }
---@return fun(kind: string, question: string): any, any source
function M.source(given, unanswered)
  return function(kind, question)
    local found, answer, err = M.find(given, kind, question)
    if found then return answer, err end
    table.insert(unanswered, { kind, question })
    error(("the test has no answer to %s: %s"):format(kind, question), 0)
  end
end

-- What the world says of itself where a spec says nothing, by a plan's `world`.
local HTTP <const> = { [3] = 404, [4] = 500, [5] = { json = {} }, [6] = { body = "<html>" },
  [7] = { json = { name = "a" } }, [8] = 200 }
local AWAY <const>, AWAY_MOST <const> = "nobody answers", 2

--- Answers for a search: those of the spec, or others by a number, or none since all is away.
---@param given table<string, table|function> as of find()
---@param world integer from 1 to 8
---@param asked table is given what was answered: { kind, question, answer as a spec writes it }
---@return fun(kind: string, question: string): any, any source
function M.world(given, world, asked)
  local function note(kind, question, written)
    table.insert(asked, { kind, question, written })
  end
  return function(kind, question)
    if world > AWAY_MOST then
      local found, answer, err = M.find(given, kind, question)
      if found then return answer, err end
      if kind == "http" then
        note(kind, question, HTTP[world])
        return http_answer(HTTP[world])
      elseif kind == "csv" or kind == "sqlite" then
        note(kind, question, false)
        return nil
      end
    end
    note(kind, question, { err = AWAY })
    return nil, AWAY
  end
end

return M
