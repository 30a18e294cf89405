-- `lest cert import`: certificates that the CA signed before lest took over are renewed and revoked
-- as any other, and nothing else gets into the ledger so.
local cjson = require "cjson"
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

describe("lest cert import", function()
  local server, issuer, key
  local now <const> = os.time()

  setup(function()
    server = support.start()
    key = assert(core.key.generate "ec:P-256")
    issuer = assert(core.issuer.new { cert = assert(core.cert.load(server.dir .. "/ca.pem")),
      key = assert(core.key.load(server.dir .. "/ca.key")) })
  end)
  teardown(function() server:stop() end)

  --- A certificate of the CA that lest has not issued.
  local function old_cert(name, changes)
    local plan = { public_key = key:public_der(), subject = "CN=" .. name,
      not_before = now - 86400, not_after = now + 86400, eku = { "clientAuth" } }
    for field, value in pairs(changes or {}) do plan[field] = value end
    return assert(core.cert.parse(assert(issuer:issue(plan))))
  end

  local function import(...)
    return process.run { support.lest, "cert", "import", "--config", server.dir .. "/server.lua",
      ... }
  end

  local function renew(name)
    local base = server.folder .. "/" .. name
    return server:post("/simplereenroll", server:csr("new-" .. name, { subject = "/CN=" .. name }),
      "--cert", base .. ".pem", "--key", base .. ".key")
  end

  it("7030-3.2.2-k lets a certificate be renewed, listed and revoked that the CA signed before",
    function()
    local cert = old_cert "old01"
    local file = server:file("old01.pem", cert:pem())
    server:file("old01.key", key:pem())
    local status, body = renew "old01"
    assert.equal(403, status)
    assert.equal("the client certificate is not in the ledger, so it cannot be renewed here\n",
      body)
    local code, out = import(file)
    assert.same({ 0, "1 imported, 0 in the ledger already, 0 refused\n" }, { code, out })
    status, body = renew "old01"
    assert.equal(200, status, body)
    local rows = cjson.decode(process.must { support.lest, "cert", "list", "--json", "--device",
      "own:CN=old01", "--config", server.dir .. "/server.lua" })
    assert.same({ support.issued(body).serial, cert.serial }, { rows[1].serial, rows[2].serial })
    assert.same({ "import", cert.not_before }, { rows[2].operation, rows[2].issued_at })
    assert.matches("^import|approve|imported by .+|.*old01.pem, block 1$", server:sql
      "SELECT operation, verdict, reason, detail FROM requests WHERE operation = 'import'")
    process.must { support.lest, "cert", "revoke", cert.serial, "--config",
      server.dir .. "/server.lua" }
    assert.equal("the client certificate is revoked\n", select(2, renew "old01"))
  end)

  it("takes the good ones of many, and names each other by file and block", function()
    local ca <close> = pki.new()
    local foreign = ca:issue("foreign", { by = ca:root "other",
      ext = "extendedKeyUsage = clientAuth" })
    local first, second = old_cert "many01", old_cert "many02"
    local bundle = server:file("bundle.pem", table.concat {
      "a comment\n", first:pem(), foreign.cert:pem(), key:pem(),
      "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n",
      old_cert("servers", { eku = { "serverAuth" } }):pem(),
      old_cert("over", { not_after = now - 3600 }):pem(),
      process.read(server.dir .. "/ca.pem"), first:pem(),
    })
    local code, out, err = import(bundle, server:file("second.der", second:der()))
    assert.equal(7, code)
    assert.equal("2 imported, 1 in the ledger already, 6 refused\n", out)
    for _, line in ipairs {
      "bundle.pem, block 2 %(CN=foreign%): ",
      "bundle.pem, block 3: certificate: the data is a private key\n",
      "bundle.pem, block 4: ", "bundle.pem, block 5 %(CN=servers%): ",
      "bundle.pem, block 6 %(CN=over%): [^\n]*expired",
      "bundle.pem, block 7 %([^\n]*%): it is a CA's",
      "bundle.pem, block 8 %(CN=many01%): is in the ledger already\n",
    } do
      assert.matches(line, err)
    end
    assert.equal("many01\nmany02", server:sql [[SELECT substr(subject, 4) FROM certificates
      WHERE subject LIKE 'CN=many%' ORDER BY subject]])
    local again = cjson.decode((select(2, import("--json", bundle))))
    assert.same({ 0, 2, 6 }, { #again.new, #again.known, #again.refused })
  end)

  it("takes those in bags, as EST and other servers give them", function()
    local first, second, third = old_cert "bag01", old_cert "bag02", old_cert "bag03"
    local der = assert(core.pkcs7.encode { first, second })
    local function pem(label, bytes)
      return ("-----BEGIN %s-----\n%s-----END %s-----\n"):format(label,
        core.base64.encode(bytes, 64), label)
    end
    local code, out, err = import(server:file("bag.p7b", der),
      server:file("est.p7", core.base64.encode(der, 64)),
      server:file("bags.pem", pem("PKCS7", assert(core.pkcs7.encode { third })) .. first:pem()
        .. pem("PKCS7", assert(core.pkcs7.encode {})) .. pem("CMS", "\48\0")),
      server:file("empty.p7b", assert(core.pkcs7.encode {})), server:file("some.csr", process.read(
        server:csr "bag04")))
    assert.equal(7, code)
    assert.equal("3 imported, 3 in the ledger already, 4 refused\n", out)
    for _, line in ipairs { "est.p7, certificate 2 %(CN=bag02%): is in the ledger already\n",
      "bags.pem, block 2 %(CN=bag01%): is in the ledger already\n",
      "bags.pem, block 3: the bag has no certificate\n", "bags.pem, block 4: ",
      "empty.p7b: the bag has no certificate\n",
      "some.csr, block 1: certificate: the data is a certificate request\n",
    } do
      assert.matches(line, err)
    end
  end)

  it("says of a file without any, and of a label that is not there", function()
    local code, _, err = import(server:file("nothing.pem", "nothing"))
    assert.equal(7, code)
    assert.matches("nothing.pem: ", err)
    assert.equal(2, (import("--label", "other", server:file("x.pem", "x"))))
    assert.not_equal(0, (import(server.folder .. "/absent.pem")))
  end)

  it("takes a thousand", function()
    local texts = {}
    for i = 1, 1000 do texts[i] = old_cert("fleet" .. i):pem() end
    local code, out = import(server:file("fleet.pem", table.concat(texts)))
    assert.same({ 0, "1000 imported, 0 in the ledger already, 0 refused\n" }, { code, out })
    assert.equal("1000", server:sql
      "SELECT count(*) FROM certificates WHERE subject LIKE 'CN=fleet%'")
  end)
end)
