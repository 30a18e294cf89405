-- examples/registration-authority.lua asks, with the certificate of an RA, for devices that cannot
-- reach the server (RFC 7030 3.7): requests go from hand to hand, and certificates back.
local process = require "support.process"
local servers = require "support.server"

describe("examples/registration-authority.lua", function()
  local server, folder
  local CONFIG <const> = [[profiles = {
    ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal",
      eku = { "clientAuth", "cmcRA" } },]]
  local LABELS <const> = [[labels = {
    ra = { policy = "own-name.lua", profile = "ra", auth = { "basic" } },]]

  setup(function()
    server = servers.start { policy = process.read "policies/registration-authority.lua",
      files = { ["own-name.lua"] = process.read "policies/own-name.lua" }, config = function(text)
        text = text:gsub('names = "principal"', 'names = "policy"', 1)
          :gsub("profiles = {", CONFIG, 1):gsub("labels = {", LABELS, 1)
        return (text:gsub('policy = "policy.lua",',
          '%0 channel_binding = "required", renews = { "default", "ra" },', 1))
      end }
    folder = server.folder .. "/line"
    process.must { "mkdir", folder }
    process.must { "cp", server.dir .. "/ca.pem", folder }
  end)
  teardown(function() server:stop() end)

  --- The certificate and key that the script shows, enrolled at a label.
  local function shows(name, label)
    local secret = server:credential(name)
    local status, body = server:post(label .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. secret)
    assert.equal(200, status, body)
    process.must { "mv", server:save(body, name), folder .. "/ra.pem" }
    process.must { "cp", server.folder .. "/" .. name .. ".key", folder .. "/ra.key" }
  end

  local function run(...)
    local example = process.must("realpath examples/registration-authority.lua"):gsub("\n", "")
    return process.run({ servers.lest, "run", example, server.url, ... }, { dir = folder })
  end

  it("7030-3.7-b 7030-3.7-c asks for devices that have no network, by what they signed", function()
    shows("ra001", "/ra")
    for _, name in ipairs { "pump1", "pump2" } do
      -- Their keys are theirs: the script sees requests alone.
      process.must { "cp", server:csr(name), folder .. "/" .. name .. ".csr" }
    end
    local code, out, err = run("pump1.csr", "pump2.csr")
    assert.equal(0, code, err)
    assert.matches("pump1.csr: CN=pump1", out)
    for _, name in ipairs { "pump1", "pump2" } do
      assert.equal(process.must { "openssl", "x509", "-noout", "-pubkey", "-in",
        folder .. "/" .. name .. ".pem" }, process.must { "openssl", "pkey", "-pubout", "-in",
        server.folder .. "/" .. name .. ".key" })
    end
    assert.equal("own:CN=ra001|own:CN=pump2", server:sql(
      "SELECT principal_name, device FROM certificates WHERE subject = 'CN=pump2'"))
    -- What was lost on the way is given again.
    local before = process.read(folder .. "/pump1.pem")
    assert.equal(0, (run "pump1.csr"))
    assert.equal(before, process.read(folder .. "/pump1.pem"))
  end)

  it("7030-3.7-d is refused for who is no RA, and says which request failed", function()
    process.must { "cp", server:csr "pump3", folder .. "/pump3.csr" }
    local path = server.folder .. "/thing"
    process.write(path, server:credential "thing" .. "\n")
    process.must { servers.lest, "enroll", server.url, "--trust", server.root, "--username",
      "thing", "--password-file", path, "--subject", "CN=thing", "--new-key", "ec:P-256",
      "--key-out", path .. ".key", "--out", path .. ".pem" }
    process.must { "cp", path .. ".pem", folder .. "/ra.pem" }
    process.must { "cp", path .. ".key", folder .. "/ra.key" }
    local code, _, err = run("pump3.csr", "nothere.csr")
    assert.equal(1, code, err)
    assert.matches("2 of 2 failed", err)
    assert.matches("1: .*linked", err)
    assert.matches("2: .*nothere.csr", err)
    assert.is_false(process.exists(folder .. "/pump3.pem"))
  end)
end)
