-- CRLs are made while the disk is full, while it fails, and while authorities and workers are
-- killed: who fetches one gets no older number after a newer one, and none is missing that was
-- there.
local core = require "lest.core"
local disks = require "support.disk"
local powerloss = require "support.powerloss"
local process = require "support.process"
local support = require "support.server"
local task = require "lest.task"

--- What is at the CRL's address over plain HTTP, looked at again and again.
local Watch = {}
Watch.__index = Watch

local function watch(server)
  return setmetatable({ server = server, number = 0, seen = 0,
    url = ("http://127.0.0.1:%s/crl/ca.crl"):format(server.plain_port),
    file = server.folder .. "/watched" }, Watch)
end

--- Fetch it; nil where nobody answers, as while a worker is started.
---@return lest.crl?
function Watch:look()
  local _, status = process.run { "curl", "-s", "--max-time", "20", "-o", self.file, "-w",
    "%{http_code}", self.url }
  self.status = status
  -- A worker that has none yet, since there is no authority, says so.
  if status == "000" or self.may_wait and status == "503" then return nil end
  assert.equal("200", status)
  local crl = assert(core.crl.parse(process.read(self.file)))
  local number = tonumber(crl.number, 16)
  assert.is_true(number >= self.number, ("%d after %d"):format(number, self.number))
  if number > self.number then self.seen = self.seen + 1 end
  self.number = number
  return crl
end

--- Look until the CRL has a certificate.
function Watch:wait_for(serial)
  return process.wait_for(function()
    local crl = self:look()
    return crl and crl:find(serial) and crl
  end, "a CRL with " .. serial, 120)
end

local function configure(more)
  return function(text)
    return (text:gsub("labels = {", ('listen_http = "127.0.0.1:%d", workers = 1, %s\n  %%0')
      :format(process.free_port(), more or ""), 1))
  end
end

local function serial_of(server, name)
  return assert(core.cert.load(server:enroll(name))).serial
end

local function revoke(server, serial)
  return process.run { server.lest, "cert", "revoke", serial, "--yes", "--config",
    server.dir .. "/server.lua" }
end

--- Revoke while the authority stands still; what is done then happens before it makes a CRL.
local function revoke_before(server, serial, fn)
  local authority = server:pids("authority")[1]
  process.kill(authority, "STOP")
  local code, _, err = revoke(server, serial)
  fn()
  process.kill(authority, "CONT")
  assert.equal(0, code, err)
end

describe("a CRL that cannot be written down", function()
  local server
  after_each(function() server:stop() end)

  it("leaves the one before while the disk is full, says so, and comes once it is not", function()
    server = support.make { config = configure 'watchdog = "60s",' }
    local disk <close>, why = disks.under(server)
    if not disk then return pending(why) end
    server:run()
    local watched = watch(server)
    local serial = serial_of(server, "device")
    assert.equal(0, assert(watched:look()).count)
    revoke_before(server, serial, function() disk:fill() end)
    process.wait_for(function()
      watched:look()
      return server:logged("CRL not made")[1]
    end, "a line of the log", 60)
    assert.matches("full", server:logged("the ledger cannot be written")[1].message)
    -- A worker that is new has it, too.
    process.kill(server:pids("worker")[1], "KILL")
    assert.equal(0, process.wait_for(function() return watched:look() end, "a worker", 60).count)
    disk:free()
    watched:wait_for(serial)
  end)

  --- A server on a disk whose syncs fail while a file is there, and do not end while another is.
  local function on_bad_disk()
    server = support.make { config = configure 'watchdog = "60s",' }
    local failing = server.dir .. "/syncs-fail"
    process.must { "chmod", "755", server.dir }
    server:run(powerloss.wrapper(server.folder, failing))
    return failing, watch(server)
  end

  it("is not given out by an authority whose disk fails, but by the next one", function()
    local failing, watched = on_bad_disk()
    local serial = serial_of(server, "device")
    assert(watched:look())
    local authority = server:pids("authority")[1]
    revoke_before(server, serial, function() process.write(failing, "") end)
    process.wait_for(function()
      watched:look()
      return server:logged("cannot start")[1]
    end, "another authority, which ends, too", 120)
    assert.is_false(process.alive(authority))
    assert.equal(1, watched.seen)
    os.remove(failing)
    watched:wait_for(serial)
  end)
end)

describe("CRLs of authorities and workers that are killed", function()
  it("have numbers that grow, and in the end all that was revoked", function()
    local server <close> = support.start { config = configure() }
    local watched, serials = watch(server), {}
    watched.may_wait = true
    for i = 1, 12 do serials[i] = serial_of(server, "device" .. i) end
    assert(watched:look())
    for i, serial in ipairs(serials) do
      assert.equal(0, (revoke(server, serial)))
      task.sleep(math.random() * 1.2) -- a look is each second: it dies before, in it and after
      for _, role in ipairs(i % 3 == 0 and { "authority", "worker" } or { "authority" }) do
        local pid = server:pids(role)[1]
        if pid then process.kill(pid, "KILL") end
      end
      for _ = 1, 10 do watched:look() end
    end
    local crl = watched:wait_for(serials[#serials])
    for _, serial in ipairs(serials) do assert.truthy(crl:find(serial), serial) end
    assert.is_true(watched.seen > 1)
    local taken = {}
    for _, line in ipairs(server:logged "CRL made") do
      assert.is_nil(taken[line.number])
      taken[line.number] = true
    end
  end)
end)
