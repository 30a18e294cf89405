-- How the client fills in a CSR template of the server (RFC 9908 3.4, 4), and says what was due to
-- which wish.
local core = require "lest.core"
local asn1 = require "support.der"
local est = require "support.est"
local shell = require "support.shell"
local vectors = require "support.vectors"

local SAN <const>, KEY_USAGE <const>, EKU <const> = "2.5.29.17", "2.5.29.15", "2.5.29.37"

describe("with the server's template the client", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function ask(answer, more)
    server:stop()
    server = world:serve()
    server:answer(answer)
    server:answer(est.issued { world.device.cert })
    local client = world:client(server, { channel_binding = false })
    local all = { key = world.key, subject = "CN=device" }
    for key, value in pairs(more or {}) do all[key] = value end
    local cert, err = client:enroll(all)
    local requests = server:requests()
    local last = requests[#requests]
    local csr = last and last.body ~= "" and est.csr_of(last) or nil
    return csr, cert == nil and err or nil, client
  end

  --- A CSR for a template, or an error before one is sent.
  local function fill(template, more)
    return ask(est.csrattrs { { template = template } }, more)
  end

  local function unmet(template, more, pattern)
    local csr, err = fill(template, more)
    assert.is_nil(csr)
    assert.same({ "csrattrs_unmet", "csrattrs" }, { err.code, err.operation })
    assert.matches(pattern, err.message, 1, true)
  end

  local function by_oid(csr)
    local found = {}
    for _, extension in ipairs(csr.extensions) do found[extension.oid] = extension end
    return found
  end

  it("9908-3.4-d 9908-3.4-j 9908-3.4-k 9908-3.4-l 9908-3.4-m 9908-3.4-n makes the CSR of the "
    .. "vector", function()
    local csr, err, client = ask(est.ok("csrattrs", vectors.get "9908-3.4-template-derived"),
      { san = { "IP:192.0.2.7" }, eku = { "clientAuth" } })
    assert.is_nil(err)
    assert.equal("OU=myGroup,OU=myDept,CN=device", tostring(csr.subject))
    local found = by_oid(csr)
    assert.same({ "DNS:www.myServer.com", "IP:192.0.2.7" }, csr.san)
    assert.same({ true, vectors.unhex "03020388" }, { found[KEY_USAGE].critical,
      found[KEY_USAGE].value })
    assert.same({ "clientAuth" }, csr.eku)
    assert.equal(3, #csr.extensions)
    assert.is_true(csr:verify())
    local told = table.concat(client.told, "\n")
    for _, line in ipairs { "key ec:P-256: as the server asks (ec:P-256)", "subject: filled in",
      "extension subjectAltName: filled in", "extension keyUsage: as the server's template has it",
      "extension extendedKeyUsage: filled in" } do
      assert.matches("attribute: " .. line, told, 1, true)
    end
  end)

  it("9908-4-b uses nothing but the template where one stands beside other elements", function()
    local csr = assert(ask(est.ok("csrattrs", vectors.get "9908-4-coexistence-derived"),
      { san = { "IP:192.0.2.7" }, eku = { "clientAuth" } }))
    assert.equal("ec:P-256", csr.public_key.type)
    assert.equal(1, #csr.attributes)
  end)

  it("9908-4-c 9908-3.4-m takes what it cannot satisfy for an error, and sends no CSR", function()
    unmet({ extensions = { { oid = "extendedKeyUsage" } } }, {}, "the extension extendedKeyUsage, "
      .. "which is not given")
    unmet({ subject = { { "CN" }, { "serialNumber" } } }, {}, "wants serialNumber in the subject")
    unmet({ subject = { { "O", "Acme" } } }, {}, "no place for CN=device")
    unmet({ san = { "DNS:a", "IP:" } }, {}, "alternative name IP:")
    unmet({ san = { "DNS:a" } }, { san = { "DNS:b" } }, "no place for the alternative name DNS:b")
    unmet({ key_usage = { "keyAgreement" } }, { key_usage = { "digitalSignature" } },
      "another keyUsage than is asked for here")
    unmet({ extensions = { { oid = "2.5.29.19", critical = true, value = "\x30\3\1\1\xff" } } }, {},
      "a certificate for a CA")
    for _, key in ipairs { "ec:P-384", "rsa:3072" } do
      local csr, err = fill { key = key }
      assert.is_nil(csr)
      assert.equal("key_unsupported", err.code)
      assert.matches(key, err.message, 1, true)
    end
  end)

  it("9908-4-c does not go on with the other elements where a template is malformed", function()
    local whole = vectors.get "9908-4-coexistence-derived"
    for _, der in ipairs {
      vectors.replace(whole, "\2\1\0\x30\x2c", "\2\1\1\x30\x2c"),
      vectors.replace(whole, asn1.oid(SAN), asn1.oid(EKU)),
    } do
      local csr, err = ask(est.ok("csrattrs", der))
      assert.is_nil(csr)
      assert.same({ "csrattrs_malformed", "csrattrs" }, { err.code, err.operation })
    end
    local csr, err = ask(est.issued { world.device.cert }, { csrattrs = false })
    assert.is_nil(err)
    assert.equal("CN=device", tostring(csr.subject))
  end)

  it("9908-3.4-j keeps what the caller asks for besides, and copies attributes", function()
    local csr = assert(fill({ attributes = { { oid = "2.999.5", values = { "\5\0" } },
      { oid = "challengePassword", values = { "\x13\1x" } } },
      extensions = { { oid = "2.5.29.19", value = "\x30\0" } } },
      { san = { "DNS:mine" }, key_usage = { "digitalSignature" } }))
    assert.same({ { "DNS:mine" }, { "digitalSignature" } }, { csr.san, csr.key_usage })
    assert.equal("\x30\0", by_oid(csr)["2.5.29.19"].value)
    assert.is_nil(csr.challenge_password)
    local found = {}
    for _, attribute in ipairs(csr.attributes) do found[attribute.oid] = attribute.values end
    assert.same({ "\5\0" }, found["2.999.5"])
  end)

  it("9908-3.4-k has the critical flag that the template has", function()
    local names = assert(core.san.encode { "DNS:a" })
    for _, critical in ipairs { true, false } do
      local csr = assert(fill({ extensions = {
        { oid = "subjectAltName", critical = critical, value = names },
        { oid = "extendedKeyUsage", critical = critical } } }, { eku = { "clientAuth" } }))
      local found = by_oid(csr)
      assert.same({ critical, critical }, { found[SAN].critical, found[EKU].critical })
    end
  end)

  it("9908-3.4-m takes what it renews for the rest, and keeps its names", function()
    server:stop()
    server = world:serve { ca = world.root.path }
    server:answer(est.csrattrs { { template = { subject = { { "CN", "other" } },
      san = { "DNS:other" }, extensions = { { oid = "extendedKeyUsage", critical = true } } } } })
    server:answer(est.issued { world.device.cert })
    local client = world:client(server, { cert = world.device.cert, key = world.key })
    assert(client:reenroll())
    local csr = est.csr_of(server:requests()[2])
    assert.same({ "CN=device", {}, { "clientAuth" } }, { tostring(csr.subject), csr.san, csr.eku })
    assert.is_true(by_oid(csr)[EKU].critical)
  end)

  it("9908-3.4-g 9908-3.2-g 7030-4.5.2-j makes a key of the kind that is asked for, by "
    .. "--new-key auto", function()
    for i, case in ipairs {
      { "rsa:3072", { { template = { key = "rsa:3072" } } } },
      { "ec:P-384", { { key = "ec:P-384", digest = "sha384" } } },
      { "ec:P-256", { "challengePassword" } },
      { "ec:P-256", nil, vectors.get "9908-3.2-keytype-empty-set-derived" },
    } do
      local answer = case[3] and est.ok("csrattrs", case[3]) or est.csrattrs(case[2])
      server:answer(answer, 2)
      server:answer(est.http(403, {}))
      local file = world.pki:path("auto" .. i .. ".key")
      local result = shell.lest("enroll", server.url, "--trust", world.root.path, "--subject",
        "CN=device", "--new-key", "auto", "--key-out", file)
      assert.equal(7, result.code, result.err)
      local requests = server:requests()
      assert.equal(case[1], est.csr_of(requests[#requests]).public_key.type)
      assert.equal(case[1], core.key.load(file).type)
    end
  end)

  it("says with -v which attribute led to what, and without it nothing", function()
    for _, flag in ipairs { "-v", false } do
      server:answer(est.csrattrs { { key = "ec:P-256", digest = "sha384" }, "2.999.1" })
      server:answer(est.issued { world.device.cert })
      local result = shell.lest("enroll", server.url, "--trust", world.root.path, "--subject",
        "CN=device", "--csr-key", world.device.key, table.unpack { flag or nil })
      assert.equal(0, result.code, result.err)
      for _, line in ipairs { "lest enroll: key ec:P-256: as the server asks",
        "lest enroll: signature ecdsa-with-SHA384: as the server asks",
        "lest enroll: attribute 2.999.1: the server asks for it; nothing says what to put there",
      } do
        assert.equal(flag == "-v", result.err:find(line, 1, true) ~= nil, line)
      end
    end
  end)
end)
