-- The CRLs that the server makes: what they say, when there is a new one, and that a verifier which
-- follows a certificate's own distribution point is told of each revocation (RFC 5280 5).
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

--- support.start's configuration with plain HTTP at this port, and these keys besides.
local function config_of(port, more)
  return function(text)
    return (text:gsub("labels = {", ('listen_http = "127.0.0.1:%d", %s\n  %%0'):format(port,
      more or ""):gsub("%%", "%%%%"):gsub("%%%%0", "%%0"), 1))
  end
end

local function run(server, ...)
  return process.run { server.lest, "cert", "revoke", "--config", server.dir .. "/server.lua", ... }
end

local function revoke(server, ...)
  local code, out, err = run(server, ...)
  assert(code == 0, out .. err)
end

--- The distribution points of a certificate.
local function points(path)
  local text = process.must { "openssl", "x509", "-in", path, "-noout", "-ext",
    "crlDistributionPoints" }
  local found = {}
  for url in text:gmatch "URI:(%S+)" do table.insert(found, url) end
  return found
end

local function serial_of(path)
  return (assert(core.cert.load(path)).serial)
end

--- The CRL at a path of the TLS listener.
local function fetch(server, path)
  local status, body = server:curl("/../.." .. path)
  assert(status == 200, status)
  return assert(core.crl.parse(body))
end

