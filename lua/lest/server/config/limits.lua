--- The limits that the server of the core enforces, a row each: how the configuration names them
--- and what a worker tells the core. Defaults and ranges are the core's (csrc/net/limits.h).
local core = require "lest.core"
local duration = require "lest.duration"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

-- unit: ms (the configuration has a duration), bytes, count. is_shared: for the whole server, so
-- that a worker has its share; an address has none, since the kernel spreads its few connections so
-- unevenly that one worker's share would be used up long before the sum.
local ROWS <const> = {
  { key = "handshake", core = "handshake_ms", unit = "ms" },
  { key = "header", core = "header_ms", unit = "ms" },
  { key = "body", core = "body_ms", unit = "ms" },
  { key = "answer", core = "answer_ms", unit = "ms" },
  { key = "write", core = "write_ms", unit = "ms" },
  { key = "idle", core = "idle_ms", unit = "ms" },
  { key = "header_size", core = "header_max", unit = "bytes" },
  { key = "body_size", core = "body_max", unit = "bytes" },
  { key = "connections", core = "connections_max", unit = "count", is_shared = true },
  { key = "connections_per_address", core = "connections_per_address_max", unit = "count" },
  { key = "requests", core = "requests_max", unit = "count", is_shared = true },
  { key = "requests_per_connection", core = "requests_per_connection_max", unit = "count" },
}

-- What is another's at the addresses of plain HTTP, where strangers alone come: whatever they do
-- there takes no place at those of TLS.
local PLAIN_ROWS <const> = {
  { key = "http_connections", core = "connections_max", unit = "count", is_shared = true,
    default = 1024 },
  { key = "http_connections_per_address", core = "connections_per_address_max", unit = "count",
    default = 256 },
  { key = "http_requests", core = "requests_max", unit = "count", is_shared = true, default = 64 },
}

-- A request of OCSP is the largest body there.
local PLAIN_BODY_MAX <const> = 16384

local function field_of(row, bounds)
  if row.unit == "ms" then
    return s.optional(duration.field { min = 1, max = bounds.max // 1000 }, bounds.default // 1000)
  end
  local shape = row.unit == "bytes" and s.size or s.integer
  return s.optional(shape { min = math.max(1, bounds.min), max = bounds.max },
    row.default or bounds.default)
end

--- Add the fields of these limits to those of a record.
---@param fields table<string, lest.schema.shape>
---@return table<string, lest.schema.shape> fields
function M.add_fields(fields)
  local bounds = core.server.limits()
  for _, rows in ipairs { ROWS, PLAIN_ROWS } do
    for _, row in ipairs(rows) do fields[row.key] = field_of(row, bounds[row.core]) end
  end
  return fields
end

--- The share of one worker in a count that is for the whole server.
---@param count integer
---@param workers integer
---@return integer
function M.share(count, workers)
  return (count + workers - 1) // workers
end

local function add(result, rows, limits, workers)
  for _, row in ipairs(rows) do
    local value = limits[row.key]
    if row.unit == "ms" then value = value * 1000 end
    result[row.core] = row.is_shared and M.share(value, workers) or value
  end
  return result
end

--- The limits of one worker as core.server.new takes them.
---@param limits table of the configuration
---@param workers integer
---@return table<string, integer>
function M.of_worker(limits, workers)
  return add({}, ROWS, limits, workers)
end

--- Those of its addresses of plain HTTP.
---@param limits table of the configuration
---@param workers integer
---@return table<string, integer>
function M.of_plain(limits, workers)
  local result = add(M.of_worker(limits, workers), PLAIN_ROWS, limits, workers)
  result.body_max = math.min(result.body_max, PLAIN_BODY_MAX)
  return result
end

return M
