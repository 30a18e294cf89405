--- Row: recorded requests decided again by the policy that decided them (`lest policy replay`), a
--- pair of processes for each processor: an enrollment by the policy of `lest ca init`, copied in
--- the ledger.
local process = require "support.process"
local sides_module = require "bench.side"

local THREADS <const> = 1

-- The one row, so often more; of its own is its id.
local function fill(ledger, count)
  local owner = process.must { "stat", "-c", "%u:%g", ledger }:gsub("\n", "")
  local columns = process.must { "sqlite3", ledger,
    "SELECT group_concat(name) FROM pragma_table_info('requests') WHERE pk = 0" }:gsub("\n", "")
  local values = (","  .. columns .. ","):gsub(",id,", ",lower(hex(randomblob(10))),"):sub(2, -2)
  process.must({ "sqlite3", ledger }, { stdin = ("INSERT INTO requests (%s) SELECT %s FROM "
    .. "(SELECT * FROM requests LIMIT 1), (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL "
    .. "SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n);\n"):format(columns, values, count) })
  for _, suffix in ipairs { "", "-wal", "-shm" } do
    process.run { "chown", owner, ledger .. suffix }
  end
end

-- Seconds, and those of CPU of all its processes.
local function replay(side, count)
  local _, out, err = process.run { "bash", "-c", 'TIMEFORMAT="%R %U %S"; time "$@"', "bash",
    side.server.lest, "policy", "replay", "--config", side.dir .. "/server.lua" }
  assert(out:find(("%d as before, 0 otherwise"):format(count + 1), 1, true), out .. err)
  local wall, user, system = err:match "([%d.]+) ([%d.]+) ([%d.]+)"
  return tonumber(wall), tonumber(user) + tonumber(system)
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
---@param count integer requests
return function(context, scope, count)
  local data, lines = {}, {}
  for i, build in ipairs(context.builds) do
    local side = scope(sides_module.make(build, { requests = 1 }))
    side:run()
    side:load(side.requests, { count = 1, threads = THREADS })
    side:halt()
    fill(side.server:ledger(), count)
    local wall_s, cpu_s = replay(side, count)
    data[side.name] = { wall_s = wall_s, cpu_s = cpu_s }
    lines[i] = ("  %-10s %6.1f s, %6.1f s of CPU, %4.0f us of CPU a request"):format(side.name,
      wall_s, cpu_s, cpu_s / count * 1e6)
  end
  return data, lines
end