describe("the CRL of a server's CA", function()
  local server, port

  setup(function()
    port = process.free_port()
    server = support.start { config = config_of(port) }
  end)
  teardown(function() server:stop() end)

  --- What openssl says of a certificate by the CRL that curl fetches from its own distribution
  --- point: true, or its words.
  local function verify(path)
    local file = server.folder .. "/fetched"
    process.must { "curl", "-sSf", "--max-time", "20", "-o", file .. ".der", points(path)[1] }
    process.must { "openssl", "crl", "-inform", "DER", "-in", file .. ".der", "-out", file }
    local code, _, err = process.run { "openssl", "verify", "-crl_check", "-CAfile", server.root,
      "-CRLfile", file, path }
    return code == 0 or err
  end

  --- Wait until the CRL has a serial, and return it.
  local function with(serial)
    return process.wait_for(function()
      local crl = fetch(server, "/crl/ca.crl")
      return crl:find(serial) and crl
    end, "a CRL with the certificate", 60)
  end

  it("tells whom a certificate sends to it of a revocation", function()
    local device = server:enroll "device"
    assert.equal(1, #points(device))
    assert.matches(("^http://localhost:%d/crl/%%x+%%.crl$"):format(port), points(device)[1])
    assert.is_true(verify(device))
    revoke(server, serial_of(device), "--reason", "keyCompromise")
    with(serial_of(device))
    assert.matches("certificate revoked", verify(device))
    assert.is_true(verify(server:enroll "other"))
  end)

  it("is followed by openssl itself", function()
    local device = server:enroll "downloads"
    local words = { "openssl", "verify", "-crl_check", "-crl_download", "-CAfile", server.root,
      device }
    process.must(words)
    revoke(server, serial_of(device))
    with(serial_of(device))
    local code, _, err = process.run(words)
    assert.not_equal(0, code)
    assert.matches("certificate revoked", err)
  end)

  it("5280-5.2 is signed by the CA, with a number, a reason, and the time of each revocation",
    function()
      local device = server:enroll "listed"
      local before = os.time()
      revoke(server, serial_of(device), "--reason", "superseded")
      local crl = with(serial_of(device))
      local ca = assert(core.cert.load(server.dir .. "/ca.pem"))
      assert.is_true(crl:verify(ca))
      assert.same({ 2, ca.ski }, { crl.version, crl.aki })
      local entry = crl:find(serial_of(device))
      assert.equal("superseded", entry.reason)
      assert.is_true(entry.date >= before and entry.date <= os.time())
      -- Five minutes back, and not before the CA.
      assert.is_true(crl.this_update <= os.time() and crl.this_update >= ca.not_before)
      local made = crl.next_update - 7 * 86400
      assert.is_true(made >= entry.date and made <= os.time())
    end)

  it("leaves a reason out that says nothing", function()
    local device = server:enroll "unspecified"
    revoke(server, serial_of(device), "--reason", "unspecified")
    assert.is_nil(with(serial_of(device)):find(serial_of(device)).reason)
  end)

  it("is one document for its name and its key, with a tag of its own for each CRL", function()
    local function head(path)
      local status, _, headers = server:curl("/../.." .. path)
      assert.equal(200, status)
      return headers
    end
    local own = points(server:enroll "paths")[1]:match "(/crl/.*)$"
    local first = head "/crl/ca.crl"
    assert.equal("application/pkix-crl", first["content-type"])
    assert.equal(first.etag, head(own).etag)
    local device = server:enroll "tags"
    revoke(server, serial_of(device))
    with(serial_of(device))
    assert.not_equal(first.etag, head(own).etag)
    assert.equal(304, (server:curl("/../.." .. own, "-H", "If-None-Match: " .. head(own).etag)))
    assert.equal(200, (server:curl("/../.." .. own, "-H", "If-None-Match: " .. first.etag)))
  end)

  it("5280-5.2.3 takes a higher number each time, whoever makes it", function()
    local numbers = {}
    local function note() table.insert(numbers, fetch(server, "/crl/ca.crl").number) end
    note()
    for i = 1, 3 do
      local device = server:enroll("numbered" .. i)
      local authority = server:pids("authority")[1]
      revoke(server, serial_of(device))
      process.kill(authority, "KILL")
      process.wait_for(function()
        local now = server:pids("authority")[1]
        return now and now ~= authority
      end, "another authority", 60)
      with(serial_of(device))
      note()
    end
    process.must { server.lest, "policy", "reload", "--config", server.dir .. "/server.lua" }
    note()
    local device = server:enroll "numbered after"
    revoke(server, serial_of(device))
    with(serial_of(device))
    note()
    for i = 2, #numbers do
      assert.is_true(numbers[i] > numbers[i - 1], table.concat(numbers, " "))
    end
    -- No number was taken by two, also not after a backup has been restored: it is a time.
    local seen = {}
    for _, line in ipairs(server:logged "CRL made") do
      assert.is_nil(seen[line.number])
      seen[line.number] = true
      assert.is_true(line.number >= os.time() - 3600)
    end
  end)

  it("5280-3.3-a keeps what has expired until all CRLs of that time are over", function()
    local gone, kept = server:enroll "long gone", server:enroll "just over"
    revoke(server, serial_of(gone))
    revoke(server, serial_of(kept))
    with(serial_of(kept))
    -- Neither would be looked at any more, but for the CRLs that are good still.
    server:change(("UPDATE certificates SET not_after = %d WHERE serial = '%s'"):format(
      os.time() - 7 * 86400 - 3600, serial_of(gone)))
    server:change(("UPDATE certificates SET not_after = %d WHERE serial = '%s'"):format(
      os.time() - 6 * 86400, serial_of(kept)))
    local device = server:enroll "next"
    revoke(server, serial_of(device))
    local crl = with(serial_of(device))
    assert.is_nil(crl:find(serial_of(gone)))
    assert.truthy(crl:find(serial_of(kept)))
  end)

  it("is not kept from being made by what cannot be on it", function()
    local bad, good = server:enroll "bad", server:enroll "good"
    local long = ("11"):rep(30)
    local function name(from, to)
      server:change(("UPDATE certificates SET serial = '%s' WHERE serial = '%s'"):format(to, from))
    end
    revoke(server, serial_of(bad))
    with(serial_of(bad))
    name(serial_of(bad), long)
    revoke(server, serial_of(good))
    assert.is_nil(with(serial_of(good)):find(serial_of(bad)))
    name(long, serial_of(bad))
  end)

  it("has what is on hold, which is revoked here", function()
    local bad, good = server:enroll "bad", server:enroll "good"
    revoke(server, serial_of(bad))
    with(serial_of(bad))
    server:change(("UPDATE certificates SET revocation_reason = 'certificateHold' WHERE serial = "
      .. "'%s'"):format(serial_of(bad)))
    revoke(server, serial_of(good))
    assert.is_nil(with(serial_of(good)):find(serial_of(bad)).reason)
  end)
end)

describe("a server's CRL", function()
  it("hears of what is revoked in the ledger, without the server", function()
    local server <close> = support.start { config = config_of(process.free_port(),
      "control = false,") }
    local device = server:enroll "device"
    revoke(server, serial_of(device))
    process.wait_for(function()
      return fetch(server, "/crl/ca.crl"):find(serial_of(device))
    end, "a CRL with the certificate", 60)
  end)

  it("is there in both generations while they make it at once", function()
    local server <close> = support.start { config = config_of(process.free_port(),
      'drain = "60s",') }
    local config = server.dir .. "/server.lua"
    for i = 1, 3 do
      local device = server:enroll("device" .. i)
      process.must { server.lest, "policy", "reload", "--config", config }
      revoke(server, serial_of(device))
      process.wait_for(function()
        return fetch(server, "/crl/ca.crl"):find(serial_of(device))
      end, "a CRL with the certificate", 60)
    end
    local seen = {}
    for _, line in ipairs(server:logged "CRL made") do
      assert.is_nil(seen[line.number])
      seen[line.number] = true
    end
  end)

  it("is as long as the configuration says, and renewed in time", function()
    local server <close> = support.start { config = config_of(process.free_port(),
      'crl = { lifetime = "600s", refresh = "60s" },') }
    local crl = fetch(server, "/crl/ca.crl")
    assert.is_true(math.abs(crl.next_update - 600 - os.time()) < 60)
    -- As if a minute had passed; the authority that is started then is a new one in any case.
    local before = crl.number
    server:change "UPDATE crls SET made = made - 61"
    process.must { server.lest, "policy", "reload", "--config", server.dir .. "/server.lua" }
    assert.is_true(fetch(server, "/crl/ca.crl").number > before)
  end)

  it("is none where it is not wanted, nor named", function()
    local server <close> = support.start { config = config_of(process.free_port(),
      "crl = false,") }
    assert.equal(404, (server:curl "/../../crl/ca.crl"))
    assert.same({}, points(server:enroll "device"))
  end)

  it("is not named by a profile that says so, or names another", function()
    local server <close> = support.make { config = config_of(process.free_port()) }
    server:edit_config(function(text)
      return (text:gsub("lifetime = ", "crl_urls = {}, %0", 1))
    end)
    server:run()
    assert.same({}, points(server:enroll "device"))
    assert.equal(0, fetch(server, "/crl/ca.crl").count)
  end)

  it("must be renewed before it is over", function()
    local server <close> = support.make { config = config_of(process.free_port(),
      'crl = { lifetime = "1h", refresh = "1h" },') }
    local code, _, err = process.run { server.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("crl.refresh", err)
  end)
end)
