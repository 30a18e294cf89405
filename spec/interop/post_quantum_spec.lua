-- What the linked OpenSSL can sign with and this program has never heard of: the profile's name for
-- it is all there is. With OpenSSL 3.5 and later that is ML-DSA (FIPS 204); before it, skipped.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local KIND <const> = "ML-DSA-65"

describe("a post-quantum key", function()
  local server
  local known = core.key.generate(KIND) ~= nil

  setup(function()
    if not known then return end
    server = support.start { config = function(text)
      return (text:gsub("keys = %b{}", ('keys = { "%s" }'):format(KIND)))
    end }
  end)
  teardown(function() if server then server:stop() end end)

  local function check_issued(path, name, by)
    local cert = assert(core.cert.load(path))
    assert.equal(KIND, cert.public_key.type)
    assert.equal(name, cert.subject.CN)
    assert.equal(core.key.load(by):public_der(), cert.public_key.der)
    process.must { "openssl", "verify", "-CAfile", server.dir .. "/ca.pem", path }
  end

  it("goes through enroll and reenroll of the commands", function()
    if not known then return pending("this OpenSSL has no " .. KIND) end
    local base = server.folder .. "/quantum"
    local trust = { "--trust", server.dir .. "/ca.pem" }
    process.write(base .. ".password", server:credential "quantum")
    process.must { support.lest, "enroll", server.url, trust[1], trust[2], "--username", "quantum",
      "--password-file", base .. ".password", "--subject", "CN=quantum", "--new-key", KIND,
      "--key-out", base .. ".key", "--out", base .. ".pem" }
    check_issued(base .. ".pem", "quantum", base .. ".key")
    -- The TLS client authenticates with the ML-DSA key.
    process.must { support.lest, "reenroll", server.url, trust[1], trust[2], "--cert",
      base .. ".pem", "--key", base .. ".key", "--new-key", KIND, "--key-out", base .. ".new.key",
      "--out", base .. ".new.pem" }
    check_issued(base .. ".new.pem", "quantum", base .. ".new.key")
  end)

  it("goes through them with curl and openssl", function()
    if not known then return pending("this OpenSSL has no " .. KIND) end
    local key = { "-newkey", KIND }
    local csr = server:csr("curled", { key = key })
    local status, body = server:post("/simpleenroll", csr, "--user",
      "curled:" .. server:credential "curled")
    assert.equal(200, status, body)
    local base = server.folder .. "/curled"
    check_issued(server:save(body, "curled"), "curled", base .. ".key")
    local fresh = server:csr("fresh", { key = key, subject = "/CN=curled" })
    status, body = server:post("/simplereenroll", fresh, "--cert", base .. ".pem", "--key",
      base .. ".key")
    assert.equal(200, status, body)
    check_issued(server:save(body, "fresh"), "curled", server.folder .. "/fresh.key")
  end)

  it("of another kind is refused by that profile", function()
    if not known then return pending("this OpenSSL has no " .. KIND) end
    local status, body = server:post("/simpleenroll", server:csr "classic", "--user",
      "classic:" .. server:credential "classic")
    assert.equal(400, status, body)
    assert.matches("not allowed", body)
  end)
end)
