-- Failed logins are limited for each name, network and address, and a limit keeps no device with a
-- random secret out.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local processes = require "bench.processes"
local raw_client = require "support.raw_client"
local support = require "support.server"
local all = require "lest.all"

local ATTEMPTS <const> = 7

describe("failed logins", function()
  local server

  local function start(limits)
    server = support.start { config = function(text)
      return (text:gsub("labels = {", "limits = { " .. limits .. " },\n  labels = {", 1))
    end }
  end
  after_each(function() server:stop() end)

  --- A name with a chosen password, reusable.
  local function person(name, password)
    process.write(server.folder .. "/password", password .. "\n")
    server:credential(name, { "--reusable", "--password-file", server.folder .. "/password" })
    local device = fleet.device(name)
    device.secret = password
    return device
  end

  local function try(device, password, username)
    return assert(fleet.post(server, device, { password = password, username = username }))
  end

  --- How many answers there were of each status, of `count` attempts at once.
  local function storm(device, count, password_of, username_of)
    local tally = {}
    local numbers = {}
    for i = 1, count do numbers[i] = i end
    local answers = all(numbers, { limit = count, each = function(i)
      return try(device, password_of(i), username_of and username_of(i))
    end })
    for _, answer in ipairs(answers) do
      tally[answer.status] = (tally[answer.status] or 0) + 1
      if answer.status == 429 or answer.status == 503 then
        assert.matches("^%d+$", answer:header "retry-after")
      end
    end
    return tally
  end

  it("are limited for a name, whatever the password is then", function()
    start "failures_per_minute = 4"
    local device = person("ann", "a chosen password")
    local other = person("ben", "another password")
    for i = 1, 4 do assert.equal(401, try(device, "wrong" .. i).status) end
    local limited = try(device, "wrong")
    assert.equal(429, limited.status)
    local wait = tonumber(limited:header "retry-after")
    assert.is_true(wait >= 1 and wait <= 60)
    assert.equal(429, try(device, device.secret).status)
    -- A name that does not exist is limited just so.
    for i = 1, 4 do assert.equal(401, try(device, "wrong" .. i, "nobody").status) end
    assert.equal(429, try(device, "wrong", "nobody").status)
    assert.equal(200, try(other, other.secret).status)
  end)

  it("are limited for a name from each network, and in all at ten times as many", function()
    start "failures_per_minute = 2"
    local device = person("ann", "a chosen password")
    process.write(server.folder .. "/csr", device.body)
    local function from(host, password)
      return (server:post("/simpleenroll", server.folder .. "/csr", "--user", "ann:" .. password,
        "--interface", "127.0.0." .. host))
    end
    for _ = 1, 2 do assert.equal(401, from(1, "wrong")) end
    assert.equal(429, from(1, device.secret))
    -- Who guesses keeps nobody out elsewhere,
    assert.equal(200, from(2, device.secret))
    -- but from many networks is not to guess without end.
    for host = 3, 11 do
      for _ = 1, 2 do assert.equal(401, from(host, "wrong")) end
    end
    assert.equal(429, from(12, "wrong"))
    assert.equal(429, from(2, device.secret))
  end)

  it("keep no device out that has a random secret", function()
    start "failures_per_minute = 2, address_failures_per_minute = 4"
    local device = fleet.device "known"
    device.secret = server:credential "known"
    for i = 1, 2 do assert.equal(401, try(device, "wrong" .. i).status) end
    for i = 1, 2 do assert.equal(401, try(device, "wrong" .. i, "other").status) end
    assert.equal(429, try(device, "wrong").status)
    assert.equal(429, try(device, "wrong", "third").status)
    assert.equal(200, try(device, device.secret).status)
  end)

  it("are limited for an address", function()
    start "address_failures_per_minute = 5"
    local device = person("ann", "a chosen password")
    for i = 1, 5 do assert.equal(401, try(device, "wrong", "guess" .. i).status) end
    assert.equal(429, try(device, "wrong", "guess6").status)
    assert.equal(429, try(device, device.secret).status)
  end)

  it("are limited before scrypt: many at once get no further", function()
    start "failures_per_minute = 4"
    local device = person("ann", "a chosen password")
    local tally = storm(device, 30, function(i) return "wrong" .. i end)
    assert.same({ [401] = 4, [429] = 26 }, tally)
    tally = storm(device, 30, function(i) return "wrong" .. i end, function() return "nobody" end)
    assert.same({ [401] = 4, [429] = 26 }, tally)
  end)

  it("are none where many share a password and ask at once", function()
    start "failures_per_minute = 4, scrypt_threads = 1, scrypt_queue = 2"
    local device = person("ann", "a chosen password")
    assert.same({ [200] = 30 }, storm(device, 30, function() return device.secret end))
    assert.equal(401, try(device, "wrong").status)
  end)

  it("wait for no place in the pool: a full one is 503", function()
    start "failures_per_minute = 100, scrypt_threads = 1, scrypt_queue = 2"
    local device = person("ann", "a chosen password")
    local tally = storm(device, 30, function(i) return "wrong" .. i end)
    assert.equal(30, (tally[401] or 0) + (tally[503] or 0))
    assert.is_true(tally[401] >= 2 and tally[503] >= 1)
    -- Who was turned away was not counted, and the next one finds room.
    assert.equal(200, try(device, device.secret).status)
  end)

  it("of many neighbours keep out no device elsewhere", function()
    start "failures_per_minute = 100, scrypt_threads = 1, scrypt_queue = 8"
    local device = person("ann", "a chosen password")
    local csr = process.read(server:csr "ann")
    local client <close> = raw_client.new()
    for i = 1, 40 do
      local c = assert(client:connect { port = server.port, from = "127.9.8." .. i })
      local user = core.base64.encode(("nobody%d:wrong%d"):format(i, i))
      c:send(raw_client.http("POST", "/simpleenroll", { "Authorization: Basic " .. user,
        "Content-Type: application/pkcs10" }, csr))
    end
    assert.equal(200, try(device, device.secret).status)
  end)

  -- How many hashes, a spec of lest.server.ledger.credentials counts; that they are computed here,
  -- the CPU says, which no load of the machine makes less.
  it("cost a hash also for a name that does not exist", function()
    start "failures_per_minute = 100, address_failures_per_minute = 1000"
    local device = person("ann", "a chosen password")
    local authority = server:pids("authority")[1]
    local function cost(username)
      local before = processes.cpu_s(authority)
      for i = 1, ATTEMPTS do
        assert.equal(401, try(device, "wrong" .. i, username).status)
      end
      return (processes.cpu_s(authority) - before) / ATTEMPTS
    end
    -- A look into a table is a hundredth of this.
    for _, username in ipairs { "ann", "nobody" } do assert.is_true(cost(username) > 0.01) end
  end)
end)
