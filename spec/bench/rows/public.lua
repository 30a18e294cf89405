--- Row: what anybody may fetch, over plain HTTP and on a fresh connection each, against a bare
--- nginx that serves a file of the same size so.
local core = require "lest.core"
local process = require "support.process"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local THREADS <const> = 16
local PER_ENROLLMENT <const> = 20 -- they are cheap, and the clock ticks are long

local REVOKED <const> = 1000

local function fetch(side, path)
  return process.must { "curl", "-sS", ("http://127.0.0.1:%d%s"):format(side.plain, path) }
end

--- The path of the CRL that certificates name.
local function crl_path(side)
  side.device = side.device or side.server:enroll "bench"
  return process.must { "openssl", "x509", "-noout", "-ext", "crlDistributionPoints", "-in",
    side.device }:match "URI:http://[^/]+(/%S+)"
end

--- Enroll devices, revoke them all, and wait until the CRL has them.
local function revoke(side)
  local path = crl_path(side)
  local before = #fetch(side, path)
  side:load(side.requests, { count = REVOKED, threads = THREADS })
  process.must { side.server.lest, "cert", "revoke", "--name", "device-", "--yes", "--config",
    side.dir .. "/server.lua" }
  process.wait_for(function() return #fetch(side, path) > before + 20 * REVOKED end, "the CRL", 60)
end

--- An OCSP request about a certificate of the server, as RFC 6960 A.1 has it in a path: its answer
--- is kept by the workers.
local function ocsp_path(side)
  local file = side.folder .. "/ocsp.der"
  process.must { "openssl", "ocsp", "-issuer", side.dir .. "/ca.pem", "-cert", side.device,
    "-no_nonce", "-reqout", file }
  local text = core.base64.encode(process.read(file))
  return "/ocsp/" .. text:gsub("[+/=]", function(c) return ("%%%02X"):format(c:byte()) end)
end

local FETCHED <const> = {
  { name = "CA", path = function() return "/ca/ca.cer" end },
  { name = "CRL", path = crl_path },
  { name = "OCSP", path = ocsp_path },
  { name = "CRL of 1000", path = crl_path, prepare = revoke },
}

local function request_file(side, each)
  local file, get = ("%s/get-%s"):format(side.folder, each.name),
    ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(each.path(side))
  process.write(file, ("%d\n%s"):format(#get, get))
  return file
end

--- A server of each build that has what is fetched, at the port `plain`.
local function start(context, scope)
  local sides = {}
  for i, build in ipairs(context.builds) do
    local port = process.free_port()
    sides[i] = scope(sides_module.lest(build, { requests = REVOKED,
      more = ('listen_http = "127.0.0.1:%d", '):format(port) }))
    sides[i].plain = port
  end
  return sides
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local data, lines = {}, {}
  local lests = start(context, scope)
  for _, each in ipairs(FETCHED) do
    local sides = table.move(lests, 1, #lests, 1, {})
    for _, side in ipairs(sides) do
      if each.prepare then each.prepare(side) end
      side.get = request_file(side, each)
    end
    local function load(side, count)
      return side:load(side.get, { count = count, threads = THREADS, plain = side.plain })
    end
    local size = load(sides[1], 1).body_bytes
    local nginx = scope(sides_module.nginx(sides[1], size, false, true))
    nginx.plain, nginx.get = nginx.port, nginx.requests
    table.insert(sides, nginx)
    local results = rounds.run(sides, context.rounds, function(side)
      return load(side, context.enrollments * PER_ENROLLMENT)
    end)
    for i, side in ipairs(sides) do
      local cpu, speed = rounds.ratio(results[i], results[#sides], "cpu_us"),
        rounds.ratio(results[i], results[#sides], "per_s")
      local row = { bytes = size, cpu_us = rounds.of(results[i], "cpu_us"),
        per_s = rounds.of(results[i], "per_s"), cpu = cpu, speed = speed }
      data[each.name] = data[each.name] or {}
      data[each.name][side.name] = row
      lines[#lines + 1] = ("  %-12s %7d B  %-8s %8.0f/s (%4.2f of nginx)  CPU %6.1f us "
        .. "(%4.2f of nginx, %4.2f to %4.2f)"):format(each.name, size, side.name, row.per_s,
        speed.ratio, row.cpu_us, cpu.ratio, cpu.least, cpu.most)
    end
  end
  return data, lines
end
