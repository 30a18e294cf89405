-- The processes in which a running agent asks for certificates: what they take is given back, and
-- the death of either leaves the other, and the folder, in order.
local agent = require "support.agent"
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

local KILLS <const> = 20

-- A server that takes connections, and says nothing.
local SILENT <const> = [[
  $| = 1;
  my $socket = IO::Socket::INET->new(Listen => 64, LocalAddr => "127.0.0.1", LocalPort => 0) or die;
  print $socket->sockport, "\n";
  sleep 3600;]]

describe("lest agent, in processes of its own,", function()
  local server, silent, it_is

  setup(function()
    server = agent.server()
    local folder = process.folder()
    silent = { folder = folder, pid = process.start({ "perl", "-MIO::Socket::INET", "-e", SILENT },
      folder .. "/out", folder .. "/err") }
    local port = process.wait_for(function()
      return process.read(folder .. "/out"):match "^(%d+)\n"
    end, "a silent server", 60)
    silent.url = ('"https://localhost:%s"'):format(port)
  end)
  teardown(function()
    server:stop()
    process.kill(silent.pid, "KILL")
    os.execute("rm -rf " .. silent.folder)
  end)
  before_each(function() it_is = agent.new(server) end)
  after_each(function()
    it_is:stop()
    temporary.clean()
  end)

  local function wait_logged(event)
    return process.wait_for(function()
      return process.logged(it_is:file "log", event)[1]
    end, event, 120)
  end

  --- The process that it has for an attempt.
  local function child()
    return process.wait_for(function()
      local file <close> = io.open(("/proc/%d/task/%d/children"):format(it_is.pid, it_is.pid))
      local pid = file and (file:read "a"):match "%d+"
      return pid and process.own(math.tointeger(tonumber(pid)))
    end, "the process of an attempt", 120)
  end

  --- Have a renewal be due.
  local function hurry()
    local path = it_is:state "state.json"
    local memory = cjson.decode(process.read(path))
    memory.retry = { set = os.time() - 10, at = os.time() - 5 }
    process.write(path, cjson.encode(memory))
  end

  --- The certificate in use, whose key is there.
  local function cert()
    local found = it_is:cert()
    assert.equal(found.public_key.der, assert(core.key.load(it_is:state "key.pem")):public_der())
    return found
  end

  it("has nothing of libcurl once it has a certificate", function()
    it_is:start()
    local stored = wait_logged "certificate stored"
    assert.not_equal(it_is.pid, stored.pid)
    process.wait_for(function() return it_is:status().state == "ok" end, "its status", 60)
    assert.is_nil(process.read(("/proc/%d/maps"):format(it_is.pid)):find "libcurl")
  end)

  it("outlives one that dies, and tries again", function()
    it_is:configure { url = silent.url }
    it_is:start()
    process.kill(child(), "KILL")
    assert.matches("has ended with signal 9", wait_logged("attempt failed").message)
    assert.is_true(process.alive(it_is.pid))
    it_is:stop()
    it_is:configure()
    assert.equal(0, it_is:once("--try").code)
    assert.equal("CN=dev9", tostring(cert().subject))
  end)

  it("takes them along where it is killed, and leaves its folder to the next", function()
    it_is:configure { url = silent.url }
    for _, signal in ipairs { "KILL", "TERM" } do
      it_is:start()
      local pid = child()
      it_is:stop(signal)
      process.wait_for(function() return not process.alive(pid) end, "the end of both", 60)
      -- Left alone, it would have given up after a while, and said so.
      assert.same({}, process.logged(it_is:file "log", "attempt failed"))
    end
    it_is:configure()
    assert.equal(0, it_is:once("--try").code)
  end)

  it("has a whole identity whenever it is killed", function()
    assert.equal(0, it_is:once().code)
    for _ = 1, KILLS do
      hurry()
      it_is:start()
      local pid = it_is.pid
      process.must { "sleep", ("0.%03d"):format(math.random(10, 400)) }
      it_is:stop "KILL"
      assert.is_false(process.alive(pid))
      cert()
    end
    process.wait_for(function() return it_is:once("--renew").code == 0 end, "a renewal", 60)
    local rows = server:sql(("SELECT lower(serial) FROM certificates WHERE key_hash = '%s'")
      :format(cert().key_hash))
    assert.equal(cert().serial, rows)
  end)
end)
