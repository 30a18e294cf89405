-- What a service manager is told (sd_notify), and the sockets that it passes (sd_listen_fds).
local host = require "support.host"
local process = require "support.process"

describe("a service manager", function()
  local server, told

  --- A socket for notifications; each becomes a line of `told`, its own lines with "; " between.
  local LISTEN <const> = [[use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
    bind($s, pack_sockaddr_un($ARGV[0])) or die; chmod 0666, $ARGV[0];
    while (defined recv($s, my $text, 4096, 0)) { $text =~ s/\n/; /g; print "$text\n" }]]

  local function start(...)
    server = host.make { watchdog_s = 2 }
    told = server.folder .. "/told"
    local socket = server.folder .. "/socket"
    local listener = process.start({ "perl", "-e", LISTEN, socket }, told, server.folder .. "/err")
    finally(function()
      process.kill(listener, "KILL")
      server:stop()
    end)
    process.wait_for(function() return os.execute("test -S " .. socket) end, "the socket")
    server:launch("env", "NOTIFY_SOCKET=" .. socket, ...)
  end

  local function wait_told(pattern)
    return server:wait(pattern, function()
      return ("\n" .. process.read(told)):match("\n(" .. pattern .. ")\n")
    end)
  end

  it("is told when the server serves, reloads and stops", function()
    start()
    wait_told("READY=1; STATUS=" .. server.listen:gsub("%p", "%%%0"))
    assert.is_nil(process.read(told):find "WATCHDOG")
    server:signal "HUP"
    wait_told "RELOADING=1; MONOTONIC_USEC=%d+; STATUS=reloading"
    server:wait_ready(2)
    server:configure "return 1 +"
    server:signal "HUP"
    wait_told "READY=1; STATUS=reload failed: [^\n]*"
    server:signal "TERM"
    wait_told "STOPPING=1; STATUS=stopping"
  end)

  it("is told that the supervisor lives as long as its loop turns", function()
    start("WATCHDOG_USEC=600000")
    local function beats() return select(2, process.read(told):gsub("WATCHDOG=1", "")) end
    local before = beats()
    server:wait("beats", function() return beats() > before + 2 end)
    assert.is_nil(process.read(told):find "EXTEND")
  end)

  it("is not told of another process's watchdog, and not by a child", function()
    start("WATCHDOG_USEC=600000", "WATCHDOG_PID=1", "LISTEN_FDNAMES=x")
    assert.equal("nil nil nil", server:ask("worker", 1, [[
      return ("%s %s %s"):format(os.getenv "NOTIFY_SOCKET", os.getenv "WATCHDOG_USEC",
        os.getenv "LISTEN_FDNAMES")]]))
    server:signal "HUP"
    server:wait_ready(2)
    assert.is_nil(process.read(told):find "WATCHDOG")
  end)

  -- Opens a socket as descriptor 3, at the port of the environment's PORT or a free one, and
  -- becomes the rest of the words; PORT in them is its port.
  local PASS <const> = [[use Socket; use POSIX; socket(my $s, AF_INET, SOCK_STREAM, 0) or die;
    bind($s, pack_sockaddr_in($ENV{PORT} || 0, INADDR_LOOPBACK)) or die; listen($s, 5) or die;
    my $port = (unpack_sockaddr_in getsockname $s)[0];
    POSIX::dup2(fileno $s, 3) if fileno $s != 3; $^F = 3; open(my $kept, "<&=", 3);
    fcntl($kept, F_SETFD, 0); s/PORT/$port/g for @ARGV;
    $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; exec @ARGV]]

  local function words(...)
    return { "perl", "-e", PASS, "--", server.lest, "serve", server.folder .. "/server.lua", ... }
  end

  it("passes the socket of an address that the server listens at", function()
    server = host.make {}
    finally(function() server:stop() end)
    server.pid = process.start(words("--listen", "127.0.0.1:PORT"), server.folder .. "/out",
      server.log_file)
    server:wait_ready(1)
    local port = server.listen:match ":(%d+)$"
    local function connects()
      return process.run { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" .. port } == 0
    end
    assert.is_true(connects())
    assert.same({}, server:logged "socket not used")
    assert.same({}, server:logged "socket not passed")
    -- Which it keeps, from one generation to the next.
    server:signal "HUP"
    server:wait_ready(2)
    assert.is_true(connects())
  end)

  it("passes the socket of an address of plain HTTP, which stands after those of TLS", function()
    local port = process.free_port()
    server = host.make { extra = { { "listen_http", "127.0.0.1:" .. port } } }
    finally(function() server:stop() end)
    local given = words()
    table.move(given, 1, #given, 3)
    given[1], given[2] = "env", "PORT=" .. port
    server.pid = process.start(given, server.folder .. "/out", server.log_file)
    server:wait_ready(1)
    assert.same({}, server:logged "socket not used")
    local warned = server:logged "socket not passed"
    assert.equal(1, #warned)
    assert.matches("127%.0%.0%.1:0, which", warned[1].message)
    local ready = server:logged("ready")[1]
    assert.equal("127.0.0.1:" .. port, ready.listen_http)
    assert.not_equal(ready.listen, ready.listen_http)
  end)

  it("is told where the sockets and `listen` differ", function()
    server = host.make {}
    finally(function() server:stop() end)
    local code, out, err = process.run(words("--check", "--listen", "127.0.0.1:1"))
    assert.same({ 0, "ok\n" }, { code, out })
    assert.matches("the configuration has 127%.0%.0%.1:1, which the service manager did not", err)
    assert.matches("passed 127%.0%.0%.1:%d+, which the configuration does not have", err)
    code, out, err = process.run(words("--check", "--listen", "127.0.0.1:PORT"))
    assert.same({ 0, "ok\n", "" }, { code, out, err })
  end)
end)
