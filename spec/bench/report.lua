--- Prints what bench.lua found, for people or as JSON.
local cjson = require "cjson"

local M = {}

-- The aims of the design, on its machine.
local AIM_PKI <const>, AIM_ENROLL <const> = 1.5, 2.0

local function say(...)
  io.write(string.format(...), "\n")
end

local function kib(memory, kind)
  local value = memory[kind]
  return value and ("%.1f"):format(value / 1024) or "-"
end

local function print_processes(side)
  for _, each in ipairs(side.processes) do
    say("  %-14s %10.0f %12s %12s %12s", each.role, each.cpu_us,
      kib(each.fresh, "rss") .. "/" .. kib(each.fresh, "pss"),
      kib(each.loaded, "rss") .. "/" .. kib(each.loaded, "pss"),
      kib(each.held, "rss") .. "/" .. kib(each.held, "pss"))
  end
end

---@param found table
---@param json boolean
function M.print(found, json)
  if json then return print(cjson.encode(found)) end
  local pki, options = found.pki, found.options
  say "(a) PKI path, P-256: CSR bytes in, PKCS#7 bytes out"
  say("  raw verify + sign %.0f us", pki.raw_us)
  say("  path %.0f us: parse %.0f, verify %.0f, issue %.0f, encode %.0f", pki.path_us, pki.parse_us,
    pki.verify_us, pki.issue_us, pki.encode_us)
  say("  ratio %.2f   (aim: at most %.1f)", pki.ratio, AIM_PKI)
  say ""
  say "(b) CPU of all server processes, whole enrollment against a static GET of a bare nginx,"
  say "    each on a fresh TLS 1.3 connection"
  say("  lest %.0f us, nginx %.0f us", found.lest.cpu_us, found.nginx.cpu_us)
  say("  ratio %.2f   (aim: at most %.1f; %d rounds of %d: %.2f to %.2f)", found.ratio, AIM_ENROLL,
    options.rounds, options.enrollments, found.spread[1], found.spread[2])
  say ""
  say "(c) Enrollments, client on the same machine"
  say("  %.0f a second over %d connections at a time, median latency %.1f ms",
    found.enrollments_per_s, options.connections, found.latency_us / 1000)
  say ""
  say "(c, d) CPU a request in us; RSS/PSS in MiB: fresh, after the load, with 1,000 connections"
  say("  %-14s %10s %12s %12s %12s", "process", "CPU", "fresh", "loaded", "1,000 idle")
  print_processes(found.lest)
  print_processes(found.nginx)
end

return M
