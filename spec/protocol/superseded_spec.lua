-- Certificates in whose place there is another one: revoked some time after their renewal, where a
-- profile says so, or by an operator who names the other one, or their key.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

--- Renew with a certificate: the path of the new one, or the status of a refusal.
local function renew(server, name, as, reuse)
  local csr = server:csr(as, { subject = "/CN=" .. name, reuse = reuse })
  local status, body = server:post("/simplereenroll", csr, "--cert",
    ("%s/%s.pem"):format(server.folder, name), "--key", ("%s/%s.key"):format(server.folder, name))
  return status == 200 and server:save(body, as) or status
end

local function serial_of(path) return assert(core.cert.load(path)).serial end

local function state_of(server, path)
  return server:sql(("SELECT coalesce(revocation_reason, 'valid') FROM certificates "
    .. "WHERE serial = '%s'"):format(serial_of(path)))
end

--- As if the time until what is due had passed.
local function pass(server) server:change "UPDATE successions SET due = 1 WHERE due IS NOT NULL" end

local function wait_for(server, path, state)
  process.wait_for(function() return state_of(server, path) == state end, state, 90)
end

describe("revoke_previous", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("lifetime = ", 'revoke_previous = "24h", %0', 1))
    end }
  end)
  teardown(function() server:stop() end)

  it("revokes what was renewed, in its time, and never the new one", function()
    local old = server:enroll "device"
    local new = renew(server, "device", "device-new")
    local due = tonumber(server:sql(("SELECT due FROM successions WHERE serial = '%s'"):format(
      serial_of(old))))
    assert.is_true(math.abs(due - os.time() - 86400) < 120)
    local shown = process.must { server.lest, "cert", "show", serial_of(old), "--config",
      server.dir .. "/server.lua" }
    assert.matches("superseded_by +" .. serial_of(new), shown)
    assert.matches("revoked_after ", shown)
    assert.equal("valid", state_of(server, old))
    pass(server)
    wait_for(server, old, "superseded")
    assert.equal("valid", state_of(server, new))
    assert.equal(serial_of(new), server:logged "revoked after renewal"[1].successor)
  end)

  it("is done by the authority that is there then", function()
    local old = server:enroll "restarted"
    renew(server, "restarted", "restarted-new")
    local authority = server:pids("authority")[1]
    process.kill(authority, "KILL")
    pass(server)
    wait_for(server, old, "superseded")
  end)

  it("begins anew for a device that renews with the old one again, whose answer was lost",
    function()
      local old = server:enroll "again"
      renew(server, "again", "again-lost")
      server:change(("UPDATE successions SET due = due - 80000 WHERE serial = '%s'"):format(
        serial_of(old)))
      local second = renew(server, "again", "again-second")
      assert.equal(serial_of(second), server:sql(("SELECT successor FROM successions WHERE "
        .. "serial = '%s' AND due > %d"):format(serial_of(old), os.time() + 86000)))
    end)

  it("gives a device that asks again the same certificate, and still revokes the old one alone",
    function()
      local old = server:enroll "lost"
      local first = renew(server, "lost", "lost-new")
      local again = renew(server, "lost", "lost-new", true)
      assert.equal(serial_of(first), serial_of(again))
      pass(server)
      wait_for(server, old, "superseded")
      assert.equal("valid", state_of(server, first))
    end)

  it("revokes nothing for a certificate that was itself revoked", function()
    local old = server:enroll "kept"
    local new = renew(server, "kept", "kept-new")
    process.must { server.lest, "cert", "revoke", serial_of(new), "--config",
      server.dir .. "/server.lua" }
    pass(server)
    process.wait_for(function()
      return server:sql(("SELECT count(*) FROM successions WHERE serial = '%s'"):format(
        serial_of(old))) == "0"
    end, "the end of the succession", 90)
    assert.equal("valid", state_of(server, old))
  end)

  it("is a minute at least", function()
    local other <close> = support.make { config = function(text)
      return (text:gsub("lifetime = ", 'revoke_previous = "0s", %0', 1))
    end }
    local code, _, err = process.run { other.lest, "serve", "--check", other.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("revoke_previous", err)
  end)
end)

describe("lest cert revoke", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  local function revoke(...)
    return process.run { server.lest, "cert", "revoke", "--config", server.dir .. "/server.lua",
      ... }
  end

  it("notes what is in a certificate's place", function()
    local old, new = server:enroll "old", server:enroll "new"
    assert.equal(0, (revoke(serial_of(old), "--superseded-by", serial_of(new))))
    assert.equal("superseded", state_of(server, old))
    assert.matches("superseded_by +" .. serial_of(new), process.must { server.lest, "cert", "show",
      serial_of(old), "--config", server.dir .. "/server.lua" })
  end)

  it("takes nothing for a place that is not there, is revoked, or its own", function()
    local old, gone = server:enroll "stays", server:enroll "gone"
    revoke(serial_of(gone))
    for pattern, serial in pairs { ["no certificate has the serial"] = "0a0b",
      ["is revoked itself"] = serial_of(gone), ["in its own place"] = serial_of(old) } do
      local code, _, err = revoke(serial_of(old), "--superseded-by", serial)
      assert.not_equal(0, code)
      assert.matches(pattern, err)
      assert.equal("valid", state_of(server, old))
    end
    assert.equal(2, (revoke(serial_of(old), "--superseded-by", serial_of(gone), "--reason",
      "keyCompromise")))
  end)

  it("ends all of a key, by a certificate, a request or the key, through the socket", function()
    local base = server.folder .. "/"
    for i, file in ipairs { "pem", "csr", "key" } do
      local name = "keyed" .. i
      local first = server:enroll(name)
      local second = renew(server, name, name, true)
      local other = server:enroll(name .. "other")
      assert.not_equal(serial_of(other), serial_of(second))
      local code, out, err = revoke("--key", base .. name .. "." .. file, "--reason",
        "keyCompromise")
      assert.equal(0, code, err)
      assert.matches("revoked %x+  CN=" .. name, out)
      assert.equal("keyCompromise", state_of(server, first))
      assert.equal("valid", state_of(server, other))
      local again
      again, out, err = revoke("--key", base .. name .. "." .. file)
      assert.equal("", out)
      assert.not_equal(0, again)
      assert.matches("no certificate of this key could be revoked", err)
    end
  end)

  it("says what is no key, and what no certificate has", function()
    local text = server:file("text", "no key\n")
    local code, _, err = revoke("--key", text)
    assert.equal(2, code)
    assert.matches("no certificate, request or key", err)
    code, _, err = revoke("--key", server:csr "unknown")
    assert.equal(1, code)
    assert.matches("no certificate of this key", err)
  end)
end)
