-- `lest ca rollover` where the CA's keys are in a token (PKCS#11): under a server that runs, from
-- one key there to the next.
local core = require "lest.core"
local hardware = require "support.hardware"
local process = require "support.process"
local support = require "support.server"

-- What tokens' libraries leave at their end is a leak to a sanitizer, and not ours.
local LEAKS <const> = LEST_PREFIX:find "asan" and "needs a build without sanitizers"

-- Of the token's first key, in place of those of `lest ca init`: a root, and who signs answers of
-- CMC.
local MAKE <const> = [[
local core = require "lest.core"
local dir, uri, pin = table.unpack(arg)
local now = core.clock.wall_us() // 1000000
local key = assert(core.key.load(uri, { passphrase = pin }))
local root = assert(core.issuer.root { key = key, subject = "CN=In a token", path_len = 1,
  not_before = now - 60, not_after = now + 1000 * 86400 })
local issuer = assert(core.issuer.new { cert = root, key = key })
local cmc = assert(core.key.load(dir .. "/cmc.key"))
local der = assert(issuer:issue { public_key = cmc:public_der(), subject = "CN=In a token",
  not_before = now - 60, not_after = now + 86400, key_usage = { "digitalSignature" },
  eku = { "cmcCA" } })
assert(root:save(dir .. "/ca.pem"))
assert(assert(core.cert.parse(der)):save(dir .. "/cmc.pem"))
]]

describe("a root in a token that changes", function()
  local token, missing, server
  local FIRST <const>, NEXT <const> = "pkcs11:token=lest;object=first",
    "pkcs11:token=lest;object=next"

  setup(function()
    token, missing = hardware.token "first"
    if not token or LEAKS then return end
    local code, out, err = token:run { "pkcs11-tool", "--module",
      "/usr/lib/softhsm/libsofthsm2.so", "--login", "--pin", token.pin, "--token-label", "lest",
      "--keypairgen", "--key-type", "EC:prime256v1", "--label", "next", "--id", "02" }
    assert(code == 0, out .. err)
    local lest = token.folder .. "/lest"
    process.write(lest, ("#!/bin/sh\nexport %s\nexec %s \"$@\"\n"):format(
      table.concat(token.environment, " "), process.lest))
    process.must { "chmod", "755", lest }
    server = support.make { lest = lest, auto = true, config = function(text)
      return (text:gsub('key = "ca.key"', ('%%0, passphrase_file = %q'):format(token.pin_file), 1))
    end }
    local script = server:file("make.lua", MAKE)
    process.must { lest, "run", script, server.dir, FIRST, token.pin }
    process.write(server.dir .. "/ca.key", FIRST .. "\n")
    -- The authority signs as an account of its own, where root has started it.
    local account = process.read(server.dir .. "/server.lua"):match 'authority_user = "(%w+)"'
    if account then
      process.must(("chmod 755 %s; chown -R %s %s/tokens"):format(token.folder, account,
        token.folder))
    end
    process.must { "chmod", "600", token.pin_file }
    server:run()
  end)
  teardown(function()
    if server then server:stop() end
    if token then token:stop() end
  end)

  local function rollover(...)
    return process.run { server.lest, "ca", "rollover", server.dir, "--passphrase-file",
      token.pin_file, ... }
  end

  local function step(...)
    local code, out, err = rollover(...)
    assert.equal(0, code, err)
    assert.matches("the server has taken it up", out)
    return out
  end

  local function issuer_of(name)
    return assert(core.cert.load(server:enroll(name))).aki
  end

  local function keys() return process.read(server.dir .. "/ca.key") end

  it("4210-4.4-a goes from one key there to the next, and no key is in a file", function()
    if not server then return pending(missing or LEAKS) end
    local old = assert(core.cert.load(server.root))
    assert.equal(old.ski, issuer_of "before")
    local code, _, err = rollover "begin"
    assert.equal(2, code)
    assert.matches("make the next one there", err)
    code, _, err = rollover("begin", "--next-key", FIRST)
    assert.equal(2, code)
    assert.matches("this is the key that signs now", err)
    code = rollover("begin", "--next-key", "pkcs11:token=lest;object=none")
    assert.not_equal(0, code)
    assert.equal(FIRST .. "\n", keys())

    step("begin", "--next-key", NEXT)
    assert.equal(("%s\n%s\n"):format(FIRST, NEXT), keys())
    assert.equal(old.ski, issuer_of "begun")
    step "abort"
    assert.equal(FIRST .. "\n", keys())
    step("begin", "--next-key", NEXT)
    local new = assert(core.cert.load_all(server.root))[2]
    assert.is_true(new.public_key.der ~= old.public_key.der)

    step("switch", "--now")
    assert.equal(new.ski, issuer_of "switched")
    -- What the old key signs still: the CRL and the answers of OCSP about its own.
    process.wait_for(function()
      return process.run { "curl", "-sS", "--cert-status", "--cacert", server.root, "-o",
        "/dev/null", server.url .. "/healthz" } == 0
    end, "the staple", 30)
    local out = step("finish", "--force")
    assert.matches("the old key is in its token still", out)
    assert.equal(NEXT .. "\n", keys())
    assert.equal(new.ski, issuer_of "finished")
  end)
end)
