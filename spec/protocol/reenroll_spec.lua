-- /simplereenroll: a certificate is renewed with its own names, and only while it is valid (RFC
-- 7030 4.2.2).
local core = require "lest.core"
local der = require "support.der"
local process = require "support.process"
local support = require "support.server"

describe("/simplereenroll", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  --- Renew NAME.pem with a CSR file.
  local function renew(name, csr, ...)
    local base = server.folder .. "/" .. name
    return server:post("/simplereenroll", csr, "--cert", base .. ".pem", "--key", base .. ".key",
      ...)
  end

  --- A CSR under another file name, so that NAME.key stays.
  local function fresh_csr(name, options)
    options = options or {}
    options.subject = options.subject or "/CN=" .. name
    return server:csr("fresh-" .. name, options)
  end

  local function revoke(cert)
    process.must { process.lest, "cert", "revoke", cert.serial, "--reason", "keyCompromise",
      "--config", server.dir .. "/server.lua" }
  end

  it("7030-3.2.2-d 7030-4.2.2-d issues for a new key with the old names", function()
    local old = core.cert.load(server:enroll "renew01")
    local status, body = renew("renew01", fresh_csr "renew01")
    assert.equal(200, status, body)
    local new = core.cert.load(server:save(body, "renewed01"))
    assert.equal(old.subject_der, new.subject_der)
    assert.not_equal(old.serial, new.serial)
    assert.not_equal(old.public_key.der, new.public_key.der)
  end)

  it("7030-4.2.2-c issues for the same key", function()
    local old = core.cert.load(server:enroll "renew02")
    local status, body = renew("renew02", server:csr("renew02", { reuse = true }))
    assert.equal(200, status, body)
    local new = core.cert.load(server:save(body, "renewed02"))
    assert.equal(old.public_key.der, new.public_key.der)
    assert.not_equal(old.serial, new.serial)
  end)

  it("7030-4.2.2-e S27 refuses other names", function()
    server:enroll "renew03"
    for _, options in ipairs { { subject = "/CN=other" }, { subject = "/CN=renew03/O=x" },
      { san = "DNS:renew03.example" } } do
      local status, body = renew("renew03", fresh_csr("renew03", options))
      assert.equal(403, status)
      assert.matches("certificate being renewed", body)
    end
  end)

  it("7030-3.2.2-k wants the certificate, not a password", function()
    local secret = server:credential "renew04"
    assert.equal(403, (server:post("/simplereenroll", server:csr "renew04")))
    assert.equal(403, (server:post("/simplereenroll", server:csr "renew04", "--user", "renew04:"
      .. secret)))
  end)

  it("7030-4.2.2-g refuses a certificate from the moment it is revoked", function()
    local cert = core.cert.load(server:enroll "renew05")
    local base = server.folder .. "/renew05"
    local function enroll()
      return server:post("/simpleenroll", fresh_csr "renew05", "--cert", base .. ".pem", "--key",
        base .. ".key")
    end
    assert.equal(200, (enroll()))
    revoke(cert)
    for _, ask in ipairs { enroll, function() return renew("renew05", fresh_csr "renew05") end } do
      local status, body = ask()
      assert.equal(403, status)
      assert.matches("certificate is revoked", body)
      local told = server:logged "refusal"
      assert.equal(cert.serial, told[#told].detail)
    end
  end)

  --- The certificate with its ECDSA signature (r, s) written as (r, n - s), which is as valid.
  local function rewritten(cert)
    local order = ("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
      :gsub("%x%x", function(octet) return string.char(tonumber(octet, 16)) end)
    local parts = der.split(der.body(cert:der()))
    local numbers = der.split(der.body(der.body(parts[3]):sub(2)))
    local s = ("\0"):rep(32) .. der.body(numbers[2])
    local octets, borrow = {}, 0
    for i = 1, 32 do
      local digit = order:byte(-i) - s:byte(-i) - borrow
      borrow = digit < 0 and 1 or 0
      table.insert(octets, 1, string.char(digit & 255))
    end
    local number = table.concat(octets):gsub("^\0+", "")
    if number:byte() > 127 then number = "\0" .. number end
    parts[3] = der.bits(der.seq(numbers[1], der.tlv(2, number)))
    return assert(core.cert.parse(der.seq(table.unpack(parts))))
  end

  it("7030-4.2.2-g refuses a certificate that was written anew around its signature", function()
    local cert = core.cert.load(server:enroll "renew09")
    local base = server.folder .. "/renew09"
    process.write(base .. ".pem", rewritten(cert):pem())
    local status, body = server:post("/simpleenroll", fresh_csr "renew09", "--cert",
      base .. ".pem", "--key", base .. ".key")
    assert.equal(403, status)
    assert.matches("not as it was issued", body)
    revoke(cert)
    status, body = server:post("/simpleenroll", fresh_csr "renew09", "--cert", base .. ".pem",
      "--key", base .. ".key")
    assert.equal(403, status)
    assert.matches("is revoked", body)
  end)

  it("passes over credentials that do not fit beside a good certificate", function()
    server:enroll "renew06"
    assert.equal(200, (renew("renew06", fresh_csr "renew06", "--user", "renew06:wrong")))
    assert.equal(200, (renew("renew06", fresh_csr "renew06", "-H", "Authorization: Foo x")))
  end)

  it("gives the same certificate when the answer was lost", function()
    server:enroll "renew07"
    local csr = fresh_csr "renew07"
    local _, first = renew("renew07", csr)
    local status, again = renew("renew07", csr)
    assert.equal(200, status)
    assert.equal(first, again)
  end)

  it("goes on from one renewal to the next", function()
    server:enroll "renew08"
    for _ = 1, 3 do
      local status, body = renew("renew08", server:csr("renew08", { reuse = true }))
      assert.equal(200, status)
      server:save(body, "renew08")
    end
    assert.equal("4", server:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=renew08'")
  end)

  it("7030-4.2.2-g refuses a certificate that is revoked while the policy decides", function()
    local slow <close> = support.start { policy = [[
      local lest, policy = require "lest", require "lest.policy"
      return {
        enroll = function(request)
          return policy.approve { subject = { { "CN", request.principal.name } } }
        end,
        reenroll = function(request)
          require("lest.log").info("deciding", {})
          repeat
            lest.sleep(0.01)
            local file <close> = io.open(request.headers["User-Agent"])
          until file
          return policy.renew {} (request)
        end,
      }]] }
    local base = slow.folder .. "/late"
    local cert, revoked = core.cert.load(slow:enroll "late"), slow.folder .. "/revoked"
    local csr = slow:csr("late-fresh", { subject = "/CN=late" })
    local pid = process.start({ "curl", "-sS", "--cacert", slow.root, "--cert", base .. ".pem",
      "--key", base .. ".key", "--data-binary", "@" .. csr, "-H",
      "Content-Type: application/pkcs10", "-A", revoked, "-w", "%{http_code}",
      slow.url .. "/.well-known/est/simplereenroll" }, slow.folder .. "/answer", base .. ".err")
    process.wait_for(function() return #slow:logged "deciding" > 0 end, "the policy")
    process.must { support.lest, "cert", "revoke", cert.serial, "--config",
      slow.dir .. "/server.lua" }
    process.must { "install", "-m", "644", "/dev/null", revoked }
    process.wait_for(function() return not process.alive(pid) end, "the answer")
    assert.matches("revoked.*\n403$", process.read(slow.folder .. "/answer"))
  end)
end)
