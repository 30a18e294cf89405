-- "A second CA" of OPERATING.md, as an operator does it: its commands and its configuration, out of
-- the document.
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

describe("a second CA", function()
  local server

  setup(function()
    server = support.make()
    local document = process.read "OPERATING.md"
    local words = document:match "`lest (ca init /etc/lest/plant [^`]*)`"
    local made = shell.run(shell.binary .. " "
      .. words:gsub("/etc/lest", function() return shell.quote(server.dir) end))
    assert.equal(0, made.code, made.err)
    assert.not_matches("start the server", made.out)
    assert.equal("ca.key\nca.pem\n", shell.run("ls " .. shell.quote(server.dir .. "/plant")).out)
    local lines = document:match "A second CA.-```lua\n(.-)```"
    server:edit_config(function(text)
      text = text:gsub("\n  anchors = %b{},", ""):gsub("\n  labels = %b{},", "")
      return (text:gsub("}%s*$", function() return lines .. "}\n" end))
    end)
    server:run()
  end)
  teardown(function() server:stop() end)

  local function trust()
    local file = server.folder .. "/trust.pem"
    process.write(file, process.read(server.root) .. process.read(server.dir .. "/plant/ca.pem"))
    return file
  end

  --- Enroll anew, or with the key and the secret that are there.
  local function enroll(name, label, ...)
    local secret, key = server.folder .. "/secret." .. name, server.folder .. "/" .. name .. ".key"
    if not process.exists(secret) then process.write(secret, server:credential(name)) end
    return shell.lest("enroll", server.url, "--label", label, "--username", name,
      "--password-file", secret, "--subject", "CN=" .. name, "--new-key", "ec:P-256",
      "--key-out", key, "--out", server.folder .. "/" .. name .. ".pem", ...)
  end

  it("is no doubt of --check", function()
    local result = shell.lest("serve", "--check", server.dir .. "/server.lua")
    assert.same({ "ok\n", "" }, { result.out, result.err })
  end)

  it("lets devices of both labels enroll with a password", function()
    for name, label in pairs { pump1 = "default", pump2 = "plant" } do
      local result = enroll(name, label, "--trust", trust())
      assert.equal(0, result.code, result.err)
      result = shell.lest("reenroll", server.url, "--label", label, "--trust", trust(), "--cert",
        server.folder .. "/" .. name .. ".pem", "--key", server.folder .. "/" .. name .. ".key")
      assert.equal(0, result.code, result.err)
    end
  end)

  it("is named to a device that does not trust it, which gets its certificate still", function()
    local result = enroll("pump3", "plant", "--trust", server.root)
    assert.equal(3, result.code)
    assert.matches("its CA, CN=Plant CA, among the anchors (--trust), or take the server's "
      .. "(--trust-cacerts), and ask again with the same key", result.err, 1, true)
    result = enroll("pump3", "plant", "--trust", server.root, "--trust-cacerts")
    assert.equal(0, result.code, result.err)
  end)
end)
