-- The scripts in examples/ do what their pages promise, each run as a device would run it.
local process = require "support.process"
local servers = require "support.server"

-- A device's folder beside a server; run() is what the device runs at every boot.
local function device(server, name)
  local folder = server.folder .. "/" .. name
  process.must { "mkdir", folder }
  process.must { "cp", server.dir .. "/ca.pem", folder }
  local example = process.must("realpath examples/provision.lua"):gsub("\n", "")
  return {
    folder = folder,
    run = function()
      return process.run({ servers.lest, "run", example, server.url, name }, { dir = folder })
    end,
    password = function()
      process.write(folder .. "/password", server:credential(name) .. "\n")
    end,
    read = function(file) return process.read(folder .. "/" .. file) end,
    exists = function(file) return process.exists(folder .. "/" .. file) end,
    matches = function()
      return process.must("openssl x509 -noout -pubkey -in device.pem", { dir = folder })
        == process.must("openssl pkey -pubout -in device.key", { dir = folder })
    end,
  }
end

local function lifetime(days)
  return function(text)
    return (text:gsub('lifetime = "90d"', ('lifetime = "%dd"'):format(days)))
  end
end

describe("examples/provision.lua", function()
  local server
  after_each(function() if server then server:stop() end end)

  it("enrolls once, and leaves a fresh certificate alone", function()
    server = servers.start()
    local it = device(server, "device001")
    it.password()
    local code, out, err = it.run()
    assert.equal("", err)
    assert.equal(0, code)
    assert.matches("^CN=device001 until 20", out)
    assert.is_true(it.matches())
    assert.is_false(it.exists "password")
    assert.equal("600\n", process.must({ "stat", "-c", "%a", it.folder .. "/device.key" }))
    process.must("openssl verify -CAfile ca.pem device.pem", { dir = it.folder })
    local before = it.read "device.pem"
    assert.equal(0, (it.run()))
    assert.equal(before, it.read "device.pem")
  end)

  it("gets the same certificate when its answer was lost", function()
    server = servers.start()
    local it = device(server, "device002")
    it.password()
    local password = it.read "password"
    assert.equal(0, (it.run()))
    local before = it.read "device.pem"
    os.remove(it.folder .. "/device.pem")
    process.write(it.folder .. "/password", password)
    assert.equal(0, (it.run()))
    assert.equal(before, it.read "device.pem")
  end)

  it("renews with a new key before the end, also after it was cut short", function()
    server = servers.start { config = lifetime(20) }
    local it = device(server, "device003")
    it.password()
    assert.equal(0, (it.run()))
    local first, first_key = it.read "device.pem", it.read "device.key"
    local code, _, err = it.run()
    assert.equal("", err)
    assert.equal(0, code)
    assert.not_equal(first, it.read "device.pem")
    assert.not_equal(first_key, it.read "device.key")
    assert.is_true(it.matches())
    -- Cut short after the certificate was saved: the key is still beside its place.
    process.must("mv device.key next.key", { dir = it.folder })
    process.write(it.folder .. "/device.key", first_key)
    assert.equal(0, (it.run()))
    assert.is_true(it.matches())
    assert.is_false(it.exists "next.key")
  end)

  it("says in one line why it got nothing, with the exit code of that", function()
    server = servers.start()
    local it = device(server, "device004")
    process.write(it.folder .. "/password", "wrong\n")
    local code, _, err = it.run()
    assert.equal(4, code)
    assert.matches("^lest run: [^\n]+\n$", err)
    server.url = "https://localhost:1"
    code = device(server, "device005").run()
    assert.equal(1, code) -- no file "password"
  end)
end)

describe("examples/quickstart", function()
  local folder
  setup(function()
    folder = process.folder()
    process.must { "chmod", "755", folder }
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  it("shows a device that enrolls, renews, and is on a CRL; leaves nothing, and again", function()
    local preset = LEST_PREFIX:match "[^/]+$"
    for _ = 1, 2 do
      local code, out, err = process.run { "env", "TMPDIR=" .. folder, "examples/quickstart",
        "--preset", preset }
      assert.equal(0, code, out .. err)
      local serials = {}
      for serial in out:gmatch "Certificate\n  Subject +CN=device001\n.-Serial number +(%x+)\n" do
        serials[#serials + 1] = serial
      end
      assert.equal(2, #serials, out)
      for i, state in ipairs { "revoked", "valid" } do
        assert.matches("\n" .. serials[i] .. " +" .. state .. " +[%d-]+ +CN=device001\n", out)
      end
      assert.matches("\n  Revoked +" .. serials[1] .. " since [%d-]+ [%d:]+ UTC, superseded\n",
        out)
      assert.matches("\n%w+ +device001 +used ", out)
      local approved = "%x+%-%x+%-%x+ +[%d-]+ %d%d:%d%d +approve +device001 +%-\n"
      assert.equal(2, select(2, out:gsub(approved, "")))
      assert.equal("", process.must { "find", folder, "-mindepth", "1" })
      -- The brackets keep the shell around pgrep out of it.
      assert.equal(1, (process.run { "pgrep", "-f", "[/]" .. folder:sub(2) }))
    end
  end)
end)

describe("policies/two-operators.lua in a server", function()
  local server
  after_each(function() if server then server:stop() end end)

  it("issues after two operators have agreed", function()
    server = servers.start { policy = process.read "policies/two-operators.lua" }
    local secret = server:credential "device001"
    local csr = server:csr "device001"
    local function ask()
      return server:post("/simpleenroll", csr, "--user", "device001:" .. secret)
    end
    local status, _, headers = ask()
    assert.equal(202, status)
    assert.equal("300", headers["retry-after"])
    local config = { "--config", server.dir .. "/server.lua" }
    local list = process.must { servers.lest, "pending", "list", "--json", table.unpack(config) }
    local id = require("cjson").decode(list)[1].id
    for _, operator in ipairs { "alice", "bob" } do
      assert.equal(202, (ask()))
      process.must { servers.lest, "pending", "approve", id, "--as", operator,
        table.unpack(config) }
    end
    assert.equal(200, (ask()))
  end)
end)
