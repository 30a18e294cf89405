--- Inventories: a CSV file, a database of SQLite, a service; and policy.listed, which asks one.
--- What is of one kind alone is loaded by the first inventory of that kind.
local duration = require "lest.duration"
local inventory = require "lest.policy.inventory"
local list = require "lest.base.list"
local schema = require "lest.base.schema"
local template = require "lest.policy.template"

---@class lest.module.policy
local M = {}

local s <const> = schema

--- Check what a function was called with; the first mistake is a sentence.
local function check(name, shape, value, example)
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    return nil, ("policy.%s takes a table, as %s, not %s"):format(name, example, schema.kind(value))
  end
  local result, problems = schema.check(shape, value)
  if result then return result end
  return nil, ("policy.%s: %s: %s"):format(name, problems[1].path, problems[1].problem)
end

local function name_of(path)
  return path:match "[^/]*$"
end

local csv_options <const> = s.record { key = s.string { max = 64 } }

---@class lest.policy.csv_options
---@field key string the column by whose value a row is found

--- An inventory in a file of comma-separated values (RFC 4180, UTF-8, at most 16 MiB and 200000
--- rows), whose first row names the columns. The file is read when the policy is loaded, and anew
--- once it has changed; put a new one in its place by renaming. One that is broken or gone answers
--- nothing, the old one neither: requests get 503 until it is right, and the log says why.
---
---   local devices = policy.csv("devices.csv", { key = "serial" })
---@param file string relative to the file that calls this
---@param options lest.policy.csv_options
---@return lest.policy.inventory
function M.csv(file, options)
  local wanted, problem = check("csv", csv_options, options, '{ key = "serial" }')
  if not wanted then return nil, problem end
  local csv, watched = require "lest.policy.csv", require "lest.policy.watched"
  local columns
  local source = watched.new(file, function(text, pause)
    local rows, wrong = csv.parse(text, wanted.key, pause)
    if not rows then return nil, wrong end
    -- A template or a rule may look at a column that was there when the policy was loaded.
    local set = list.set(rows.columns)
    for _, name in ipairs(columns or {}) do
      if not set[name] then return nil, ("the column '%s' is gone"):format(name) end
    end
    return rows
  end)
  local rows
  rows, problem = source:read()
  if not rows then return nil, ("policy.csv: %s: %s"):format(file, problem) end
  columns = rows.columns
  local name = name_of(file)
  return inventory.new { name = name, place = file, takes_key = true, columns = list.set(columns),
    ask = function(self, key)
      return inventory.outside(self, "csv", ("%s: %s"):format(name, key), function()
        local now, wrong = source:get()
        if not now then return nil, wrong end
        return csv.row(now, key)
      end)
    end }
end

--- An inventory in a database of SQLite: the row that a query gives, which has the parameter `:key`
--- and no other. Two rows are an error. The file is opened to read, anew where it was replaced; a
--- database in WAL mode needs a folder that `user` can write to, or a writer that has it open. One
--- that is away, is locked for more than a second or takes long to answer is an outage.
---
---   local devices = policy.sqlite("devices.db",
---     "SELECT host, site FROM devices WHERE serial = :key")
---@param file string relative to the file that calls this
---@param query string
---@return lest.policy.inventory
function M.sqlite(file, query)
  if type(query) ~= "string" then
    return nil, ("policy.sqlite: the query is a text, not %s"):format(schema.kind(query))
  end
  local made, problem = require "lest.policy.database".new(file, query)
  if not made then return nil, ("policy.sqlite: %s: %s"):format(file, problem) end
  return made
end

---@class lest.policy.http_options
---@field url string with parts of the request, `${principal.name}`, each percent-encoded; `${key}`
--- is the key of policy.listed
---@field cache? string|integer how long an answer is good for; absent: it is asked each time
---@field facts? string[] what is taken of an answer; absent: all
---@field timeout? string|integer default "5s"
---@field trust? string|lest.store as of lest.http
---@field cert? lest.cert as of lest.http
---@field key? lest.key as of lest.http
---@field username? string as of lest.http
---@field password? string as of lest.http; of a secret of policy.options, say
---@field headers? table<string, string> as of lest.http

local any <const> = s.optional(s.custom("a value", function(value) return value end))

local http_options <const> = s.record {
  url = s.string { max = 1000 }, cache = s.optional(duration.field { max = 86400 }),
  facts = s.optional(s.list(s.string { max = 64 }, { min = 1, max = 64 })),
  timeout = s.optional(duration.field { min = 1, max = 60 }, "5s"),
  trust = any, cert = any, key = any, username = s.optional(s.string()),
  password = s.optional(s.string()), headers = any,
}

