-- The requests that the authority keeps for verdicts: whose they are, how many, how each ends.
local channels_module = require "lest.server.authority.channels"
local refusal = require "lest.server.wire.refusal"

describe("the workers' channels", function()
  local channels, lost

  before_each(function()
    lost = {}
    channels = channels_module.new { share = 2, lifetime = 70,
      on_lost = function(request, why) lost[request.id] = why end }
  end)

  local function accept(worker, pid)
    local socket = { close = function(self) self.is_closed = true end }
    return channels:accept(socket, worker, pid)
  end

  --- A request that waits for its verdict since `started`.
  local function kept(channel, id, started)
    channels:enter(channel)
    local request = { id = id, channel = channel, started = started or 1000 }
    return request, channels:keep(request)
  end

  local function refused(status, fn, ...)
    local ok, problem = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_true(refusal.is(problem), tostring(problem))
    assert.equal(status, problem.status)
    return problem.reason
  end

  local function take(channel, handle, id, now)
    return channels:take(channel, { handle = handle, id = id }, now or 1000)
  end

  it("give a request to its verdict, once", function()
    local channel = accept(1, 10)
    local request, handle = kept(channel, "a")
    assert.equal(request, take(channel, handle, "a", 1070))
    refused(503, take, channel, handle, "a")
    assert.same({}, lost)
  end)

  it("give none to another channel, or for another request", function()
    local channel, other = accept(1, 10), accept(2, 20)
    local request, handle = kept(channel, "a")
    refused(503, take, other, handle, "a")
    refused(503, take, channel, handle, "b")
    assert.equal(request, take(channel, handle, "a"))
  end)

  it("lose a request whose verdict comes too late", function()
    local channel = accept(1, 10)
    local _, handle = kept(channel, "a")
    assert.equal("the decision came too late", refused(503, take, channel, handle, "a", 1071))
    assert.same({ a = "the decision came too late" }, lost)
    refused(503, take, channel, handle, "a")
  end)

  it("lose a request whose verdict never comes, and no other", function()
    local channel = accept(1, 10)
    kept(channel, "a", 1000)
    local _, handle = kept(channel, "b", 1001)
    channels:sweep(1070)
    assert.same({}, lost)
    channels:sweep(1071)
    assert.same({ a = "no decision came" }, lost)
    take(channel, handle, "b")
    kept(channel, "c")
  end)

  it("lose the requests of a channel that ends, and no others", function()
    local channel, other = accept(1, 10), accept(2, 20)
    kept(channel, "a")
    local _, handle = kept(other, "b")
    channels:drop(channel)
    assert.same({ a = "the worker ended while the policy decided" }, lost)
    assert.is_true(channel.closed)
    take(other, handle, "b")
  end)

  it("lose all at the authority's end", function()
    kept(accept(1, 10), "a")
    kept(accept(2, 20), "b")
    channels:close()
    assert.equal(lost.a, lost.b)
    assert.is_string(lost.a)
  end)

  it("put a worker's new channel in place of the one before", function()
    local before = accept(1, 10)
    kept(before, "a")
    local channel = accept(1, 11)
    assert.is_true(before.closed and before.socket.is_closed)
    assert.is_string(lost.a)
    -- The end of the old one, seen late, changes nothing.
    local request, handle = kept(channel, "b")
    channels:drop(before)
    assert.equal(request, take(channel, handle, "b"))
    accept(1, 12)
    assert.is_true(channel.closed and channel.socket.is_closed)
  end)

  it("hold as many requests as a worker's share, whatever its channel", function()
    local channel, other = accept(1, 10), accept(2, 20)
    local request, handle = kept(channel, "a")
    -- One that is still being looked at counts, too.
    channels:enter(channel)
    refused(503, channels.enter, channels, channel)
    channels:enter(other)
    assert.equal(request, take(channel, handle, "a"))
    channels:enter(channel)
    channel = accept(1, 11)
    refused(503, channels.enter, channels, channel)
    channels:leave(channel)
    channels:enter(channel)
  end)

  it("tell ids apart by the worker's process", function()
    local channel = accept(1, 0x1f)
    channels_module.check_id(channel, "abc-1f-7")
    for _, id in ipairs { "abc-1e-7", "1f", "abc-1f", "abc-1f-", "" } do
      refused(400, channels_module.check_id, channel, id)
    end
  end)
end)
