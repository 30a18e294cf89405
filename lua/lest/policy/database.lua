--- An inventory in a database of SQLite (core.lookup): opened to read, anew where the file is
--- another one, and asked for a moment only, since a worker answers nobody else meanwhile.
local core = require "lest.core"
local inventory = require "lest.policy.inventory"
local list = require "lest.base.list"
local task = require "lest.task"

local M = {}

-- ASK_MS for one question; BUSY_MS for a writer to give its lock back, looked for each LOOK_S.
local ASK_MS <const>, BUSY_MS <const>, LOOK_S <const> = 100, 1000, 0.02

---@class lest.policy.database
---@field path string
---@field query string
---@field columns? string[] of the query when the policy was loaded
---@field lookup? lest.lookup
---@field version? string of the file that it has open
local Database = { __name = "lest.policy.database" }
Database.__index = Database

local function words(err)
  return err.detail and ("%s (%s)"):format(err.message, err.detail) or err.message
end

function Database:close()
  if self.lookup then self.lookup:close() end
  self.lookup, self.version = nil, nil
end

--- Have the file open that is there now.
---@return boolean|nil ok
---@return lest.error|string|nil err
function Database:open()
  local version, err = core.file.version(self.path)
  if self.lookup and version == self.version then return true end
  self:close()
  if not version then return nil, err end
  self.lookup, err = core.lookup.open(self.path, self.query)
  if not self.lookup then return nil, err end
  local has = list.set(self.lookup:columns())
  for _, name in ipairs(self.columns or {}) do
    if not has[name] then
      self:close()
      return nil, ("the column '%s' is gone"):format(name)
    end
  end
  self.version = version
  return true
end

--- A row as facts: texts and whole numbers.
local function facts_of(row)
  for name, value in pairs(row) do
    if type(value) == "string" and not core.utf8.is_text(value) then
      return nil, ("the column '%s' is no text"):format(name)
    end
  end
  return row
end

local function ask_once(self, key)
  local ok, err = self:open()
  if not ok then return nil, err end
  local row
  row, err = self.lookup:ask(key, ASK_MS)
  if row then return facts_of(row) end
  if err and err.code ~= "ledger_busy" then self:close() end
  return nil, err
end

--- The row of a key. Who writes is waited for, within a task.
function Database:ask(key)
  local until_ms = core.clock.monotonic_ms() + BUSY_MS
  while true do
    local row, err = ask_once(self, key)
    local is_busy = core.error.is(err) and err.code == "ledger_busy"
    if not is_busy or not task.inside() or core.clock.monotonic_ms() >= until_ms then
      return row, core.error.is(err) and words(err) or err
    end
    task.sleep(LOOK_S)
  end
end

--- What a query's columns are called, for rows that are closed.
local function columns_of(database)
  local columns, seen = database.lookup:columns(), {}
  for _, name in ipairs(columns) do
    if not name:find "^[%a_][%w_]*$" or seen[name] then
      return nil, ("'%s' is no name of a column: write SELECT ... AS name, each once"):format(
        name:sub(1, 60))
    end
    seen[name] = true
  end
  return columns
end

---@param path string
---@param query string
---@return lest.policy.inventory|nil
---@return string|nil problem
function M.new(path, query)
  local database = setmetatable({ path = path, query = query }, Database)
  local ok, err = database:open()
  if not ok then return nil, core.error.is(err) and words(err) or err end
  local problem
  database.columns, problem = columns_of(database)
  if not database.columns then return nil, problem end
  local name = path:match "[^/]*$"
  return inventory.new { name = name, place = path, takes_key = true,
    columns = list.set(database.columns),
    ask = function(self, key)
      return inventory.outside(self, "sqlite", ("%s: %s"):format(name, key), function()
        return database:ask(key)
      end)
    end }
end

return M
