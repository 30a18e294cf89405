-- The client of lest against the server of lest, from bootstrap to renewal.
local lest = require "lest"
local process = require "support.process"
local servers = require "support.server"
local shell = require "support.shell"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    if name == "wait" and #request.approvals == 0 then
      return policy.pending { "ask Bob", retry_after = "1s", expires = "1h" }
    end
    if name ~= request.principal.name then return policy.reject "not your name" end
    return policy.approve { subject = { { "CN", name } }, san = request.csr.san }
  end,
  reenroll = function(request)
    local change = request.csr.change
    if change and change.subject.CN == "renamed" then
      return policy.approve { subject = change.subject, san = change.san }
    end
    return policy.renew { window = "1000d" }(request)
  end,
}
]]

local function names_by_policy(text)
  return (text:gsub('names = "principal",', 'names = "policy", san = { "DNS" },'))
end

describe("the client with this project's server", function()
  local server

  setup(function() server = servers.start { policy = POLICY, config = names_by_policy } end)
  teardown(function() server:stop() end)

  local function client(name, options)
    local all = { url = server.url, trust = server.dir .. "/ca.pem", notify = function() end }
    if name then all.username, all.password = name, server:credential(name) end
    for key, value in pairs(options or {}) do all[key] = value or nil end
    return lest.client(all)
  end

  local function new_key()
    return assert(lest.key.generate "ec:P-256")
  end

  it("enrolls after a bootstrap by fingerprint, then renews with a new key", function()
    local root = assert(lest.cert.load(server.dir .. "/ca.pem"))
    local device = client("device001", { trust = false, fingerprint = root.fingerprint })
    local key, fresh = new_key(), new_key()
    local cert, changed = assert(device:enroll { key = key, subject = "CN=device001" })
    assert.same({}, changed)
    assert.equal("CN=device001", tostring(cert.subject))
    local renewed = assert(client(nil, { cert = cert, key = key }):reenroll { key = fresh })
    assert.equal(fresh:public_der(), renewed.public_key.der)
    assert.equal(cert.subject_der, renewed.subject_der)
    assert.not_equal(cert.serial, renewed.serial)
    local root_found = assert(device:cacerts()).root
    assert.equal(root, root_found)
  end)

  it("7030-4.2.2-b asks for other names, and tells what it got", function()
    local key, fresh = new_key(), new_key()
    local cert = assert(client("device002"):enroll { key = key, subject = "CN=device002" })
    local me = client(nil, { cert = cert, key = key })
    local change = { subject = "CN=renamed", san = { "DNS:renamed.example" } }
    local renewed, changed = assert(me:reenroll { key = fresh, change = change })
    assert.same({ "CN=renamed", { "DNS:renamed.example" } },
      { tostring(renewed.subject), renewed.san })
    assert.same({}, changed)
    change.subject = "CN=forbidden"
    local refused, err = me:reenroll { key = new_key(), change = change }
    assert.is_nil(refused)
    assert.equal("a change of names is not granted here", err.reason)
  end)

  it("gets the same certificate for the same key and secret again", function()
    local device, key = client "again", new_key()
    local first = assert(device:enroll { key = key, subject = "CN=again" })
    assert.equal(first, assert(device:enroll { key = key, subject = "CN=again" }))
    local other, err = device:enroll { key = new_key(), subject = "CN=again" }
    assert.is_nil(other)
    assert.same({ "unauthenticated", 4 }, { err.code, err.exit_code })
  end)

  it("tells the policy's reason and the request's id", function()
    local cert, err = client("me"):enroll { key = new_key(), subject = "CN=you" }
    assert.is_nil(cert)
    assert.same({ "refused", 7, 403, "not your name" },
      { err.code, err.exit_code, err.status, err.reason })
    assert.is_truthy(err.request_id)
  end)

  it("7030-4.2-i 7030-4.2.3-m waits until somebody has approved", function()
    local device, key = client "wait", new_key()
    local cert, err = device:enroll { key = key, subject = "CN=wait" }
    assert.is_nil(cert)
    assert.same({ "pending", 5, "ask Bob" }, { err.code, err.exit_code, err.reason })
    local approve = ([[sleep 0.3; id=$(%s pending list --json --config %s | sed -n ]]
      .. [['s/.*"id": "\(.*\)".*/\1/p' | head -1); %s pending approve "$id" --as bob --config %s]])
      :format(shell.binary, server.dir .. "/server.lua", shell.binary, server.dir .. "/server.lua")
    os.execute("(" .. approve .. ") >" .. server.folder .. "/approve 2>&1 &")
    cert, err = device:enroll { key = key, subject = "CN=wait", wait = "15s" }
    assert.is_truthy(cert, tostring(err) .. process.read(server.folder .. "/approve"))
  end)

  it("is many devices at once, in one script", function()
    local calls = {}
    for i = 1, 30 do
      local name = "many" .. i
      local device = client(name)
      calls[i] = function()
        return assert(device:enroll { key = new_key(), subject = { { "CN", name } } }).serial
      end
    end
    local seen = {}
    for _, serial in ipairs(lest.all(calls, { limit = 10 })) do seen[serial] = true end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.equal(30, count)
  end)

  it("7030-4.1.3-l refuses a server under another CA", function()
    local other <const> = servers.make()
    local cert, err = client(nil, { trust = other.dir .. "/ca.pem" }):cacerts()
    other:stop()
    assert.is_nil(cert)
    assert.same({ "trust", 3 }, { err.code, err.exit_code })
  end)

  it("runs the provisioning script of the documents", function()
    local script = server.folder .. "/provision.lua"
    process.write(script, [[
local lest = require "lest"
local client = lest.client {
  url = arg[1], label = "default", trust = arg[2] .. "/ca/ca.pem",
  username = "device9", password = os.getenv "BOOTSTRAP",
}
local key = assert(lest.key.generate "ec:P-256")
assert(key:save(arg[2] .. "/device9.key"))
local cert, err = client:enroll { key = key, subject = "CN=device9", wait = "10m" }
if not cert then
  io.stderr:write(tostring(err), "\n")
  os.exit(err.exit_code)
end
assert(cert:save(arg[2] .. "/device9.pem"))
local fresh = assert(lest.key.generate "ec:P-256")
local me = client:with { cert = cert, key = key }
local renewed = assert(me:reenroll { key = fresh })
print(renewed.subject)
]])
    local result = shell.run(("BOOTSTRAP=%s %s run %s %s %s"):format(server:credential "device9",
      shell.binary, script, server.url, server.folder))
    assert.equal(0, result.code, result.err)
    assert.equal("CN=device9\n", result.out)
    result = shell.run(("BOOTSTRAP=wrong %s run %s %s %s"):format(shell.binary, script, server.url,
      server.folder))
    assert.equal(4, result.code)
  end)
end)
