-- /cacerts: a certs-only bag with the roots, and with the links between them during a rollover
-- (RFC 7030 4.1).
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

describe("/cacerts", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  it("7030-4.1.3-a 7030-4.1.3-c 7030-4.1.3-d 7030-4.1.2-d S1 is a certs-only bag, for anybody",
    function()
    local status, body, headers = server:curl "/cacerts"
    assert.equal(200, status)
    assert.equal("application/pkcs7-mime", headers["content-type"])
    assert.equal("base64", headers["content-transfer-encoding"])
    local certs = process.must("openssl base64 -d | openssl pkcs7 -inform DER -print_certs",
      { stdin = body })
    local shown = process.must { "openssl", "x509", "-in", server.dir .. "/ca.pem" }
    assert.truthy(certs:find(shown, 1, true))
  end)

  it("8951-3-a 8951-3-b is base64 of DER, in lines of 64 columns with one newline at the end",
    function()
    local _, body = server:curl "/cacerts"
    for line in body:gmatch "([^\n]*)\n" do assert.is_true(#line <= 64) end
    assert.is_nil(body:find "\n\n")
    assert.equal("\n", body:sub(-1))
    assert.equal(0x30, assert(core.base64.decode(body)):byte())
  end)

  it("5652-5.1-a has version 1, no digest algorithms and no signers", function()
    local _, body = server:curl "/cacerts"
    local shown = process.must("openssl base64 -d | openssl asn1parse -inform DER",
      { stdin = body })
    assert.matches("pkcs7%-signedData.-INTEGER%s+:01\n.-l=%s*0 cons: SET%s*\n.-pkcs7%-data\n",
      shown)
    assert.matches("l=%s*0 cons: SET%s*\n$", shown)
  end)

  it("7030-4.1.3-e holds the root", function()
    local _, body = server:curl "/cacerts"
    local certs = assert(core.pkcs7.decode(core.base64.decode(body)))
    assert.equal(1, #certs)
    assert.is_true(certs[1].self_issued)
    assert.is_true(certs[1].is_ca)
  end)

  it("7030-4.1.3-g 4210-4.4-a holds both roots and the links between them during a rollover, "
    .. "each once",
    function()
    local ca <close> = pki.new()
    local rolling <close> = setmetatable({ server = support.make { config = function(text)
      return (text:gsub('key = "ca.key"', '%0, chain = "chain.pem"', 1))
    end } }, { __close = function(it) it.server:stop() end })
    local folder = rolling.server.dir
    local new = { path = folder .. "/ca.pem", key = folder .. "/ca.key", name = "new" }
    new.cert = assert(core.cert.load(new.path))
    local name = "/" .. tostring(new.cert.subject)
    local old = ca:root("old", { subject = name })
    local new_with_old = ca:sub("new-with-old", { by = old, subject = name, same_key = new })
    local old_with_new = ca:sub("old-with-new", { by = new, subject = name, same_key = old })
    local chain = ""
    for _, each in ipairs { new_with_old, old_with_new, old, new, old } do
      chain = chain .. process.read(each.path)
    end
    process.write(folder .. "/chain.pem", chain)
    rolling.server:run()
    local _, body = rolling.server:curl "/cacerts"
    local certs = assert(core.pkcs7.decode(core.base64.decode(body)))
    assert.equal(4, #certs)
    local function save(file, entity)
      process.write(folder .. "/" .. file, entity.cert:pem())
      return folder .. "/" .. file
    end
    -- 4210-4.4-a: each generation reaches the other by what is served.
    local secret = rolling.server:credential "device001"
    local status, answer = rolling.server:post("/simpleenroll", rolling.server:csr "device001",
      "--user", "device001:" .. secret)
    assert.equal(200, status, answer)
    local leaf = rolling.server:save(answer, "device001")
    process.must { "openssl", "verify", "-CAfile", save("old.pem", old), "-untrusted",
      save("nwo.pem", new_with_old), leaf }
    local before = ca:issue("before", { by = old })
    process.must { "openssl", "verify", "-CAfile", new.path, "-untrusted",
      save("own.pem", old_with_new), before.path }
    for _, each in ipairs { new, old, new_with_old, old_with_new } do
      local count = 0
      for _, cert in ipairs(certs) do count = count + (cert == each.cert and 1 or 0) end
      assert.equal(1, count, each.name)
    end
  end)
end)
