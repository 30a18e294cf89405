--- Fills a ledger of a stopped server with copies of its one enrollment, whose keys are random, so
--- that they lie all over the indexes as real ones do.
local process = require "support.process"

local M = {}

local TABLES <const> = { "credentials", "requests", "certificates" }
-- What differs between two enrollments; times and texts do not matter.
local RANDOM <const> = { id = true, name = true, salt = true, hash = true, key_hash = true,
  principal_name = true, credential_id = true, csr = true, serial = true, der = true,
  fingerprint = true, subject = true, request_id = true }

local function lines_of(ledger, sql)
  local lines = {}
  for line in process.must({ "sqlite3", ledger, sql }):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

--- A random value as long as the pattern's, of its type.
local function expression(column)
  if not RANDOM[column] then return column end
  return ("CASE typeof(%s) WHEN 'blob' THEN randomblob(length(%s)) WHEN 'text' THEN "
    .. "lower(hex(randomblob(length(%s) / 2))) ELSE %s END"):format(column, column, column, column)
end

local function insert(ledger, name, count)
  local columns, values = {}, {}
  for _, column in ipairs(lines_of(ledger, ("SELECT name FROM pragma_table_info('%s') "
    .. "WHERE pk = 0"):format(name))) do
    table.insert(columns, column)
    table.insert(values, expression(column))
  end
  return ("INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s %s LIMIT 1), "
    .. "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
    .. "SELECT i FROM n);\n"):format(name, table.concat(columns, ", "), table.concat(values, ", "),
    name, name == "credentials" and "WHERE state = 'used'" or "", count)
end

--- Add `count` enrollments: used credential, request and certificate.
---@param ledger string
---@param count integer
function M.fill(ledger, count)
  local owner = process.must { "stat", "-c", "%u:%g", ledger }:gsub("\n", "")
  local script = { "PRAGMA journal_mode = DELETE;\nPRAGMA synchronous = OFF;\n"
    .. "PRAGMA foreign_keys = OFF;\nPRAGMA cache_size = -1000000;\nBEGIN;\n" }
  -- Indexes are quicker made at once than a row at a time.
  local indexes = lines_of(ledger, "SELECT replace(sql, char(10), ' ') FROM sqlite_master "
    .. "WHERE type = 'index' AND sql IS NOT NULL")
  for _, name in ipairs(lines_of(ledger, "SELECT name FROM sqlite_master WHERE type = 'index' "
    .. "AND sql IS NOT NULL")) do
    table.insert(script, ("DROP INDEX %s;\n"):format(name))
  end
  for _, name in ipairs(TABLES) do table.insert(script, insert(ledger, name, count)) end
  table.insert(script, table.concat(indexes, ";\n") .. ";\nCOMMIT;\nPRAGMA journal_mode = WAL;\n")
  process.must({ "sqlite3", ledger }, { stdin = table.concat(script) })
  local held = lines_of(ledger, "SELECT count(*) FROM certificates")[1]
  assert(tonumber(held) > count, "the ledger was not filled")
  for _, suffix in ipairs { "-wal", "-shm" } do os.remove(ledger .. suffix) end
  process.must { "chown", owner, ledger }
end

return M
