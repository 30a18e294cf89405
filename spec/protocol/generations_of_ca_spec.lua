-- A CA whose key changes: its certificates and its keys stand in the two files that it has, the
-- generation that signs first (RFC 4210 4.4).
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local DAY <const> = 86400

describe("two generations of a CA", function()
  local server, old, new, links
  local function root_of(key, subject, days)
    local now = os.time()
    return assert(core.issuer.root { key = key, subject = subject, path_len = 0,
      not_before = now - 30, not_after = now + days * DAY })
  end

  setup(function()
    server = support.make {}
    old = { cert = assert(core.cert.load(server.dir .. "/ca.pem")),
      key = assert(core.key.load(server.dir .. "/ca.key")) }
    new = { key = assert(core.key.generate "ec:P-384") }
    new.cert = root_of(new.key, old.cert.subject, 5000)
    local times = { not_before = os.time() - 30, not_after = old.cert.not_after }
    links = {}
    for _, each in ipairs { { old, new }, { new, old } } do
      local issuer <close> = assert(core.issuer.new { cert = each[1].cert, key = each[1].key })
      links[#links + 1] = assert(issuer:link(each[2].cert, times))
    end
    process.write(server.dir .. "/ca.key", old.key:pem() .. new.key:pem())
    for name, each in pairs { old = old, new = new } do
      server[name .. "_root"] = server:file(name .. "-root.pem", each.cert:pem())
    end
    server:file("links.pem", links[1]:pem() .. links[2]:pem())
  end)
  teardown(function() server:stop() end)

  local function sign_with(first, second)
    local text = ""
    for _, cert in ipairs { first.cert, second.cert, links[1], links[2] } do
      text = text .. cert:pem()
    end
    assert(core.file.write(server.dir .. "/ca.pem", text))
  end

  local function reload()
    local count = #server:logged "ready"
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > count end, "the reload", 60)
  end

  -- With a key of its own each time, since the same request would get the same answer.
  local function reenroll(name, next_name)
    local status, body = server:post("/simplereenroll", server:csr(next_name,
      { subject = "/CN=" .. name }), "--cert", server.folder .. "/" .. name .. ".pem", "--key",
      server.folder .. "/" .. name .. ".key")
    assert.equal(200, status, body)
    return server:save(body, next_name)
  end

  local function is_signed_by(path, ca)
    local cert = assert(core.cert.load(path))
    return cert.aki == ca.cert.ski
  end

  it("4210-4.4-a issues by the first of the file, with the key that is the certificate's",
    function()
      sign_with(old, new)
      server:run()
      assert.is_true(is_signed_by(server:enroll "before", old))
      local _, body = server:curl "/cacerts"
      assert.equal(4, #assert(core.pkcs7.decode(core.base64.decode(body))))
      sign_with(new, old)
      reload()
      assert.is_true(is_signed_by(server:enroll "after", new))
    end)

  it("renews what either has signed", function()
    for _, name in ipairs { "before", "after" } do
      assert.is_true(is_signed_by(reenroll(name, name .. "-2"), new))
      process.must { "openssl", "verify", "-CAfile", server.old_root, "-untrusted",
        server.folder .. "/links.pem", server.folder .. "/" .. name .. "-2.pem" }
    end
  end)

  it("goes back to the one before", function()
    sign_with(old, new)
    reload()
    for _, name in ipairs { "before", "after" } do
      assert.is_true(is_signed_by(reenroll(name, name .. "-3"), old))
      process.must { "openssl", "verify", "-CAfile", server.new_root, "-untrusted",
        server.folder .. "/links.pem", server.folder .. "/" .. name .. "-3.pem" }
    end
  end)

  it("does not start where no key is the first one's", function()
    local stranger = assert(core.key.generate "ec:P-256")
    sign_with({ cert = root_of(stranger, old.cert.subject, 100) }, old)
    local code, _, err = process.run { server.lest, "serve", "--check", server.dir
      .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("ca.key: .*ca.key: the key %(ec:P%-256%) is not that of the certificate", err)
    sign_with(old, new)
  end)
end)
