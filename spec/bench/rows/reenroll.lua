--- Row: re-enrollment with mutual TLS, against a static GET of an nginx that requires the same
--- client certificates.
local process = require "support.process"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"
local tables = require "bench.table"

local THREADS <const> = 64
local RECORDS <const> = 2 -- a request, and the certificate with its key
local ENROLLING <const> = 32

--- Enroll the devices, and keep their renewals in parts, a part a round.
local function prepare(side, counts)
  local renewals = side.folder .. "/renewals"
  process.must { process.lest, "run", "spec/bench/devices.lua", side.server.url,
    side.dir .. "/ca.pem", side.requests .. ".secrets", ENROLLING, renewals }
  side.parts = rounds.split(renewals, counts, RECORDS)
end

--- The same certificates, each with a GET.
local function gets_of(part, file)
  local get = "GET /cert HTTP/1.1\r\nHost: localhost\r\n\r\n"
  local input <close> = assert(io.open(part, "rb"))
  local output <close> = assert(io.open(file, "wb"))
  local identity = false
  for line in input:lines "L" do
    local bytes = input:read(math.tointeger(tonumber(line)))
    if identity then output:write(#get, "\n", get, line, bytes) end
    identity = not identity
  end
  return file
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local each = math.max(1, context.enrollments // 2)
  local counts = rounds.counts(context.rounds, each)
  local sides = {}
  for i, build in ipairs(context.builds) do
    sides[i] = scope(sides_module.lest(build, { requests = context.rounds * each + 1 }))
    prepare(sides[i], counts)
  end
  local first = sides[1]
  local size = first:load(first.parts[1], { count = 1, threads = 1, certs = true }).body_bytes
  local nginx = scope(sides_module.nginx(first, size, true))
  nginx.parts = {}
  for part in ipairs(counts) do
    nginx.parts[part] = gets_of(first.parts[part], ("%s/gets.%d"):format(nginx.folder, part))
  end
  table.insert(sides, nginx)
  return tables.costs(sides, rounds.run(sides, context.rounds, function(side, round)
    return side:load(side.parts[round + 1], { count = each, threads = THREADS, certs = true })
  end))
end
