-- Handshakes without certificates where something is wrong: a worker that was taken over, strangers
-- who try names, an authority that is away.
local core = require "lest.core"
local fleet = require "support.fleet"
local lest_client = require "lest.client"
local process = require "support.process"
local rogue_module = require "support.rogue"
local support = require "support.server"

local function configuration(limits)
  return function(text)
    return (text:gsub('listen = { "%[::%]:8443" }',
      'listen = { { address = "[::]:8444", psk = true } }', 1)
      :gsub('auth = { "certificate", "basic" }', 'auth = { "psk", "basic" }', 1)
      :gsub("profiles = {", limits .. "\n  profiles = {", 1))
  end
end

local function client(server, name, key)
  return lest_client { url = "127.0.0.2:" .. server.ports[#server.ports], psk_identity = name,
    psk = key, timeout = "20s", notify = function() end }
end

local function made(server, name)
  return server:credential(name, { "--kind", "psk", "--reusable" })
end

describe("a worker that was taken over, where clients have keys,", function()
  local server, rogue, link
  local serial = 0

  setup(function()
    server = rogue_module.server { listen = { "127.0.0.2:0,psk" },
      config = configuration "workers = 3, limits = { identities_per_minute = 20 }," }
  end)
  before_each(function()
    rogue = rogue_module.start(server, 2)
    link = rogue:connect()
  end)
  after_each(function() rogue:close() end)
  teardown(function() server:stop() end)

  local function seek(on, name, changes)
    serial = serial + 1
    local message = { type = "seek", number = serial, kind = "psk", name = name,
      address = "192.0.2." .. serial % 250 }
    for field, value in pairs(changes or {}) do message[field] = value end
    local found = assert(on:ask(message))
    assert.equal(serial, found.number)
    return found
  end

  local function begin(on, name, grant, player)
    serial = serial + 1
    local id = ("rogue-%x-%x"):format((player or rogue).pid, serial)
    local message = rogue_module.begin(id, fleet.device(name))
    message.psk = grant
    return assert(on:ask(message))
  end

  it("is given what it asks for, and enrolls with no grant but its own", function()
    local key = made(server, "alice")
    local found = seek(link, "alice")
    assert.equal(key, (found.key:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
    local answer = begin(link, "alice", found.grant)
    assert.is_string(answer.handle, answer.reason)
    local nobody = seek(link, "nobody")
    assert.equal(32, #nobody.key)
    assert.equal(#found.grant + 1, #nobody.grant)
    assert.equal(401, begin(link, "nobody", nobody.grant).status)
    for i = 1, #found.grant do
      local other = found.grant:sub(1, i - 1) .. string.char(found.grant:byte(i) ~ 1)
        .. found.grant:sub(i + 1)
      assert.equal(503, begin(link, "alice", other).status)
    end
    for _, other in ipairs { "x", found.grant:sub(1, -2), found.grant .. "x",
      found.grant:sub(1, 32) .. nobody.grant:sub(33) } do
      assert.equal(503, begin(link, "alice", other).status)
    end
    local another <close> = rogue_module.start(server, 3)
    assert.equal(503, begin(another:connect(), "alice", found.grant, another).status)
  end)

  it("is given so many in a minute, and the others go on", function()
    local last
    for i = 1, 25 do last = seek(link, "guess" .. i) end
    assert.equal("too many identities are asked for in a minute", last.problem)
    assert.is_nil(last.key)
    local key = made(server, "honest")
    local good = false
    for _ = 1, 20 do -- the others of the server are such workers, too
      local c <close> = client(server, "honest", key)
      good = good or c:cacerts() ~= nil
    end
    assert.is_true(good)
  end)
end)

describe("an authority that is asked for many identities", function()
  local server, rogue, link
  local serial = 0

  setup(function()
    server = rogue_module.server { listen = { "127.0.0.2:0,psk" }, config = configuration
      "workers = 2, limits = { identities_per_minute = 20, address_failures_per_minute = 6 }," }
    rogue = rogue_module.start(server, 2)
    link = rogue:connect()
  end)
  teardown(function()
    rogue:close()
    server:stop()
  end)

  local function seek(name, address)
    serial = serial + 1
    return assert(link:ask { type = "seek", number = serial, kind = "psk", name = name,
      address = address })
  end

  it("takes each handshake that succeeded for none of a guess, though others of its name were "
    .. "under way", function()
    made(server, "twice")
    for _ = 1, 4 do
      local one, other = seek("twice", "192.0.2.1"), seek("twice", "192.0.2.1")
      assert.is_string(one.grant, one.problem)
      assert.is_string(other.grant, other.problem)
      assert.not_equal(one.grant, other.grant)
      link:send { type = "proven", grant = one.grant }
      link:send { type = "proven", grant = other.grant }
    end
  end)

  it("lets a network that failed too often take nothing of what others ask for", function()
    local last
    for i = 1, 30 do last = seek("guess" .. i, "192.0.2.2") end
    assert.equal("too many failed attempts", last.problem)
    assert.is_string(seek("twice", "192.0.2.3").grant)
  end)
end)

describe("a worker that was taken over, where clients have passwords,", function()
  it("7030-3.3.3-c gets what verifies one password, and nothing of another kind", function()
    local server <close> = rogue_module.server { listen = { "127.0.0.2:0,srp" },
      config = function(text)
        return (configuration "workers = 3,"(text):gsub('"psk"', '"srp"', 1):gsub("psk = true",
          "srp = true", 1))
      end }
    server:credential("alice", { "--kind", "psk", "--reusable" })
    local password = server:credential("alice", { "--kind", "srp", "--reusable" })
    local rogue <close> = rogue_module.start(server, 2)
    local link = rogue:connect()
    local function seek(kind, name)
      return assert(link:ask { type = "seek", number = 1, kind = kind, name = name,
        address = "192.0.2.1" })
    end
    local alice, nobody = seek("srp", "alice"), seek("srp", "nobody")
    assert.is_nil(alice.key)
    assert.equal(alice.srp.verifier, core.secret.srp_verifier { name = "alice",
      password = password, salt = alice.srp.salt, group = alice.srp.group })
    for _, field in ipairs { "salt", "verifier" } do
      assert.equal(#alice.srp[field], #nobody.srp[field])
    end
    assert.equal(alice.srp.group, nobody.srp.group)
    assert.same(nobody.srp, seek("srp", "nobody").srp)
    local refused = seek("psk", "alice")
    assert.equal("no address of `listen` takes such an identity", refused.problem)
    assert.is_nil(refused.key)
  end)
end)

describe("guesses at a password in handshakes", function()
  it("are limited for the name, from however many networks, whether anybody has it", function()
    local server <close> = rogue_module.server { listen = { "127.0.0.2:0,srp" },
      config = function(text)
        return (configuration "workers = 2, limits = { failures_per_minute = 2 }," (text)
          :gsub("psk = true", "srp = true", 1):gsub('"psk", "basic"', '"srp", "basic"', 1))
      end }
    local rogue <close> = rogue_module.start(server, 2)
    local link = rogue:connect()
    server:credential("known", { "--kind", "srp", "--reusable" })
    local number = 0
    for _, name in ipairs { "known", "unknown" } do
      local given, last = 0, nil
      for i = 1, 25 do
        number = number + 1
        last = assert(link:ask { type = "seek", number = number, kind = "srp", name = name,
          address = "192.0.2." .. i })
        given = given + (last.grant and 1 or 0)
      end
      assert.equal("too many failed attempts", last.problem)
      assert.equal(20, given)
    end
  end)
end)

describe("strangers who try names", function()
  it("are refused for their network past the limit, and cost nobody else", function()
    local server <close> = support.start { listen = { "127.0.0.2:0,psk" },
      config = configuration "limits = { address_failures_per_minute = 8 }," }
    local key = made(server, "device")
    -- What succeeds is no failure, however often.
    for _ = 1, 12 do
      local c <close> = client(server, "device", key)
      assert(c:cacerts())
    end
    local wrong = ("0123456789abcdef"):rep(4)
    for i = 1, 10 do
      local c <close> = client(server, "name" .. i, wrong)
      local found, err = c:cacerts()
      assert.is_nil(found)
      assert.equal("unauthenticated", err.code)
    end
    local c <close> = client(server, "device", key)
    assert.is_nil((c:cacerts()))
    local refused = server:logged "identity refused"
    assert.equal("too many failed attempts", refused[#refused].reason)
    assert.equal(8, #server:logged "identity unknown")
  end)
end)

describe("while there is no authority", function()
  it("handshakes with keys fail at once, and succeed when it is back", function()
    local server <close> = support.start { listen = { "127.0.0.2:0,psk" },
      config = configuration "" }
    local key = made(server, "device")
    process.must { "chmod", "000", server:ledger() }
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function() return server:logged("child ended")[1] end, "its end")
    local started = core.clock.monotonic_ms()
    local away <close> = client(server, "device", key)
    local found = away:cacerts()
    assert.is_nil(found)
    assert.is_true(core.clock.monotonic_ms() - started < 5000)
    local refused = server:logged "identity refused"
    assert.equal("the authority is not available", refused[#refused].reason)
    process.must { "chmod", "600", server:ledger() }
    process.wait_for(function()
      local c <close> = client(server, "device", key)
      return c:cacerts()
    end, "recovery", 60)
  end)

  it("a connection from before it is told to connect again", function()
    local server <close> = support.start { listen = { "127.0.0.2:0,psk" },
      config = configuration "" }
    local key = made(server, "device")
    local c <close> = client(server, "device", key)
    local connection <close> = assert(c:connect())
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function() return server:logged("child started")[5] end, "the next one", 20)
    local function post()
      assert(connection:send { operation = "simpleenroll", body = assert(core.csr.build {
        key = assert(core.key.generate "ec:P-256"), subject = "CN=device" }) })
      return assert(connection:receive())
    end
    local response
    process.wait_for(function()
      response = post()
      return response.body ~= "the authority is not available\n"
    end, "an answer", 20)
    assert.equal(503, response.status)
    assert.equal("the connection is too old: connect again\n", response.body)
    assert(c:enroll { key = assert(core.key.generate "ec:P-256"), subject = "CN=device" })
  end)
end)
