--- The monitor: tells this machine what the server counts (/metrics) and how it is (/healthz), over
--- plain HTTP at a loopback address. It has no key, no channel to another process and no policy: it
--- reads the board, which it cannot write, and the certificates that the configuration names.
local board = require "lest.server.monitor.board"
local certificates = require "lest.server.monitor.certificates"
local core = require "lest.core"
local exposition = require "lest.base.exposition"
local health = require "lest.server.monitor.health"
local meters = require "lest.server.wire.meters"
local metrics = require "lest.server.monitor.metrics"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"

local M = {}

-- For a few scrapers that keep their connections. A newer one comes in for the oldest, which it
-- would not if one address had no more than all: here everybody has the same.
local LIMITS <const> = {
  header_ms = 5000, body_ms = 1000, answer_ms = 5000, write_ms = 10000, idle_ms = 90000,
  header_max = 4096, body_max = 0, connections_max = 16, connections_per_address_max = 32,
  requests_max = 16, requests_per_connection_max = 10000,
}

local function answer(exchange, status, content_type, body, header)
  local headers = { { "Content-Type", content_type }, { "Cache-Control", "no-store" }, header }
  exchange:respond { status = status, headers = headers, body = body }
end

local TEXT <const> = "text/plain; charset=utf-8"

local pages <const> = {
  ["/metrics"] = function(context, exchange)
    answer(exchange, 200, exposition.CONTENT_TYPE, metrics.write(context))
  end,
  ["/healthz"] = function(context, exchange)
    answer(exchange, context.health.ready and 200 or 503, "application/json",
      health.write(context.health))
  end,
}

--- Whether a client means this machine. A page in a browser on it may have given its own name a
--- loopback address since (DNS rebinding), and would read what is answered under that name.
local function is_for_this_machine(host)
  local name = host:gsub(":%d*$", ""):lower()
  return name == "" or name == "localhost" or name:find "^[%d.]+$" or name:find "^%["
end

local function on_head(server, exchange)
  if not is_for_this_machine(exchange:header "host" or "") then
    return answer(exchange, 421, TEXT, "this is told under an address or as localhost\n")
  end
  local page = pages[exchange.path]
  if not page then return answer(exchange, 404, TEXT, "there is /metrics and /healthz\n") end
  if exchange.method ~= "GET" and exchange.method ~= "HEAD" then
    return answer(exchange, 405, TEXT, "the method is not allowed here\n", { "Allow", "GET, HEAD" })
  end
  local now = board.read()
  local periods = table.move(server.periods, 1, #server.periods, 1, {})
  table.insert(periods, certificates.renewing(server.config, now))
  page({ board = now, labels = server.labels, cas = server.cas, periods = periods,
    health = health.judge(now, periods, server.cas) }, exchange)
end

--- Serve until SIGTERM, and then no more: nothing that is told here matters to who asked.
local function serve(launch, server)
  local listening, err = core.server.new { fds = launch.listen_fds, tls = false, limits = LIMITS,
    on_head = function(exchange) on_head(server, exchange) end }
  if not listening then
    core.log.write("error", "cannot listen", { "message", tostring(err) })
    return 1
  end
  local is_stopping = false
  local terminate <close> = core.loop.signal(15, function() is_stopping = true end)
  core.process.ready()
  while not is_stopping do core.loop.turn() end
  listening:close()
  return terminate and 0
end

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local periods, err = certificates.read(config)
  local ok = periods ~= nil
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  if not ok then return start_failure.report(launch, err) end
  return serve(launch, { config = config, labels = meters.labels(config).words,
    cas = meters.cas(config).words, periods = periods })
end

return M
