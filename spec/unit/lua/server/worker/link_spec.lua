-- The worker's connection to the authority, against the other end of it.
local core = require "lest.core"
local link_module = require "lest.server.worker.link"
local message = require "lest.server.wire.message"
local p = require "support.packet"
local refusal = require "lest.server.wire.refusal"
local sockets = require "support.sockets"
local task = require "lest.task"

local QUESTIONS <const> = { begin = true, ask = true, finish = true }

describe("a worker's link", function()
  local link, peer, received, says_hello
  local HELLO <const> = assert(message.encode { type = "hello",
    nonce_key = ("k"):rep(32) })

  -- What the supervisor does when it is asked.
  local ask_channel = core.process.ask_channel
  local function hand_out()
    local channel
    peer, channel = sockets.pair()
    if says_hello then peer:send(HELLO) end
    peer:on_message(function(packet) table.insert(received, packet) end)
    link:take(channel)
  end

  -- Turn the loop until a condition holds.
  local function wait_for(condition)
    for _ = 1, 200 do
      local result = condition()
      if result then return result end
      task.sleep(0.01)
    end
    error("waited in vain", 2)
  end

  local function begin(id)
    return assert(message.encode {
      type = "begin", id = id, operation = "simpleenroll", label = "default", address = "::1",
      tls = { version = "TLSv1.3", cipher = "x" }, csr = "der",
    })
  end

  --- Ask in a task; returns it and the question as the authority got it.
  local function ask(id)
    local asking = task.start({ quiet = true }, function() return link:ask(id, begin(id)) end)
    wait_for(function() return #received > 0 end)
    return asking, assert(message.decode(table.remove(received, 1), QUESTIONS))
  end

  local function refused(asking)
    local ok, problem = pcall(asking.wait, asking)
    assert.is_false(ok)
    assert.is_true(refusal.is(problem), tostring(problem))
    return problem
  end

  before_each(function()
    received, says_hello = {}, true
    core.process.ask_channel = hand_out -- luacheck: ignore 122
    link = link_module.new()
    hand_out()
    link:await_hello(10000)
  end)

  after_each(function()
    core.process.ask_channel = ask_channel -- luacheck: ignore 122
    if link.channel then link.channel:close() end
  end)

  it("gives each question the answer with its id, in any order", function()
    local one, first = ask "w-1"
    local two, second = ask "w-2"
    peer:send(assert(message.encode { type = "answer", id = second.id, serial = "02" }))
    peer:send(assert(message.encode { type = "answer", id = first.id, serial = "01" }))
    assert.equal("01", one:wait().serial)
    assert.equal("02", two:wait().serial)
  end)

  it("refuses a request whose answer is not of the schema, and that one alone", function()
    local core_log = core.log.write
    local logged
    core.log.write = function(_, what, facts) logged = what .. " " .. facts[2] end -- luacheck: ignore
    finally(function() core.log.write = core_log end) -- luacheck: ignore
    local one, first = ask "w-1"
    local two, second = ask "w-2"
    peer:send(p.answer { id = p.bytes(first.id), serial = p.bytes "not a serial" })
    peer:send "garbage"
    peer:send(p.answer { id = p.bytes "" })
    peer:send(p.answer({ id = p.bytes "w-9" }, "\200"))
    peer:send(assert(message.encode { type = "answer", id = second.id, serial = "02" }))
    assert.equal("02", two:wait().serial)
    assert.equal(500, refused(one).status)
    assert.matches("bad answer from the authority", logged)
  end)

  it("calls the outcome unknown when the authority is lost, and takes a new channel", function()
    local one = ask "w-1"
    local lost = peer
    peer:close()
    local problem = refused(one)
    assert.same({ 503, 5 }, { problem.status, problem.retry_after })
    wait_for(function() return peer ~= lost and link.is_up end)
    local two, question = ask "w-2"
    peer:send(assert(message.encode { type = "answer", id = question.id, serial = "02" }))
    assert.equal("02", two:wait().serial)
  end)

  it("asks another authority nothing about a request that it did not begin", function()
    local one, question = ask "w-1"
    peer:send(assert(message.encode { type = "answer", id = question.id, handle = "h" }))
    local _, began = one:wait()
    peer:close()
    wait_for(function() return link.is_up and link.channel ~= began end)
    local two = task.start({ quiet = true }, function()
      return link:ask("w-1", begin "w-1", began)
    end)
    assert.equal(503, refused(two).status)
    assert.same({}, received)
  end)

  it("refuses at once what comes before the authority has said hello", function()
    says_hello = false
    peer:close()
    local lost = peer
    wait_for(function() return peer ~= lost and link.channel end)
    local asking = task.start({ quiet = true }, function() return link:ask("w-1", begin "w-1") end)
    assert.is_true(asking.done)
    local problem = refused(asking)
    assert.same({ 503, 5 }, { problem.status, problem.retry_after })
    peer:send(HELLO)
    wait_for(function() return link.is_up end)
    local two, question = ask "w-2"
    peer:send(assert(message.encode { type = "answer", id = question.id, serial = "02" }))
    assert.equal("02", two:wait().serial)
    assert.same({}, received)
  end)

  describe("of a policy's questions", function()
    --- Ask in a task, for a request that the authority holds.
    local function inquire(request, what)
      local asking = task.start({ quiet = true }, function() return link:inquire(request, what) end)
      wait_for(function() return #received > 0 or asking.done end)
      local packet = table.remove(received, 1)
      return asking, packet and assert(message.decode(packet, QUESTIONS))
    end

    local function held(id)
      return { id = id, handle = "h-" .. id, channel = link.channel }
    end

    local function tell(question, told)
      told.type, told.id, told.number = "told", question.id, question.number
      peer:send(assert(message.encode(told)))
    end

    it("gives each the answer with its number, whatever else is waited for", function()
      local begun, first = ask "w-1"
      local request = held "w-1"
      local one, history = inquire(request, { history = "key" })
      local two, rate = inquire(request, { rate = { name = "n", per = { "label" }, most = 1,
        every = 2 } })
      assert.same({ "h-w-1", 1, "key" }, { history.handle, history.number, history.history })
      assert.same({ 2, "n" }, { rate.number, rate.rate.name })
      tell(rate, { rate = { within = true, count = 1 } })
      tell({ id = "w-2", number = 1 }, { problem = "of nobody" })
      tell({ id = "w-1", number = 3 }, { problem = "of nobody" })
      tell(history, { problem = "not now" })
      assert.is_true(two:wait().rate.within)
      assert.same({ n = 2, nil, "not now" }, table.pack(one:wait()))
      peer:send(assert(message.encode { type = "answer", id = first.id, serial = "01" }))
      assert.equal("01", begun:wait().serial)
    end)

    it("asks no other authority, and waits for none that is lost or says nothing", function()
      local away <const> = { n = 2, nil, "the authority is not available" }
      local request = held "w-1"
      link.told_ms = 20
      assert.same(away, table.pack((inquire(request, { history = "key" })):wait()))
      link.told_ms = 20000
      local one = inquire(request, { history = "key" })
      local before = peer
      peer:close()
      assert.same(away, table.pack(one:wait()))
      wait_for(function() return peer ~= before and link.is_up end)
      assert.same(away, table.pack((inquire(request, { history = "key" })):wait()))
      assert.same({}, received)
    end)

    it("sends none that the authority would not take", function()
      local two, packet = inquire(held "w-1", { rate = { name = ("x"):rep(201), per = { "label" },
        most = 1, every = 2 } })
      assert.is_nil(packet)
      assert.matches("longer than 200 bytes", select(2, two:wait()))
    end)
  end)

  it("waits for an authority that says nothing no longer than it may", function()
    link.answer_ms = 20
    local one, question = ask "w-1"
    wait_for(function() return one.done end)
    local problem = refused(one)
    assert.same({ 503, 5 }, { problem.status, problem.retry_after })
    assert.same({}, link.waiting)
    -- What comes after all is given up.
    peer:send(assert(message.encode { type = "answer", id = question.id, handle = "h" }))
    wait_for(function() return #received > 0 end)
    assert.equal("finish", assert(message.decode(received[1], QUESTIONS)).type)
  end)

  it("waits for each as long as it may, whoever else asks", function()
    link.answer_ms = 20
    local one = ask "w-1"
    link.answer_ms = 400
    local two = ask "w-2"
    local three, question = ask "w-3"
    wait_for(function() return one.done end)
    assert.is_false(two.done)
    -- The end of a wait may begin another.
    link.answer_ms = 20
    local again = task.start({ quiet = true }, function()
      pcall(two.wait, two)
      return link:ask("w-4", begin "w-4")
    end)
    peer:send(assert(message.encode { type = "answer", id = question.id, serial = "03" }))
    assert.equal("03", three:wait().serial)
    assert.equal(503, refused(two).status)
    assert.equal(503, refused(again).status)
    assert.same({}, link.waiting)
  end)

  it("gives a place back that nobody waits for", function()
    local one, question = ask "w-1"
    one:cancel()
    peer:send(assert(message.encode { type = "answer", id = question.id, handle = "h" }))
    wait_for(function() return #received > 0 end)
    local finish = assert(message.decode(received[1], QUESTIONS))
    assert.same({ "finish", "w-1", "h", "error" },
      { finish.type, finish.id, finish.handle, finish.verdict })
  end)

  it("gives a place back to the authority that keeps it, and to no other", function()
    local one, question = ask "w-1"
    peer:send(assert(message.encode { type = "answer", id = question.id, handle = "h" }))
    local _, began = one:wait()
    local request = { id = "w-1", handle = "h", channel = began }
    peer:close()
    wait_for(function() return link.is_up and link.channel ~= began end)
    link:give_up(request, "gone")
    -- Had another authority got it, it would have come before this.
    local _, next_question = ask "w-2"
    assert.equal("begin", next_question.type)
    request.channel = link.channel
    link:give_up(request, "gone")
    wait_for(function() return #received > 0 end)
    assert.equal("finish", assert(message.decode(received[1], QUESTIONS)).type)
  end)

  it("takes a new channel in place of the one before", function()
    local one = ask "w-1"
    local before = peer
    local ended = false
    before:on_close(function() ended = true end)
    hand_out()
    assert.equal(503, refused(one).status)
    wait_for(function() return ended and link.is_up end)
    local two, question = ask "w-2"
    peer:send(assert(message.encode { type = "answer", id = question.id, serial = "02" }))
    assert.equal("02", two:wait().serial)
  end)
end)
