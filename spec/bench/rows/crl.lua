--- Row: a CRL of many entries: how long the authority is at it, how long it is until a worker gives
--- it out, and what the processes have in memory then. The one before has one entry.
local core = require "lest.core"
local process = require "support.process"
local processes = require "bench.processes"
local revoked = require "support.revoked"
local sides_module = require "bench.side"

-- The first of the many reads all of them; it is made once more for each certificate.
local REVOKED <const>, MADE <const> = 100000, 3

local function fetched(side)
  return #process.must { "curl", "-sS", ("http://127.0.0.1:%d/crl/ca.crl"):format(side.plain) }
end

local function made(side)
  return side.server:logged "CRL made"
end

local function serial_of(file)
  return process.must { "openssl", "x509", "-noout", "-serial", "-in", file }:match "=(%x+)"
end

--- Revoke one more, and wait until the CRL with it is given out.
local function revoke(side, device)
  local before, count = fetched(side), #made(side)
  local start_ms = core.clock.monotonic_ms()
  process.must { side.server.lest, "cert", "revoke", serial_of(device), "--config",
    side.dir .. "/server.lua" }
  process.wait_for(function() return fetched(side) > before end, "the CRL", 120)
  local took_ms = core.clock.monotonic_ms() - start_ms
  local line = process.wait_for(function() return made(side)[count + 1] end, "its line", 60)
  return { us = line.us, entries = line.entries, bytes = line.bytes, given_out_ms = took_ms }
end

local function memory_of(side, role)
  return processes.memory(side.server:pids(role)[1])
end

local function line(name, found, side)
  local authority, worker = memory_of(side, "authority"), memory_of(side, "worker")
  found.authority, found.worker = authority, worker
  return ("  %-10s %8d %10d B %9.1f ms %9d ms %8.1f (%4.1f) MiB %8.1f (%4.1f) MiB"):format(name,
    found.entries, found.bytes, found.us / 1000, found.given_out_ms, authority.rss / 1024,
    authority.peak / 1024, worker.rss / 1024, worker.peak / 1024)
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local data = {}
  local lines = { ("  %-10s %8s %12s %12s %12s %19s %19s"):format("", "entries", "size", "made in",
    "given out in", "authority (peak)", "a worker (peak)") }
  for _, build in ipairs(context.builds) do
    local port = process.free_port()
    local side = scope(sides_module.lest(build, { requests = 1,
      more = ('listen_http = "127.0.0.1:%d", '):format(port) }))
    side.plain = port
    local devices = {}
    for i = 1, MADE + 1 do devices[i] = side.server:enroll("crl" .. i) end
    local one = revoke(side, devices[1])
    lines[#lines + 1] = line(side.name, one, side)
    local before = fetched(side)
    revoked.add(side.server, REVOKED)
    process.wait_for(function() return fetched(side) > before + 20 * REVOKED end, "the CRL", 300)
    data[side.name] = { one = one, many = {} }
    for i = 1, MADE do
      local found = revoke(side, devices[i + 1])
      data[side.name].many[i] = found
      lines[#lines + 1] = line(side.name, found, side)
    end
  end
  return data, lines
end
