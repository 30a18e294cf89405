-- Handshakes of the server that stand still until somebody has the secret of whom a client names:
-- client and server in one loop.
local core = require "lest.core"

local KEY <const> = ("0123456789abcdef"):rep(2)

describe("a handshake that waits for a key", function()
  local server, asked, failures

  --- Turn the loop until something is so.
  local function turn_until(holds, milliseconds)
    local late = false
    local timer <close> = core.loop.timer(milliseconds or 10000, function() late = true end)
    while not (late or holds()) do core.loop.turn() end
    assert(not late and timer, "it does not come")
  end

  local function pause(milliseconds)
    local over = false
    local timer <close> = core.loop.timer(milliseconds, function() over = true end)
    while not over do core.loop.turn() end
    return timer
  end

  local function start(limits, on_identity, tls)
    asked, failures = {}, {}
    server = assert(core.server.new {
      listen = "127.0.0.1:0", limits = limits or {},
      tls = assert(core.tls.server(tls or { psk = true })),
      on_identity = on_identity or function(identity) table.insert(asked, identity) end,
      on_handshake_error = function(err) table.insert(failures, err) end,
      on_request = function(exchange)
        exchange:respond { status = 200, body = exchange.peer_identity.name .. " "
          .. exchange.peer_identity.grant }
      end,
    })
  end

  --- Begin a request; what comes of it is in the result then.
  local function get(name, key, timeout_ms)
    local result = {}
    result.client = assert(core.http_client.new { psk_identity = name or "device",
      psk = key or KEY })
    result.request = assert(result.client:request { url = "https://" .. server.address .. "/",
      timeout_ms = timeout_ms or 20000,
      callback = function(answer, err)
        result.answer, result.err, result.over = answer, err, true
      end })
    return result
  end

  local function good(identity)
    return identity:answer { key = KEY, grant = "G" }
  end

  after_each(function()
    server:close()
    collectgarbage()
  end)

  it("goes on with the answer, and the others meanwhile", function()
    start()
    local slow = get "slow"
    turn_until(function() return asked[1] end)
    assert.same({ "psk", "slow", "127.0.0.1" },
      { asked[1].kind, asked[1].name, asked[1].address })
    local other = get "other"
    turn_until(function() return asked[2] end)
    assert.is_true(good(asked[2]))
    turn_until(function() return other.over end)
    assert.equal("other G", other.answer.body)
    assert.is_nil(slow.over)
    assert.is_true(good(asked[1]))
    assert.is_false(good(asked[1]))
    turn_until(function() return slow.over end)
    assert.equal("slow G", slow.answer.body)
  end)

  it("may be answered at once", function()
    start(nil, good)
    local result = get()
    turn_until(function() return result.over end)
    assert.equal("device G", result.answer.body)
  end)

  it("fails where it is refused, where nobody answers, and by a mistake of the script", function()
    for _, how in ipairs { function(identity) identity:refuse() end, function() end,
      function() error "on purpose" end } do
      start({ handshake_ms = 300 }, how)
      local result = get()
      turn_until(function() return result.over and server.connections == 0 end)
      assert.is_nil(result.answer)
      assert.equal(1, #failures)
      server:close()
    end
    start(nil, function() end)
    server:close()
    server = assert(core.server.new { listen = "127.0.0.1:0",
      tls = assert(core.tls.server { psk = true }) })
    local result = get()
    turn_until(function() return result.over end)
    assert.is_nil(result.answer)
  end)

  it("ends with its time, its client or its server, and the answer is too late", function()
    start { handshake_ms = 300 }
    local late = get()
    turn_until(function() return late.over and server.connections == 0 end)
    assert.is_false(good(asked[1]))
    assert.matches("took too long", failures[1].message)
    server:close()

    start()
    local left = get()
    turn_until(function() return asked[1] end)
    left.request:close()
    left.client:close()
    pause(50)
    good(asked[1])
    turn_until(function() return server.connections == 0 end)
    server:close()

    start()
    local cut = get()
    turn_until(function() return asked[1] end)
    server:close()
    assert.is_false(good(asked[1]))
    turn_until(function() return cut.over end)
    assert.is_nil(cut.answer)
  end)

  it("ends where it was answered in the turn in which its server ends", function()
    start()
    local result = get()
    turn_until(function() return asked[1] end)
    assert.is_true(good(asked[1]))
    server:close()
    turn_until(function() return result.over end)
    assert.is_nil(result.answer)
  end)

  it("makes room for a newer connection", function()
    start { connections_max = 1 }
    local first = get "first"
    turn_until(function() return asked[1] end)
    local second = get "second"
    turn_until(function() return asked[2] end)
    assert.is_false(good(asked[1]))
    assert.is_true(good(asked[2]))
    turn_until(function() return first.over and second.over end)
    assert.is_nil(first.answer)
    assert.equal("second G", second.answer.body)
  end)

  it("is one of 256 at most; more fail at once", function()
    start { handshake_ms = 60000 }
    local all = {}
    for i = 1, 260 do all[i] = get("d" .. i, KEY, 60000) end
    local function over()
      local count = 0
      for _, each in ipairs(all) do count = count + (each.over and 1 or 0) end
      return count
    end
    turn_until(function() return #asked == 256 and over() == 4 end, 60000)
    assert.equal(4, #failures)
    for _, identity in ipairs(asked) do assert.is_true(good(identity)) end
    turn_until(function() return over() == 260 end, 60000)
    local answered = 0
    for _, each in ipairs(all) do answered = answered + (each.answer and 1 or 0) end
    assert.equal(256, answered)
    local again = get()
    turn_until(function() return asked[257] end)
    good(asked[257])
    turn_until(function() return again.over end)
    assert.equal(200, again.answer.status)
  end)

  local function ask_password(password)
    local result = {}
    result.client = assert(core.http_client.new { srp_user = "device", srp_password = password })
    result.request = assert(result.client:request { url = "https://" .. server.address .. "/",
      timeout_ms = 20000,
      callback = function(answer, err)
        result.answer, result.err, result.over = answer, err, true
      end })
    return result
  end

  it("goes on with a password's verifier, and forgets it however that ends", function()
    start({}, nil, { srp = true })
    local good_one = { salt = "salt", group = 2048, grant = "G", verifier = assert(
      core.secret.srp_verifier { name = "device", password = "secret", salt = "salt",
        group = 2048 }) }
    for password, expected in pairs { secret = "device G", wrong = false } do
      local count = #asked
      local result = ask_password(password)
      turn_until(function() return asked[count + 1] end)
      assert.equal("srp", asked[count + 1].kind)
      for name, value in pairs { verifier = good_one.verifier .. "x", salt = "", group = 3072 } do
        local bad = {}
        for key, each in pairs(good_one) do bad[key] = each end
        bad[name] = value
        assert.has_error(function() asked[count + 1]:answer(bad) end)
      end
      assert.has_error(function() asked[count + 1]:answer { key = KEY, grant = "G" } end)
      assert.is_true(asked[count + 1]:answer(good_one))
      turn_until(function() return result.over end)
      assert.equal(expected, result.answer and result.answer.body or false)
      result.client:close()
    end
    local refused = ask_password "secret"
    turn_until(function() return asked[3] end)
    assert.is_true(asked[3]:refuse())
    turn_until(function() return refused.over end)
    assert.equal("unauthenticated", refused.err.code)
    refused.client:close()
    local left = ask_password "secret"
    turn_until(function() return asked[4] end)
    left.request:close()
    left.client:close()
    pause(50)
    asked[4]:answer(good_one)
    turn_until(function() return server.connections == 0 end)
  end)

  it("raises where an answer cannot be one", function()
    start()
    local result = get()
    turn_until(function() return asked[1] end)
    for _, key in ipairs { "", KEY:sub(1, 15), KEY:rep(3) } do
      assert.has_error(function() asked[1]:answer { key = key, grant = "G" } end)
    end
    assert.has_error(function() asked[1]:answer { key = KEY, grant = ("g"):rep(513) } end)
    assert.has_error(function() asked[1]:answer { key = KEY } end)
    assert.is_true(asked[1]:answer { key = KEY:sub(1, 16), grant = "" })
    turn_until(function() return result.over end)
    assert.equal("unauthenticated", result.err.code)
  end)
end)