--- An inventory that a service has: 200 with a JSON object is a row, 404 and 410 are none. All else
--- is an outage, as no answer in time is, and so is an answer that is no object: requests get 503.
--- Where `cache` is stated, each worker keeps an answer so long, and no longer.
---
---   local devices = policy.http { cache = "30s",
---     url = "https://inventory/devices/${key}" }
---@param options lest.policy.http_options
---@return lest.policy.inventory
function M.http(options)
  local wanted, problem = check("http", http_options, options, '{ url = "https://host/${key}" }')
  if not wanted then return nil, problem end
  return require "lest.policy.remote".new(wanted)
end

-- The number that a text of a table is, as both CSV and SQLite write one.
local function number_of(value)
  if type(value) == "number" then return value end
  return type(value) == "string" and value:find "^[+-]?%d[%d.]*[eE]?[+-]?%d*$" and tonumber(value)
    or nil
end

-- Whether a row's value is a stated one. A table may have a number as a text, or the other way
-- round: a list of what is refused must not miss a 1 that is written "1" or 1.0.
local function is_value(stated, value)
  if value == stated then return true end
  if type(stated) ~= "number" and type(value) ~= "number" then return false end
  local number = number_of(stated)
  return number ~= nil and number == number_of(value)
end

-- What no row has cannot be stated: it would never be found, also where that lets somebody in.
local function value_problem(value, columns)
  local kind = type(value)
  if kind == "boolean" and columns then
    return "a table has no true or false: write what it has, as 1 or \"yes\""
  elseif kind ~= "string" and kind ~= "boolean" and (kind ~= "number" or value ~= value) then
    return "a text or a number, or a list of such, not " .. schema.kind(value)
  end
end

--- The values that each of some facts may have.
local function read_facts(facts, columns)
  local wanted = {}
  for name, stated in next, facts or {} do
    if columns and columns[name] == nil then
      return nil, ("there is no '%s'%s"):format(tostring(name), schema.hint(name, columns))
    end
    local values = type(stated) == "table" and stated or { stated }
    if next(values) == nil then
      return nil, ("%s: a value, or a list of values"):format(tostring(name))
    end
    wanted[name] = {}
    for _, value in next, values do
      local problem = value_problem(value, columns)
      if problem then return nil, ("%s: %s"):format(tostring(name), problem) end
      table.insert(wanted[name], value)
    end
  end
  return wanted
end

local function has_any(values, value)
  for _, stated in ipairs(values) do
    if is_value(stated, value) then return true end
  end
  return false
end

--- A test: whether an inventory has a row for a key. Where the inventory cannot be asked, the
--- request gets 503, and where the key cannot be made, since a part is missing, it is refused. So
--- it is in policy.unless and policy.none, too: a list of what is refused is as safe as one of what
--- is allowed. policy.names takes the row's facts, where its `row` is this test.
---
---   local listed = policy.listed(devices, "${principal.name}",
---     { state = { "new", "sold" } })
---   policy.unless(listed, policy.reject "not in the list")
---   policy.names { row = listed, CN = "${row.host}" }
---@param where lest.policy.inventory of policy.csv, policy.sqlite or policy.http
---@param key? string a template, as of policy.names; absent for a URL that has no `${key}`
---@param facts? table<string, any> values that the row must have, or lists of such; 1 is also "1",
--- and 1.0
---@return fun(request: lest.request): boolean test
function M.listed(where, key, facts)
  if not inventory.is(where) then
    return nil, "policy.listed takes an inventory, as policy.csv makes one, not "
      .. schema.kind(where)
  elseif where.takes_key ~= (key ~= nil) then
    return nil, where.takes_key and "policy.listed: state the key, as \"${principal.name}\""
      or "policy.listed: the URL of the inventory has no ${key}"
  elseif key ~= nil and type(key) ~= "string" then
    return nil, ("policy.listed: the key is a text, as \"${principal.name}\", not %s"):format(
      schema.kind(key))
  elseif facts ~= nil and type(facts) ~= "table" then
    return nil, ("policy.listed: the facts are a table, as { state = \"new\" }, not %s"):format(
      schema.kind(facts))
  end
  local parsed, problem
  if key then
    parsed, problem = template.parse(key)
    if not parsed then return nil, "policy.listed: " .. problem end
  end
  local wanted
  wanted, problem = read_facts(facts, where.columns)
  if not wanted then return nil, "policy.listed: " .. problem end
  local function find(request)
    local text, wrong
    if parsed then
      text, wrong = template.fill(parsed, request, inventory.KEY)
      if not text then inventory.refuse(wrong) end
    end
    return inventory.find(where, text, request), text
  end
  local function test(request)
    local row, text = find(request)
    if not row then return false, text end
    for name, values in next, wanted do
      local value = row[name]
      if value == nil or not has_any(values, value) then return false, name end
    end
    return true, text
  end
  inventory.note_finder(test, find, where.columns)
  return test
end

return M
