-- Message sockets between processes: whole messages in order, bounded queues.
local core = require "lest.core"
local sockets = require "support.sockets"
local temporary = require "support.temporary"

--- Turn the loop until ready() is true, for at most twenty seconds.
local function turn_until(ready)
  local over = false
  local timer <close> = core.loop.timer(20000, function() over = true end)
  while not ready() do
    assert(not over and timer, "nothing happened for twenty seconds")
    core.loop.turn()
  end
end

describe("core.channel", function()
  local open

  local function keep(object)
    open[#open + 1] = object
    return object
  end

  --- The two ends of one channel.
  local function pair(options)
    local server, client = sockets.pair(options)
    return keep(server), keep(client)
  end

  before_each(function() open = {} end)
  after_each(function()
    for _, object in ipairs(open) do object:close() end
    temporary.clean()
  end)

  it("carries whole messages in order, both ways", function()
    local back = {}
    local server, client = pair { on_message = function(bytes) back[#back + 1] = bytes end }
    server:on_message(function(bytes, channel) channel:send("<" .. bytes .. ">") end)
    local large = ("x"):rep(core.channel.message_max - 2)
    for _, bytes in ipairs { "a", "b\0c", large } do assert.is_true(client:send(bytes)) end
    turn_until(function() return #back == 3 end)
    assert.same({ "<a>", "<b\0c>", "<" .. large .. ">" }, back)
  end)

  it("queues what the peer does not read yet, up to its limit", function()
    local server, client = pair { messages_max = 8 }
    local sent, ok, err = 0
    repeat
      ok, err = client:send(("%06d"):format(sent) .. ("x"):rep(50000))
      if ok then sent = sent + 1 end
    until not ok
    assert.equal("unavailable", err.code)
    assert.equal(8, client.queued)
    local got = 0
    server:on_message(function(bytes)
      assert.equal(got, tonumber(bytes:sub(1, 6)))
      got = got + 1
    end)
    turn_until(function() return got == sent end)
    assert.equal(0, client.queued)
    assert.is_true(client:send "again")
  end)

  it("bounds the bytes of its queue too", function()
    local _, client = pair { bytes_max = 100000 }
    local err
    repeat
      local ok
      ok, err = client:send(("x"):rep(40000))
    until not ok
    assert.equal("unavailable", err.code)
    assert.equal(2, client.queued)
  end)

  it("refuses a message that is too large", function()
    local _, client = pair()
    local ok, err = client:send(("x"):rep(core.channel.message_max + 1))
    assert.is_nil(ok)
    assert.equal("too_large", err.code)
    assert.has_error(function() client:send "" end)
  end)

  it("closes on a packet over the limit", function()
    local folder = temporary.folder()
    local path = folder .. "/socket"
    local closed, messages = false, {}
    keep(sockets.listen(path, function(channel)
      channel:on_message(function(bytes) messages[#messages + 1] = bytes end)
      channel:on_close(function() closed = true end)
    end))
    local script = temporary.file(folder, "send.py", [[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(b"small")
s.send(b"x" * 205000)
s.recv(1)
]])
    local peer = io.popen(("python3 %s %s"):format(script, path))
    turn_until(function() return closed end)
    peer:close()
    assert.same({ "small" }, messages)
  end)

  it("tells when the peer has closed, after what it sent before", function()
    local server, client = pair()
    local seen = {}
    client:send "last words"
    client:close()
    server:on_close(function() seen[#seen + 1] = "closed" end)
    server:on_message(function(bytes) seen[#seen + 1] = bytes end)
    turn_until(function() return #seen == 2 end)
    assert.same({ "last words", "closed" }, seen)
    local ok, err = server:send "too late"
    assert.is_nil(ok)
    assert.equal("closed", err.code)
    assert.has_error(function() client:send "x" end, "attempt to use a closed lest.channel")
  end)

  it("lives without being kept, and may close itself in its own handler", function()
    local server, client = pair()
    local count, closed = 0, false
    server:on_message(function(_, channel)
      count = count + 1
      channel:close()
    end)
    client:on_close(function() closed = true end)
    client:on_message(function() end)
    open[#open], server = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    client:send "one"
    client:send "two"
    turn_until(function() return closed end)
    assert.equal(1, count)
  end)

  it("survives handlers that raise", function()
    local server, client = pair()
    local seen = 0
    server:on_message(function()
      seen = seen + 1
      error "on purpose"
    end)
    client:send "a"
    client:send "b"
    turn_until(function() return seen == 2 end)
  end)

  describe("and sealed files:", function()
    local function bytes_of(sealed) return sealed and sealed:bytes() end

    --- What a channel that takes so many bytes gets of these, each with a packet.
    local function given(size, files)
      local server, client = pair()
      local got = {}
      if size then client:take_sealed(size) end
      client:on_message(function(bytes, _, sealed) got[bytes] = bytes_of(sealed) or false end)
      for name, file in pairs(files) do assert(server:send(name, file)) end
      assert(server:send "last")
      turn_until(function() return got.last ~= nil end)
      return got
    end

    it("carries one with a packet, where the other end takes any", function()
      local file <close> = assert(core.sealed.new "a\0b")
      local empty <close> = assert(core.sealed.new "")
      assert.equal(3, file.size)
      assert.same({ with = "a\0b", without = "", last = false },
        given(3, { with = file, without = empty }))
    end)

    it("drops them where it takes none, or none so large", function()
      local file <close> = assert(core.sealed.new "abcd")
      assert.same({ x = false, last = false }, given(nil, { x = file }))
      assert.same({ x = false, last = false }, given(3, { x = file }))
      assert.same({ x = "abcd", last = false }, given(4, { x = file }))
    end)

    it("keeps one that waits for room, though its owner has closed it", function()
      local server, client = pair()
      local file = assert(core.sealed.new "kept")
      local count = 0
      while server.queued == 0 do
        server:send(("x"):rep(100000))
        count = count + 1
      end
      assert(server:send("file", file))
      file:close()
      local last, seen = nil, 0
      client:take_sealed(100)
      client:on_message(function(_, _, sealed) seen, last = seen + 1, bytes_of(sealed) end)
      turn_until(function() return seen == count + 1 end)
      assert.equal("kept", last)
    end)

    it("takes none that can still be changed, and none of several", function()
      local folder = temporary.folder()
      local path, got = folder .. "/socket", {}
      keep(sockets.listen(path, function(channel)
        keep(channel):take_sealed(1000)
        channel:on_message(function(bytes, _, sealed)
          got[#got + 1] = { bytes, bytes_of(sealed) }
        end)
      end))
      local script = temporary.file(folder, "send.py", [[
import fcntl, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
def file(seals):
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(fd, b"abc")
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd
whole = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
socket.send_fds(s, [b"sealed"], [file(whole)])
socket.send_fds(s, [b"shrinks"], [file(whole & ~fcntl.F_SEAL_SHRINK)])
socket.send_fds(s, [b"grows"], [file(whole & ~fcntl.F_SEAL_GROW)])
socket.send_fds(s, [b"changes"], [file(whole & ~fcntl.F_SEAL_WRITE)])
socket.send_fds(s, [b"plain"], [os.open(sys.argv[0], os.O_RDONLY)])
socket.send_fds(s, [b"socket"], [s.fileno()])
socket.send_fds(s, [b"two"], [file(whole), file(whole)])
socket.send_fds(s, [b"five"], [file(whole) for i in range(5)])
s.send(b"none")
s.recv(1)
]])
      local function open_count() return #core.system.entries "/proc/self/fd" end
      local before = open_count()
      local peer = io.popen(("exec python3 %s %s"):format(script, path))
      turn_until(function() return #got == 9 end)
      assert.same({ { "sealed", "abc" }, { "shrinks" }, { "grows" }, { "changes" }, { "plain" },
        { "socket" }, { "two" }, { "five" }, { "none" } }, got)
      -- The pipe of the peer, and the channel.
      assert.equal(before + 2, open_count())
      for _, object in ipairs(open) do object:close() end
      open = {}
      peer:close()
    end)
  end)

  it("rejects options it does not know", function()
    assert.has_error(function() core.channel.adopt { on_mesage = print } end,
      "unknown option 'on_mesage', did you mean 'on_message'?")
    assert.has_error(function() core.channel.adopt {} end, "the option 'fd' is a descriptor")
  end)
end)
