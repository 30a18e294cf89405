-- The client by way of proxies that others wrote: tinyproxy (CONNECT) and microsocks (SOCKS5), each
-- with a user name and a password; and to an IPv6 address.
local core = require "lest.core"
local est = require "support.est"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local NAME <const>, PASSWORD <const> = "me", "proxy-secret"

describe("by way of a proxy", function()
  local world, server, folder, ports, pids

  local function start(words, port)
    table.insert(pids, process.start(words, folder .. "/out", folder .. "/log"))
    process.wait_for(function()
      return os.execute(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d' 2>/dev/null"):format(port))
    end, words[1], 10)
  end

  setup(function()
    world, folder, pids = est.world(), process.folder(), {}
    server = world:serve()
    ports = { http = process.free_port(), socks5h = process.free_port() }
    process.write(folder .. "/tinyproxy.conf", ("Port %d\nListen 127.0.0.1\nTimeout 20\n"
      .. "MaxClients 20\nAllow 127.0.0.1\nBasicAuth %s %s\nConnectPort %d\n"):format(ports.http,
      NAME, PASSWORD, server.port))
    start({ "tinyproxy", "-d", "-c", folder .. "/tinyproxy.conf" }, ports.http)
    start({ "microsocks", "-i", "127.0.0.1", "-p", tostring(ports.socks5h), "-u", NAME, "-P",
      PASSWORD }, ports.socks5h)
    process.write(folder .. "/password", PASSWORD .. "\n")
    process.write(folder .. "/wrong", "another\n")
  end)
  teardown(function()
    for _, pid in ipairs(pids) do process.kill(pid) end
    server:stop()
    world:close()
  end)

  local function ask(environment, ...)
    local line = shell.line("csrattrs", server.url, "--trust", world.root.path, ...)
    return shell.run(environment .. " " .. line)
  end

  local function address(kind)
    return ("%s://127.0.0.1:%d"):format(kind, ports[kind])
  end

  for _, kind in ipairs { "http", "socks5h" } do
    it(("gets through with a user name and a password: %s"):format(kind), function()
      server:answer(est.csrattrs { "challengePassword" })
      local result = ask("", "--proxy", address(kind), "--proxy-username", NAME,
        "--proxy-password-file", folder .. "/password")
      assert.equal(0, result.code, result.err)
      assert.matches("challengePassword", result.out)
      local requests = server:requests()
      assert.is_nil(requests[#requests].headers["proxy-authorization"])
    end)

    it(("gets through by the environment: %s"):format(kind), function()
      for _, variable in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } do
        server:answer(est.csrattrs())
        local before = #server:requests()
        local with = ("%s=%s"):format(variable, address(kind):gsub("://", "://" .. NAME .. ":"
          .. PASSWORD .. "@"))
        assert.equal(0, ask(with).code)
        assert.equal(before + 1, #server:requests())
        -- It was the proxy that got it there: without the password it does not.
        local result = ask(("%s=%s"):format(variable, address(kind)))
        assert.equal(6, result.code)
        assert.is_nil(result.err:find(PASSWORD, 1, true))
      end
    end)

    it(("is told where the password is wrong, and shows none: %s"):format(kind), function()
      local result = ask("", "--proxy", address(kind), "--proxy-username", NAME,
        "--proxy-password-file", folder .. "/wrong")
      assert.equal(6, result.code)
      assert.matches("the proxy 127.0.0.1:" .. ports[kind], result.err, 1, true)
      assert.is_nil(result.err:find("another", 1, true))
    end)
  end

  it("goes past the environment's for '' and for no_proxy", function()
    server:answer(est.csrattrs(), 2)
    assert.equal(0, ask("https_proxy=http://127.0.0.1:1", "--proxy", "").code)
    assert.equal(0, ask("https_proxy=http://127.0.0.1:1 no_proxy=localhost").code)
    assert.equal(6, ask("https_proxy=http://127.0.0.1:1").code)
  end)

  it("takes no address of another kind, nor a password in it", function()
    for _, wrong in ipairs { "https://127.0.0.1:1", "ftp://h:1", "http://me:x@h:1", "h:1",
      "http://h", "socks4://h:1" } do
      local result = ask("", "--proxy", wrong)
      assert.equal(2, result.code, wrong)
      assert.matches("a proxy is http://HOST:PORT", result.err, 1, true)
    end
    assert.equal(2, ask("", "--proxy-username", "x").code)
    assert.equal(2, ask("", "--proxy", "http://h:1", "--proxy-password-file",
      folder .. "/password").code)
    local client, err = core.http_client.new { system = true, proxy = "https://h:1" }
    assert.is_nil(client)
    assert.equal("usage", err.code)
  end)
end)

describe("an IPv6 address", function()
  it("is spoken to and verified as one", function()
    local server <close> = support.start { listen = { "[::1]:0" } }
    local url = "https://[::1]:" .. server.port
    local renewed = shell.run(("cd %s && %s ca server-cert . --host ::1 2>&1"):format(
      server.dir, support.lest))
    assert.equal(0, renewed.code, renewed.out)
    local result = shell.lest("cacerts", url, "--trust", server.root)
    assert.equal(3, result.code)
    assert.matches("::1", result.err, 1, true)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > 1 end, "the new generation", 20)
    result = shell.lest("cacerts", url, "--trust", server.root, "--trace")
    assert.equal(0, result.code, result.err)
    assert.matches("[Hh]ost: %[::1%]:" .. server.port, result.err)
    assert.equal(0, shell.lest("csrattrs", "[::1]:" .. server.port, "--trust", server.root).code)
  end)
end)
