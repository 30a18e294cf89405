-- A server on core.server for specs, run in a process of its own by support.https:
--   lest run spec/support/https_server.lua FOLDER
--     [limit=NUMBER | listen=... | proxy=NETWORK | ciphers=...]...
-- FOLDER holds server.pem and server.key, perhaps clients.pem and clients.crl. It prints its
-- address first, then what happens, a line each. SIGUSR1 makes it say how many connections it has,
-- SIGUSR2 stops it, SIGHUP reads the store again, SIGTTIN pauses and SIGTTOU resumes,
-- SIGTERM ends it.
local core = require "lest.core"
local task = require "lest.task"

local folder = ...
local listen, limits, tls_options = "127.0.0.1:0", {}, {}
local stress, proxy
for i = 2, select("#", ...) do
  local key, value = select(i, ...):match "^([%w_]+)=(.*)$"
  if select(i, ...) == "STRESS" then
    stress = true
  elseif key == "listen" then
    listen = value
  elseif key == "proxy" then
    proxy = value
  elseif core.server.limits()[key] then
    limits[key] = math.tointeger(tonumber(value))
  else
    tls_options[key] = value == "true" or value
  end
end

local function say(...)
  print(...)
  io.flush()
end

local function store()
  local file = io.open(folder .. "/clients.pem")
  if not file then return nil end
  local anchors = assert(core.cert.parse_all(file:read "a"))
  local crl = core.crl.load(folder .. "/clients.crl")
  return assert(core.store.new { anchors = anchors, crls = crl and { crl } })
end

tls_options.cert = assert(core.cert.load(folder .. "/server.pem"))
tls_options.key = assert(core.key.load(folder .. "/server.key"))
tls_options.store = store()
tls_options.expired = math.tointeger(tonumber(tls_options.expired))
tls_options.own = tls_options.own and assert(core.cert.load_all(tls_options.own))
local tls = assert(core.tls.server(tls_options))

local server

local function describe(exchange)
  local lines = {}
  local function add(name, value) lines[#lines + 1] = name .. "=" .. tostring(value) end
  local plain = { "id", "method", "target", "path", "query", "version", "address", "aborted" }
  for _, name in ipairs(plain) do
    add(name, exchange[name])
  end
  add("body", #exchange.body)
  for _, name in ipairs { "version", "cipher", "group", "client_certificate" } do
    add("tls." .. name, exchange.tls[name])
  end
  local chain = exchange.peer_chain
  add("chain", chain and #chain)
  add("subject", chain and core.cert.parse(chain[1]).subject.CN)
  local expired = exchange.peer_expired
  add("expired", expired and core.cert.parse(expired[1]).subject.CN)
  add("refusal", exchange.peer_refusal)
  add("host", exchange:header "HOST")
  add("x", table.concat(exchange:headers "X", "|"))
  return table.concat(lines, "\n") .. "\n"
end

if stress then debug.sethook(function() collectgarbage() end, "l") end

local kept

local heads = {
  ["/late-refuse"] = function(exchange)
    task.spawn(function()
      task.sleep(0.1)
      exchange:respond { status = 403, body = "no\n" }
    end)
  end,
  ["/refuse"] = function(exchange) exchange:respond { status = 401, body = "who?\n" } end,
  ["/raise-head"] = function() error "in the head" end,
}

local requests = {
  ["/describe"] = function(exchange)
    exchange:respond { status = 200, body = describe(exchange) }
  end,
  ["/echo"] = function(exchange) exchange:respond { status = 200, body = exchange.body } end,
  ["/big"] = function(exchange)
    exchange:respond { status = 200, body = ("x"):rep(64 * 1024 * 1024) }
  end,
  ["/sealed"] = function(exchange)
    local sealed <close> = assert(core.sealed.new(("0123456789abcdef"):rep(512 * 1024)))
    exchange:respond { status = 200, body = sealed }
  end,
  ["/empty"] = function(exchange) exchange:respond { status = 204 } end,
  ["/raise"] = function() error "in the request" end,
  ["/never"] = function() end,
  ["/twice"] = function(exchange)
    exchange:respond { status = 200, body = "once\n" }
    say("second", pcall(exchange.respond, exchange, { status = 200 }))
  end,
  ["/split"] = function(exchange)
    local headers = { { "X-Reason", "a\r\nSet-Cookie: b" } }
    say("split", exchange:respond { status = 200, headers = headers })
  end,
  ["/framing"] = function(exchange)
    say("framing", pcall(exchange.respond, exchange,
      { status = 200, headers = { { "content-length", "5" } } }))
    exchange:respond { status = 200 }
  end,
  ["/keep"] = function(exchange)
    kept = exchange
    exchange:respond { status = 204 }
  end,
  ["/kept"] = function(exchange)
    exchange:respond { status = 200, body = describe(kept) }
    kept:close()
    say("kept", pcall(function() return kept.method end))
  end,
  ["/close"] = function() server:close() end,
  ["/slow"] = function(exchange)
    task.sleep(tonumber(exchange.query or "0.3"))
    say("answered", exchange:respond { status = 200, body = "slow\n" })
  end,
}

server = assert(core.server.new {
  listen = listen,
  tls = tls,
  limits = limits,
  balancers = proxy and require("lest.server.config.listen").balancers {
    { proxy = { proxy } } },
  on_head = function(exchange)
    say("head", exchange.method, exchange.target)
    exchange:on_abort(function(why) say("abort", exchange.target, why, exchange.aborted) end)
    local head = heads[exchange.path]
    if head then head(exchange) end
  end,
  on_request = function(exchange)
    say("request", exchange.method, exchange.target, #exchange.body)
    local request = requests[exchange.path]
    if exchange.path == "/raise" then
      request()
    elseif request then
      task.spawn(request, exchange)
    else
      exchange:respond { status = 404, body = "not here\n" }
    end
  end,
  on_handshake_error = function(err, address) say("handshake", address, err.message) end,
})

local signals = {
  core.loop.signal(10, function() say("count", server.connections, server.requests) end),
  core.loop.signal(12, function() server:stop() end),
  core.loop.signal(21, function() server:pause() end),
  core.loop.signal(22, function() server:resume() end),
  core.loop.signal(1, function()
    assert(tls:set_store(store()))
    say "reloaded"
  end),
}
local ended
signals[#signals + 1] = core.loop.signal(15, function() ended = true end)
say(server.address) -- last: who reads it may send a signal
while not ended and core.loop.turn() do end -- luacheck: ignore 542
server:close()
