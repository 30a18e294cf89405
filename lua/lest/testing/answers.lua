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

local function find_plain(given, question) return given[question] end

-- Whether requests are within a rate; true and false are answers here.
local function rate_answer(value)
  if type(value) == "boolean" then return { within = value, count = 1 } end
  return value
end

local KINDS <const> = {
  http = { find = find_http, make = http_answer },
  rate = { find = find_plain, make = rate_answer, is_boolean = true },
}
local PLAIN <const> = { find = find_plain, make = function(value) return value end }

--- The answer of a spec to a question.
---@param given table<string, table|function> answers by the kind of question: tables from questions
--- to answers, or functions of the question. An answer may be a value, `false` for nothing, or
--- `{ err = "..." }` for a question that failed
---@param kind string
---@param question string
---@return boolean found
---@return any answer
---@return any err
---@return any written the answer as the spec has it
function M.find(given, kind, question)
  local row, answers = KINDS[kind] or PLAIN, given[kind]
  local found, err
  if type(answers) == "boolean" then
    found = answers
  elseif type(answers) == "function" then
    found, err = answers(question)
    if found == nil then return true, nil, err, err ~= nil and { err = tostring(err) } end
  elseif answers then
    found = row.find(answers, question)
  end
  if found == nil then return false end
  if found == false and not row.is_boolean then return true, nil, nil, found end
  if type(found) == "table" and found.err ~= nil and next(found, (next(found))) == nil then
    return true, nil, found.err, found
  end
  return true, row.make(found), nil, found
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

-- There are so many kinds of world; in one up to AWAY_MOST nobody answers.
local KINDS_OF_WORLD <const>, AWAY <const>, AWAY_MOST <const> = 8, "nobody answers", 2

-- What the world says of itself where a spec says nothing, by a plan's `world`.
local NONE <const>, MANY <const> = {}, { active = { count = 5 }, issued = { count = 1000 },
  refused = { count = 3 }, revoked = { count = 1 } }
local WORLDS <const> = {
  http = { 404, 500, { json = {} }, { body = "<html>" }, "row", "row" },
  history = { NONE, MANY, NONE, MANY, NONE, NONE },
  rate = { true, false, true, true, true, false },
}

-- A table is a file beside the policy, which is asked where a spec does not answer for it: every
-- other world has no row in it.
local function ask_table(kind_of_world, ask)
  if kind_of_world % 2 == 0 then return nil end
  local ok, answer, err = pcall(ask)
  if not ok then return nil, tostring(answer) end
  return answer, err ~= nil and tostring(err) or nil
end

--- Answers for a search: those of the spec, or others by a number, or none since all is away.
---@param given table<string, table|function> as of find()
---@param world integer chooses what is answered
---@param asked table is given what was answered: { kind, question, answer as a spec writes it }
---@param row_of fun(number: integer): table<string, string> facts as a service may have some
---@return fun(kind: string, question: string, ask: function): any, any source
function M.world(given, world, asked, row_of)
  local number = world // KINDS_OF_WORLD
  world = (world - 1) % KINDS_OF_WORLD + 1
  local function note(kind, question, written)
    table.insert(asked, { kind, question, written })
  end
  return function(kind, question, ask)
    if world > AWAY_MOST then
      local found, answer, err, written = M.find(given, kind, question)
      if found then
        note(kind, question, written)
        return answer, err
      end
      local row, others = KINDS[kind] or PLAIN, WORLDS[kind]
      if others then
        written = others[world - AWAY_MOST]
        if written == "row" then written = { json = row_of(number) } end
        note(kind, question, written)
        return row.make(written)
      elseif kind == "csv" or kind == "sqlite" then
        answer, err = ask_table(world, ask)
        note(kind, question, err and { err = err } or answer or false)
        return answer, err
      end
    end
    note(kind, question, { err = AWAY })
    return nil, AWAY
  end
end

return M
