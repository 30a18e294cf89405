--- Many credentials at once, from a file: a NAME a line, or CSV without quotes whose first row
--- names its columns. All are made, or none.
---
---   local all, err = credential_file.read("devices.csv")
---   --> { { name = "device001", password = "...", line = 1 }, ... }
---   local prepared, err = credential_file.prepare(store, all, progress)
local all_of = require "lest.all"
local core = require "lest.core"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"
local support = require "lest.tool.command.support"
local task = require "lest.task"

local M = {}

-- NIST SP 800-63B: who may guess only slowly does not find eight characters that a person chose;
-- a shorter text is more often another column than a password.
M.PASSWORD_MIN = 8

local FILE_MAX <const> = 16 * 1024 * 1024
local LINES_MAX <const> = 100000
-- Threads for scrypt, each with 16 MiB; as many as most machines have cores.
local THREADS <const> = 4

local function at_line(number, message)
  return fail("usage", ("line %d: %s"):format(number, message))
end

-- The columns that a file may have, and what makes a credential's field of a cell.
local COLUMNS <const> = {
  name = function(cell) return "name", cell end,
  password = function(cell)
    if #cell >= M.PASSWORD_MIN then return "password", cell end
    return nil, ("a password has %d bytes at least"):format(M.PASSWORD_MIN)
  end,
  expires = function(cell)
    local seconds, problem = support.duration(cell)
    return seconds and "expires_s", seconds or "expires: " .. problem
  end,
}

-- Commas of the last column are its own: a password may have them.
local function cells_of(line, count)
  local cells, at = {}, 1
  for i = 1, count - 1 do
    local comma = line:find(",", at, true)
    if not comma then return nil end
    cells[i], at = line:sub(at, comma - 1), comma + 1
  end
  cells[count] = line:sub(at)
  return cells
end

-- What an unknown second column means is not guessed: any text would do as a password.
local function header_of(line, number)
  local header, seen = {}, {}
  for cell in (line .. ","):gmatch "%s*([^,]-)%s*," do
    cell = cell:lower()
    if not COLUMNS[cell] or seen[cell] then
      return at_line(number, "a file with more than one column begins with a row that names them, "
        .. "each once, of: name, password, expires")
    end
    seen[cell] = true
    table.insert(header, cell)
  end
  if not seen.name then return at_line(number, "there is no column 'name'") end
  return header
end

-- A quote would be a part of a password to us, and none to who wrote it.
local function entry_of(header, line, number)
  if line:find '"' then return at_line(number, "there are no quotes in this file") end
  if #header == 1 and line:find(",", 1, true) then
    return at_line(number, "more than one column needs a first row that names them")
  end
  local cells = cells_of(line, #header)
  if not cells then return at_line(number, ("there are not %d columns"):format(#header)) end
  local entry = { line = number }
  for i, name in ipairs(header) do
    if cells[i] == "" then return at_line(number, "there is no " .. name) end
    local field, value = COLUMNS[name](cells[i])
    if not field then return at_line(number, value) end
    entry[field] = value
  end
  return entry
end

local function add_entry(all, seen, header, line, number)
  local entry, err = entry_of(header, line, number)
  if not entry then return err end
  if seen[entry.name] then
    err = select(2, at_line(number, ("the name stands in line %d, too"):format(seen[entry.name])))
  elseif #all == LINES_MAX then
    err = select(2, at_line(number, "there are too many"))
  end
  seen[entry.name] = number
  all[#all + 1] = entry
  return err
end

--- Read the file; "-" is standard input. Empty lines, and such as begin with "#", are nothing.
---@param path string
---@return { name: string, password: string?, expires_s: integer?, line: integer }[]?
---@return lest.error? err usage, with the line
function M.read(path)
  local text, err = support.read(path, FILE_MAX)
  if not text then return nil, support.file_error(err) end
  local all, seen, number, header = {}, {}, 0, nil
  for line in mark.strip(text):gmatch "([^\r\n]*)\r?\n?" do
    number = number + 1
    if line ~= "" and line:sub(1, 1) ~= "#" then
      local is_header = not header and (line == "name" or line:find(",", 1, true))
      if is_header then
        header, err = header_of(line, number)
        if not header then return nil, err end
      else
        header = header or { "name" }
        err = add_entry(all, seen, header, line, number)
        if err then return nil, err end
      end
    end
  end
  if #all == 0 then return fail("usage", path .. ": has no names") end
  return all
end

--- scrypt on a few threads, for tasks.
---@param pool lest.pool
---@return fun(password: string, salt: string, cost: table): string?, lest.error?
function M.scrypt(pool)
  return function(password, salt, cost)
    return task.await(function(callback)
      local queued, err = pool:scrypt(password, salt, callback, cost)
      if not queued then callback(nil, err) end
    end)
  end
end

--- Check and hash them all, some at a time.
---@param all table[] of read(), with what else add() of lest.server.ledger.credentials takes
---@param open fun(scrypt: function): lest.credentials
---@param progress lest.progress
---@return table[]? prepared
---@return lest.error? err the first, with its line
function M.prepare(all, open, progress)
  local pool <close> = assert(core.pool.new { threads = THREADS, queue = 2 * THREADS })
  local store = open(M.scrypt(pool))
  local calls, done = {}, 0
  for i, wanted in ipairs(all) do
    calls[i] = function()
      local prepared, err = store:prepare(wanted)
      done = done + 1
      progress:update(("%d of %d credentials"):format(done, #all))
      if prepared then return prepared end
      err.message = ("line %d: %s"):format(wanted.line, err.message)
      return nil, err
    end
  end
  local result, failures = all_of(calls, { limit = THREADS, collect = true })
  if not failures then return result end
  return nil, failures[1].err
end

return M
