--- An inventory behind HTTP: what is asked, what an answer means, and for how long it is kept.
local core = require "lest.core"
local http = require "lest.http"
local http_record = require "lest.base.http_record"
local inventory = require "lest.policy.inventory"
local json = require "lest.json"
local list = require "lest.base.list"
local task = require "lest.task"
local template = require "lest.policy.template"
local url = require "lest.url"

local M = {}

-- Answers that one inventory keeps in a worker, and the most bytes of one.
local KEPT_MAX <const>, BODY_MAX <const> = 1000, 65536

-- What a part may be in a URL: dots alone would be another folder.
local PLACE <const> = { what = "a text that a URL takes", encode = url.escape,
  accepts = function(text)
    return inventory.KEY.accepts(text) and not text:find "^%.+$"
  end }

--- The template of a URL, whose parts stand behind the host.
local function parse(text)
  local parsed, problem = template.parse(text, { key = template.TEXT })
  if not parsed then return nil, "policy.http: url: " .. problem end
  local sample, takes_key, has_parts = "", false, false
  for i, piece in ipairs(parsed) do
    local is_part = type(piece) == "table"
    if is_part and not (type(parsed[1]) == "string" and parsed[1]:find "^%a+://[^/?#]+[/?]") then
      return nil, "policy.http: url: a part of the request stands behind the host only"
    end
    has_parts = has_parts or is_part
    takes_key = takes_key or is_part and piece.is_more
    sample = sample .. (is_part and "x" or parsed[i])
  end
  local _, wrong = url.parse(sample)
  if wrong then return nil, "policy.http: url: " .. wrong end
  return parsed, nil, takes_key
end

-- Run in a task that belongs to no decision: what it learns is noted by who asked, with the answers
-- that were kept.
local function apart(fn)
  if not task.inside() then return fn() end
  return task.await(function(callback)
    return core.loop.timer(0, function()
      task.start({ quiet = true }, function()
        local ok, answer, err = pcall(fn)
        if ok then return callback(answer, err) end
        callback(nil, tostring(answer))
      end)
    end)
  end)
end

--- Answers by their URLs, each until its time is over.
local function new_cache(seconds)
  local kept, count = {}, 0
  return {
    get = function(where)
      local found = kept[where]
      return found and core.clock.monotonic_ms() < found.until_ms and found.answer or nil
    end,
    -- From when it was asked for: the answer is no older than that.
    put = function(where, answer, asked_ms)
      if count >= KEPT_MAX then kept, count = {}, 0 end
      if not kept[where] then count = count + 1 end
      kept[where] = { answer = answer, until_ms = asked_ms + seconds * 1000 }
    end,
  }
end

-- What says that there is no row.
local NONE <const> = { [404] = true, [410] = true }

--- What an answer says: facts, nil for none, or nil and what is wrong with it.
local function row_of(answer, question)
  if NONE[answer.status] then return nil end
  if answer.status ~= 200 then return nil, ("it answers %d"):format(answer.status) end
  local body = http_record.response(answer, question).body
  local row, problem = json.decode(body)
  if problem then return nil, "its answer is no JSON: " .. problem end
  -- By the text: the table of an empty list is that of an empty object.
  if not body:find "^%s*{" then return nil, "its answer is no JSON object" end
  return row
end

--- What is taken of a row.
local function chosen(row, facts)
  if not row or not facts then return row end
  local taken = {}
  for _, name in ipairs(facts) do taken[name] = row[name] end
  return taken
end

---@param wanted table the options of policy.http, checked
---@return lest.policy.inventory|nil
---@return string|nil problem
function M.new(wanted)
  local parsed, problem, takes_key = parse(wanted.url)
  if not parsed then return nil, problem end
  local cache = wanted.cache and new_cache(wanted.cache)
  local options = { timeout = wanted.timeout, trust = wanted.trust, cert = wanted.cert,
    key = wanted.key, username = wanted.username, password = wanted.password,
    headers = wanted.headers, max_body = BODY_MAX }

  local function fetch(where)
    local asked_ms = core.clock.monotonic_ms()
    local answer, err = apart(function()
      local response, wrong = http.get(where, options)
      if not response then return nil, wrong end
      return http_record.answer(response)
    end)
    if answer and cache and (answer.status == 200 or NONE[answer.status]) then
      cache.put(where, answer, asked_ms)
    end
    return answer, err
  end

  local name = wanted.url:match "^[^?#]*"
  return inventory.new {
    name = name, place = name, takes_key = takes_key,
    columns = wanted.facts and list.set(wanted.facts),
    ask = function(self, key, request)
      local where, wrong = template.fill(parsed, request or {}, PLACE, { key = key })
      if not where then inventory.refuse(wrong) end
      local question = http_record.question({ url = where }, {})
      local answer, err = inventory.outside(self, "http", question, function()
        local kept = cache and cache.get(where)
        if kept then return kept end
        return fetch(where)
      end, function(told) return select(2, row_of(told, question)) end)
      if not answer then return nil, err or "it does not answer" end
      local row
      row, wrong = row_of(answer, question)
      return chosen(row, wanted.facts), wrong
    end,
  }
end

return M
