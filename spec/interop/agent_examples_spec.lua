-- The examples of `lest agent`, each run as a machine would run it: a web server whose certificate
-- renews under its clients, a device that comes from its factory, a sensor behind a gateway.
local agents = require "support.agent"
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

--- An example's file, with other words for some of its own; each must be there.
local function example(path, words)
  local text = process.read("examples/" .. path)
  for word, by in pairs(words) do
    assert.is_true(text:find(word, 1, true) ~= nil, ("%s has no '%s'"):format(path, word))
    text = text:gsub(word:gsub("%p", "%%%0"), (by:gsub("%%", "%%%%")))
  end
  return text
end

describe("examples/nginx", function()
  local NGINX <const> = "/usr/sbin/nginx"
  local server, folder, pids

  setup(function()
    -- A minute, and one before it for clocks that are late.
    server = agents.server { lifetime = "1m", edit = function(text)
      return (text:gsub("eku = {[^}]*}", 'eku = { "serverAuth", "clientAuth" }'))
    end }
  end)
  teardown(function() server:stop() end)

  before_each(function()
    folder, pids = process.folder(), {}
    os.execute("chmod 755 " .. folder)
  end)
  after_each(function()
    for _, pid in ipairs(pids) do process.kill(pid, "KILL") end
    os.execute("rm -rf " .. folder)
  end)

  local function start(name, words)
    local out, log = ("%s/%s.out"):format(folder, name), ("%s/%s.log"):format(folder, name)
    table.insert(pids, 1, process.start(words, out, log))
    return pids[1], out, log
  end

  --- A client that opens one connection after the other, and prints the certificate of each, or
  --- what is wrong.
  local CLIENT <const> = [[
import hashlib, socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[1])
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 60) as plain:
            with context.wrap_socket(plain, server_hostname="www.example.com") as tls:
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                body = b""
                while piece := tls.recv(4096):
                    body += piece
                assert body.endswith(b"ok\n"), body
                print(hashlib.sha256(tls.getpeercert(True)).hexdigest(), flush=True)
    except Exception as problem:
        print("failed:", problem, flush=True)
    time.sleep(0.01)
]]

  it("renews while clients connect, and none of them fails", function()
    if not process.exists(NGINX) then return pending "needs nginx" end
    local port = process.free_port()
    process.write(folder .. "/secret", server:credential "www.example.com")
    local command = ('"%s", "-c", "%s/nginx.conf"'):format(NGINX, folder)
    process.write(folder .. "/agent.lua", example("nginx/agent.lua", {
      ["/var/lib/lest-agent"] = "state", ["https://est.example.com:8443"] = server.url,
      ['"ca.pem"'] = ("%q"):format(server.root), ["/etc/nginx/tls"] = "tls",
      ['"nginx", "-t"'] = command .. ', "-t"', ['"nginx", "-s"'] = command .. ', "-s"',
      -- 2.4 seconds after it is issued.
      ['subject = '] = "renew_at = 0.52, spread = 0.0, subject = " }))
    process.write(folder .. "/nginx.conf", ("pid %s/nginx.pid;\nerror_log %s/nginx.log;\n"):format(
      folder, folder) .. example("nginx/nginx.conf", { ["listen 443 ssl"] =
      "access_log off; listen 127.0.0.1:" .. port .. " ssl",
      ["/etc/nginx/tls"] = folder .. "/tls" }))
    -- The first certificate comes before nginx: its reload is tried again.
    process.run { process.lest, "agent", "--once", folder .. "/agent.lua" }
    assert.is_true(process.exists(folder .. "/tls/tls.crt"))
    start("nginx", { NGINX, "-c", folder .. "/nginx.conf", "-g", "daemon off;" })
    process.write(folder .. "/client.py", CLIENT)
    local _, seen = start("client", { "python3", folder .. "/client.py", server.root, port })
    local function look()
      local serials, list, failed = {}, {}, {}
      for line in process.read(seen):gmatch "([^\n]+)\n" do
        if line:find "^failed" then failed[#failed + 1] = line end
        if not serials[line] then list[#list + 1] = line end
        serials[line] = (serials[line] or 0) + 1
      end
      return list, failed
    end
    process.wait_for(function()
      local list = look()
      return list[1] and not list[#list]:find "^failed"
    end, "nginx", 60)
    local before = #select(2, look())
    local agent, _, log = start("agent", { process.lest, "agent", folder .. "/agent.lua" })
    process.wait_for(function() return #look() - before >= 4 end, "three renewals", 120)
    process.kill(agent)
    process.wait_for(function() return not process.alive(agent) end, "the agent's end", 60)
    local _, failed = look()
    assert.equal(before, #failed, table.concat(failed, "\n"))
    assert.equal(0, #process.logged(log, "rolled back"))
    -- What nginx shows is what the agent has.
    local cert = assert(core.cert.load(folder .. "/state/web/cert.pem"))
    local list = look()
    assert.equal(cert.fingerprint:gsub(":", ""):lower(), list[#list])
  end)

  it("goes back to the certificate that nginx takes", function()
    if not process.exists(NGINX) then return pending "needs nginx" end
    process.write(folder .. "/secret", server:credential "www2.example.com")
    process.write(folder .. "/nginx", "#!/bin/sh\n[ ! -e " .. folder .. "/fail ]\n")
    process.must { "chmod", "755", folder .. "/nginx" }
    process.write(folder .. "/agent.lua", example("nginx/agent.lua", {
      ["/var/lib/lest-agent"] = "state", ["https://est.example.com:8443"] = server.url,
      ['"ca.pem"'] = ("%q"):format(server.root), ["/etc/nginx/tls"] = "tls",
      ['username = "www.example.com"'] = 'username = "www2.example.com"',
      ['"nginx"'] = '"./nginx"' }))
    process.must { process.lest, "agent", "--once", folder .. "/agent.lua" }
    local first = process.read(folder .. "/tls/tls.crt")
    process.write(folder .. "/fail", "")
    assert.equal(1, (process.run { process.lest, "agent", "--once", "--renew",
      folder .. "/agent.lua" }))
    assert.equal(first, process.read(folder .. "/tls/tls.crt"))
    os.remove(folder .. "/fail")
    process.must { process.lest, "agent", "--once", "--try", folder .. "/agent.lua" }
    assert.not_equal(first, process.read(folder .. "/tls/tls.crt"))
  end)
end)

--- server.lua of an example, with the accounts and the ledger that `lest ca init` has chosen.
local function server_example(path, text, words)
  local chosen = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "^  [%l_]*user = " or line:find "^  ledger = " then
      chosen[#chosen + 1] = line .. "\n"
    end
  end
  words['  ledger = "ledger.db",\n'] = table.concat(chosen)
  return example(path, words)
end

describe("examples/factory-to-field", function()
  local server, ca, device

  -- The factory's CA, and a device's certificate of it.
  local function make(serial)
    local pki = require "support.pki"
    ca = ca or pki.new()
    local root = ca.root_entity or ca:root("makers", { days = 30 })
    ca.root_entity = root
    return ca:issue(serial, { by = root, subject = "/O=Acme/serialNumber=" .. serial,
      ext = "keyUsage = critical, digitalSignature" })
  end

  setup(function()
    local maker = make "A-0001"
    server = support.make {
      files = { ["allow-list.lua"] = process.read "policies/allow-list.lua",
        ["strict-renewal.lua"] = process.read "policies/strict-renewal.lua",
        ["makers.pem"] = process.read(ca.root_entity.path),
        ["devices.csv"] = "serial,place\nA-0001,north hall\n" },
      config = function(text)
        return server_example("factory-to-field/server.lua", text,
          { ['lifetime = "90d"'] = 'lifetime = "1m"' })
      end,
    }
    server:run()
    device = process.folder()
    process.must { "cp", maker.path, device .. "/idevid.pem" }
    process.must { "cp", maker.key, device .. "/idevid.key" }
    process.must { "cp", server.root, device .. "/ca.pem" }
    -- The last 30 % of two minutes have begun before it is issued a minute in its past.
    process.write(device .. "/agent.lua", example("factory-to-field/agent.lua", {
      ["https://est.example.com:8443"] = server.url }))
  end)
  teardown(function()
    server:stop()
    os.execute("rm -rf " .. device .. " " .. ca.folder)
  end)

  local function once(...)
    local words = { process.lest, "agent", "--once", device .. "/agent.lua", ... }
    local code, _, err = process.run(words)
    return code, err
  end

  local function certificate()
    return assert(core.cert.load(device .. "/state/device/cert.pem"))
  end

  it("gets the owner's certificate by the maker's, and renews by its own", function()
    local code, err = once()
    assert.equal(0, code, err)
    local first = certificate()
    assert.equal("serialNumber=A-0001,CN=device-A-0001", tostring(first.subject))
    -- From now on without the maker's.
    os.rename(device .. "/idevid.key", device .. "/away.key")
    local renewed = process.wait_for(function()
      -- Refused until the last part of its life.
      return once "--renew" == 0 and certificate() ~= first and certificate()
    end, "a renewal", 120)
    assert.equal(tostring(first.subject), tostring(renewed.subject))
    assert.not_equal(first.public_key.der, renewed.public_key.der)
  end)

  it("gets nothing for a device that was not bought", function()
    local maker = make "A-0002"
    local other = process.folder()
    finally(function() os.execute("rm -rf " .. other) end)
    for name, path in pairs { ["idevid.pem"] = maker.path, ["idevid.key"] = maker.key,
      ["ca.pem"] = server.root, ["agent.lua"] = device .. "/agent.lua" } do
      process.must { "cp", path, other .. "/" .. name }
    end
    local code, _, err = process.run { process.lest, "agent", "--once", other .. "/agent.lua" }
    assert.equal(8, code)
    assert.matches("the device is not in the list", err)
  end)
end)

describe("examples/gateway", function()
  local server, sensor, pid

  setup(function()
    server = support.start {
      files = { ["own-name.lua"] = process.read "policies/own-name.lua" },
      config = function(text) return server_example("gateway/server.lua", text, {}) end,
    }
    sensor = process.folder()
    process.must { "cp", server.root, sensor .. "/ca.pem" }
    process.write(sensor .. "/secret", server:credential("sensor1", { "--kind", "challenge" }))
  end)
  teardown(function()
    if pid then process.kill(pid, "KILL") end
    server:stop()
    os.execute("rm -rf " .. sensor)
  end)

  --- Run what the unit runs; the address at which it listens.
  local function gateway()
    local unit = example("gateway/lest-forward.service", { ["/usr/bin/lest"] = process.lest,
      ["192.0.2.1:8080"] = "127.0.0.1:0", ["https://est.example.com:8443"] = server.url,
      ["/etc/lest/ca.pem"] = server.root })
    local words = {}
    for word in unit:match "\nExecStart=([^\n]+)\n":gmatch "%g+" do words[#words + 1] = word end
    local log = sensor .. "/gateway.log"
    pid = process.start(words, sensor .. "/out", log)
    return process.wait_for(function()
      return process.logged(log, "forwarding")[1]
    end, "the gateway", 60).listen
  end

  local function agent(...)
    local code, _, err = process.run { process.lest, "agent", ... }
    assert.equal(0, code, err)
    local cert = core.cert.load(sensor .. "/state/sensor1/cert.pem")
    return cert
  end

  it("gets a sensor its certificate and renews it, by the gateway and by a stick", function()
    local file, stick = sensor .. "/agent.lua", sensor .. "/stick.pem"
    process.write(file, example("gateway/agent.lua", { ["192.0.2.1:8080"] = gateway() }))
    local first = agent("--once", file)
    assert.equal("CN=sensor1", tostring(first.subject))
    local second = agent("--once", "--renew", file)
    assert.not_equal(first, second)
    process.write(file, example("gateway/agent.lua", {
      ['      gateway = "http://192.0.2.1:8080",\n'] = "" }))
    agent("export", stick, file, "--identity", "sensor1")
    process.must { process.lest, "forward", stick, "--to", server.url, "--trust", server.root }
    local third = agent("import", stick .. ".answer", file)
    assert.not_equal(second, third)
    assert.equal("CN=sensor1", tostring(third.subject))
    assert.equal("3", server:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=sensor1'")
  end)
end)
