--- Many credentials at once, from a file: NAME or NAME,PASSWORD a line, as in CSV without quotes.
--- All are made, or none.
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

local FILE_MAX <const> = 16 * 1024 * 1024
local LINES_MAX <const> = 100000
-- Threads for scrypt, each with 16 MiB; as many as most machines have cores.
local THREADS <const> = 4

local function at_line(number, message)
  return fail("usage", ("line %d: %s"):format(number, message))
end

-- A quote would be a part of a password to us, and none to who wrote it.
local function entry_of(line, number)
  if line:find '"' then return at_line(number, "there are no quotes: write NAME,PASSWORD") end
  local name, password = line:match "^([^,]*),(.*)$"
  name = name or line
  if name == "" then return at_line(number, "there is no name") end
  if password == "" then return at_line(number, "there is no password after the comma") end
  return { name = name, password = password, line = number }
end

--- Read the file; "-" is standard input. Empty lines, and such as begin with "#", are nothing.
---@param path string
---@return { name: string, password: string?, line: integer }[]?
---@return lest.error? err usage, with the line
function M.read(path)
  local text, err = core.file.read(path, FILE_MAX)
  if not text then return nil, support.file_error(err) end
  local all, seen, number = {}, {}, 0
  for line in mark.strip(text):gmatch "([^\r\n]*)\r?\n?" do
    number = number + 1
    if line ~= "" and line:sub(1, 1) ~= "#" then
      local entry
      entry, err = entry_of(line, number)
      if not entry then return nil, err end
      if seen[entry.name] then
        return at_line(number, ("the name stands in line %d, too"):format(seen[entry.name]))
      end
      seen[entry.name] = number
      all[#all + 1] = entry
      if #all > LINES_MAX then return at_line(number, "there are too many") end
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
