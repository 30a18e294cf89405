--- What an authority shows of itself: who waits for what, and the state of its ledger.
local core = require "lest.core"
local meters = require "lest.server.wire.meters"

local M = {}

local SHOW_MS <const> = 1000
local names <const>, set <const> = core.meter.names, core.meter.set

local function show(authority)
  local turn, lanes, held = authority.turn, authority.lanes, 0
  for _, count in pairs(authority.channels.held) do held = held + count end
  set(names.held, held)
  set(names.scrypt_running, lanes.running)
  set(names.scrypt_waiting, lanes.waiting)
  set(names.disk_waiting, #turn.waiting + (turn.syncing and #turn.syncing or 0))
  set(names.ledger, meters.ledger.places[turn:state()])
  if authority.backend then set(names.backend, authority.backend.is_up and 1 or 0) end
end

--- How old the keys of tokens are, where there are any.
local function show_keys(authority)
  local places = meters.labels(authority.config).places
  for label, source in pairs(authority.key_sources) do
    local age = source:age()
    if age then set(names.keys_age_s, age, places[label]) end
  end
end

--- How many orders are open at each CA elsewhere.
local function measure_orders(authority)
  local places = meters.cas(authority.config).places
  for name, count in pairs(authority.orders:depths()) do set(names.orders, count, places[name]) end
end

--- How large the ledger has become: look now and then.
---@param authority lest.authority
function M.measure(authority)
  local path = authority.ledger_path or authority.config.ledger
  set(names.ledger_bytes, core.system.stamp(path) or 0, 0)
  set(names.ledger_bytes, core.system.stamp(path .. "-wal") or 0, 1)
  local rows = not authority.turn.hung and authority.ledger:rows("certificate_list", { limit = 1 })
  if rows then set(names.certificates, rows[1] and rows[1].seq or 0) end
  show_keys(authority)
  if authority.orders and not authority.turn.hung then measure_orders(authority) end
  local waiting, age = authority.outbox:depth()
  set(names.outbox, waiting)
  set(names.outbox_age_s, age)
end

--- Show it each second from now on.
---@param authority lest.authority
function M.start(authority)
  show(authority)
  authority.showing = core.loop.timer(SHOW_MS, function() M.start(authority) end)
end

return M
