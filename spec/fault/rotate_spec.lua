-- `lest ca server-cert` under load: the server's certificate changes, with its key, and no request
-- is lost.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

describe("the next certificate of a server", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", 'workers = 2, drain = "60s",\n  labels = {', 1))
    end, policy = [[
      local lest, policy = require "lest", require "lest.policy"
      return { enroll = function(request)
        lest.sleep(0.05)
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]] }
  end)
  teardown(function() server:stop() end)

  --- The serial number of what the server shows to a new connection.
  local function shown()
    local text = shell.run(("openssl s_client -connect 127.0.0.1:%d </dev/null 2>/dev/null"
      .. " | openssl x509 -noout -serial"):format(server.port)).out
    return text:match "serial=(%x+)":lower()
  end

  it("is taken up at SIGHUP, with and without a new key, and fails no request", function()
    local serial = shown()
    for round, words in ipairs { {}, { "--new-key", "ec:P-256" } } do
      local devices = fleet.new(server, 200, "round-" .. round .. "-")
      local running = devices:start(4)
      process.wait_for(function() return devices.answers > 0 end, "the first answer", 30)
      process.must { support.lest, "ca", "server-cert", server.dir, table.unpack(words) }
      local cert = assert(core.cert.load(server.dir .. "/server.pem"))
      assert.equal(serial, shown())
      process.kill(server.pid, "HUP")
      process.wait_for(function() return #server:logged "ready" == round + 1 end,
        "a generation", 30)
      serial = cert.serial:lower()
      process.wait_for(function() return shown() == serial end, "the new certificate", 30)
      running:wait()
      assert.equal(0, devices.retries)
      devices:check()
    end
  end)
end)
