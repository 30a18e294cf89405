-- A worker that was taken over asks the authority about requests: it learns nothing but of those
-- whose handles it has, a few times, and fills no memory.
local core = require "lest.core"
local fleet = require "support.fleet"
local p = require "support.packet"
local rogue_module = require "support.rogue"

describe("a rogue's questions", function()
  local server, rogue, authority
  local serial = 0

  setup(function()
    server = rogue_module.server { config = function(text)
      return (text:gsub("profiles = {", rogue_module.ROOMY .. " profiles = {", 1))
    end }
    authority = server:pids("authority")[1]
  end)
  before_each(function() rogue = rogue_module.start(server, 2) end)
  after_each(function()
    rogue:close()
    assert.same({ authority }, server:pids "authority")
  end)
  teardown(function() server:stop() end)

  local devices = {}
  local function device_of(name)
    local device = fleet.device(name)
    device.secret = devices[name] or fleet.secrets(server, { name })[name]
    devices[name] = device.secret
    return device
  end

  --- A handle for a request of the device.
  local function handle_of(link, name, player)
    local device = device_of(name)
    serial = serial + 1
    local id = ("rogue-%x-%x"):format((player or rogue).pid, serial)
    local answer = link:ask(rogue_module.begin(id, device))
    assert.is_string(answer.handle)
    return answer.handle, id
  end

  local function ask(handle, id, changes)
    local made = { type = "ask", id = id, handle = handle, number = 1, history = "device" }
    for key, value in pairs(changes or {}) do made[key] = value or nil end
    return made
  end

  local RATE <const> = { name = "x", per = { "device" }, most = 1, every = 60 }

  it("are answered for the handle that it has, and leave it good", function()
    local link = rogue:connect()
    local handle, id = handle_of(link, "good")
    local told = link:ask(ask(handle, id))
    assert.same({ "told", id, 1, 0 }, { told.type, told.id, told.number,
      told.history.issued.count })
    told = link:ask(ask(handle, id, { number = 2, history = false, rate = RATE }))
    assert.same({ true, 1 }, { told.rate.within, told.rate.count })
    assert.is_string(link:ask { type = "finish", id = id, handle = handle, verdict = "approve",
      subject = { { "CN", "good" } } }.certificate)
    -- After the verdict it is nobody's.
    assert.matches("not known any more", link:ask(ask(handle, id)).problem)
  end)

  it("are not answered for a handle that it has not, or not with that id", function()
    local link = rogue:connect()
    local handle, id = handle_of(link, "other")
    local second <close> = rogue_module.start(server, 3)
    local elsewhere = second:connect()
    for _, question in ipairs { ask(handle:reverse(), id), ask(handle, "rogue-1-1"),
      ask("*", id), ask("%", id) } do
      local packet = core.message.encode(question)
      if packet then
        local told = link:ask(packet)
        assert.matches("not known any more", told.problem)
        assert.is_nil(told.history)
      end
    end
    assert.matches("not known any more", elsewhere:ask(ask(handle, id)).problem)
    -- It is still good where it belongs.
    assert.is_table(link:ask(ask(handle, id)).history)
  end)

  it("are a few a request", function()
    local link = rogue:connect()
    local handle, id = handle_of(link, "curious")
    local answered, refused = 0, 0
    for number = 1, 1000 do link:send(ask(handle, id, { number = number })) end
    for _ = 1, 1000 do
      local told = link:read()
      if told.history then answered = answered + 1 end
      if told.problem then refused = refused + 1 end
    end
    assert.same({ 16, 984 }, { answered, refused })
    assert.equal(200, (server:curl "/cacerts"))
  end)

  it("cannot name what they are about, and end the channel where they try", function()
    local long = ("x"):rep(1024)
    for what, packet in pairs {
      ["a name in place of a choice"] = p.ask { history = p.bytes "good" },
      ["a choice that there is none"] = p.ask { history = "\5" },
      ["a name of a rate of 1 KiB"] = p.ask { rate = p.rate { name = p.bytes(long) } },
      ["a key of its own"] = p.ask { rate = p.rate { per = p.list { p.bytes "good" } } },
      ["no key"] = p.ask { rate = p.rate { per = p.list {} } },
      ["more than there are"] = p.ask { rate = p.rate { per = p.list { "\1", "\1", "\1", "\1", "\1",
        "\1", "\1", "\1" } } },
      ["a period of years"] = p.ask { rate = p.rate { every = p.integer(1 << 40) } },
      ["none at all"] = p.ask { rate = p.rate { most = p.integer(0) } },
      ["a number of no question"] = p.ask { number = p.integer(0) },
      ["more fields"] = p.ask({}, "\6" .. p.bytes "good"),
    } do
      local link = rogue:connect()
      link:send(packet)
      local _, how = link:read()
      assert.equal("closed", how, what)
    end
    local link = rogue:connect()
    local handle, id = handle_of(link, "good2")
    assert.equal("nothing is asked", link:ask(ask(handle, id, { history = false })).problem)
  end)

  it("make so many rates and no more, and another worker its own", function()
    local link = rogue:connect()
    local made, problem = 0, nil
    for i = 1, 8 do
      local handle, id = handle_of(link, "maker" .. i)
      for number = 1, 16 do
        local rate = { name = ("rate %d %d"):format(i, number), per = { "address" }, most = 5,
          every = 31 * 86400 }
        local told = link:ask(ask(handle, id, { number = number, history = false, rate = rate }))
        if told.rate then made = made + 1 else problem = told.problem end
      end
    end
    assert.is_true(made <= 64, made)
    assert.equal("a worker counts no more than 64 rates", problem)
    local second <close> = rogue_module.start(server, 3)
    link = second:connect()
    local handle, id = handle_of(link, "maker1", second)
    assert.is_table(link:ask(ask(handle, id, { history = false,
      rate = { name = "another", per = { "label" }, most = 1, every = 1 } })).rate)
  end)
end)
