-- Which client certificates are taken for what: those of a CA under a root, shown alone; keys of
-- every kind that a profile issues; and such as do not verify, where the server is lenient.
local core = require "lest.core"
local pki = require "support.pki"
local raw_client = require "support.raw_client"
local support = require "support.server"
local two_tier = require "support.two_tier"

local function renew(server, name, ...)
  local base = server.folder .. "/" .. name
  return server:post("/simplereenroll", server:csr(name, { reuse = true }), "--cert",
    base .. ".pem", "--key", base .. ".key", ...)
end

describe("a CA under a root", function()
  it("7030-4.2.3-b 7030-3.3.2-g knows its own certificates when the leaf is shown alone", function()
    local server <close> = two_tier.start()
    server:enroll "alone"
    assert.equal(1, #assert(core.cert.load_all(server.folder .. "/alone.pem")))
    for _, version in ipairs { "1.2", "1.3" } do
      local status, body = renew(server, "alone", "--tls-max", version)
      assert.equal(200, status, body)
      assert.equal("alone", support.issued(body).subject.CN)
    end
    local stranger <close> = pki.new()
    local liar = stranger:root("liar", { subject = "/" ..
      tostring(assert(core.cert.load(server.dir .. "/ca.pem")).subject) })
    local lie = stranger:issue("lie", { by = liar, ext = "extendedKeyUsage = clientAuth" })
    assert.equal(0, (server:curl("/cacerts", "--cert", lie.path, "--key", lie.key)))
  end)

  it("7030-3.3.2-g knows them too where a CRL has every chain verified", function()
    local factory <close> = pki.new()
    local _, crl = factory:crl(factory:root "factory", {})
    local server <close> = two_tier.start { config = function(text)
      return (text:gsub("anchors = {", ("crls = %q, %%0"):format(crl), 1))
    end }
    server:enroll "alone"
    local status, body = renew(server, "alone")
    assert.equal(200, status, body)
  end)
end)

describe("a certificate that a profile issues", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("keys = %b{}", 'keys = { "ec:P-256", "ec:P-384", "ec:P-521", '
        .. '"ec:brainpoolP384r1", "ed25519", "ed448", "rsa:2048" }', 1))
    end }
  end)
  teardown(function() server:stop() end)

  for kind, words in pairs {
    ["ec:P-384"] = "-newkey ec -pkeyopt ec_paramgen_curve:P-384",
    ["ec:P-521"] = "-newkey ec -pkeyopt ec_paramgen_curve:P-521",
    ["ed25519"] = "-newkey ed25519",
    ["ed448"] = "-newkey ed448",
    ["rsa:2048"] = "-newkey rsa:2048",
  } do
    it(("7030-3.3.2-g renews on TLS 1.2 and 1.3 with a key of %s"):format(kind), function()
      local name = kind:gsub("%W", "")
      local key = {}
      for word in words:gmatch "%S+" do table.insert(key, word) end
      local secret = server:credential(name)
      local status, body = server:post("/simpleenroll", server:csr(name, { key = key }), "--user",
        name .. ":" .. secret)
      assert.equal(200, status, body)
      server:save(body, name)
      for _, version in ipairs { "1.2", "1.3" } do
        status, body = renew(server, name, "--tls-max", version)
        assert.equal(200, status, body)
      end
    end)
  end

  -- TLS 1.3 has no name for it before OpenSSL 3.2, and a client offers the curve only when told to.
  it("7030-3.3.2-g renews on TLS 1.2 with a key on a curve that is no usual one", function()
    local secret = server:credential "brainpool"
    local status, body = server:post("/simpleenroll", server:csr("brainpool", { key = { "-newkey",
      "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1" } }), "--user", "brainpool:" .. secret)
    assert.equal(200, status, body)
    server:save(body, "brainpool")
    status, body = renew(server, "brainpool", "--tls-max", "1.2", "--curves",
      "P-256:brainpoolP384r1")
    assert.equal(200, status, body)
  end)
end)

describe("a certificate that does not verify, where the server is lenient,", function()
  local server, ca, wrong

  setup(function()
    server = support.start { config = function(text)
      text = text:gsub("labels = {", [[labels = {
        machine = { policy = "policy.lua", profile = "device", auth = "certificate" },
        both = { policy = "policy.lua", profile = "device", auth = "certificate+basic" },]], 1)
      return (text:gsub('key = "server.key"', '%0, client_certificate = "lenient"', 1))
    end }
    ca = pki.new()
    server:enroll "own"
    local own = { path = server.dir .. "/ca.pem", key = server.dir .. "/ca.key" }
    wrong = {
      expired = ca:issue("expired", { by = own, days = -1, ext = "extendedKeyUsage = clientAuth" }),
      purpose = ca:issue("purpose", { by = own, ext = "extendedKeyUsage = serverAuth" }),
      ["self.signed"] = ca:root("stranger", {}),
    }
  end)
  teardown(function()
    server:stop()
    pki.__close(ca)
  end)

  --- Ask as the holder of a certificate that is wrong; how the answer says why.
  local function ask(it, path, ...)
    local words = { "--cert", it.path, "--key", it.key, ... }
    if path:find "enroll" then
      return server:post(path, server:csr(it.name), table.unpack(words))
    end
    return server:curl(path, table.unpack(words))
  end

  it("7030-4.1.2-d leaves /cacerts open", function()
    for _, it in pairs(wrong) do
      for _, version in ipairs { "1.2", "1.3" } do
        assert.equal(200, (ask(it, "/cacerts", "--tls-max", version)))
      end
    end
  end)

  it("7030-3.3.2-g is no proof, and the refusal says why", function()
    for why, it in pairs(wrong) do
      for path, status in pairs { ["/simpleenroll"] = 401, ["/simplereenroll"] = 403,
        ["/machine/simpleenroll"] = 403, ["/machine/simplereenroll"] = 403,
        ["/both/simpleenroll"] = 401 } do
        local got, body, headers = ask(it, path)
        assert.equal(status, got, path)
        assert.matches("^the client's certificate CN=" .. it.name .. " .*" .. why,
          headers["x-reason"])
        assert.equal(status == 401 and "" or headers["x-reason"] .. "\n", body)
      end
      local told = server:logged "request"
      assert.matches(why, told[#told].certificate)
    end
  end)

  it("7030-3.3.2-g leaves a password what it is, and adds nothing to it", function()
    local it = wrong.expired
    local secret = server:credential "expired"
    assert.equal(403, (ask(it, "/simplereenroll", "--user", "expired:" .. secret)))
    assert.equal(401, (ask(it, "/both/simpleenroll", "--user", "expired:wrong")))
    assert.equal(403, (ask(it, "/both/simpleenroll", "--user", "expired:" .. secret)))
    local status, body = ask(it, "/simpleenroll", "--user", "expired:" .. secret)
    assert.equal(200, status, body)
    assert.equal("basic",
      server:sql "SELECT principal_kind FROM requests ORDER BY time_us DESC LIMIT 1")
  end)

  it("7030-3.3.2-g takes nothing from those that verify", function()
    local status, body = renew(server, "own")
    assert.equal(200, status, body)
  end)

  it("8446-e.5-a is not resumed", function()
    local client = raw_client.new()
    local it = wrong.expired
    for _, version in ipairs { "1.2", "1.3" } do
      local options = { port = server.port, cert = it.path, key = it.key, max = version }
      local first <close> = assert(client:connect(options))
      assert.equal(200, first:request(raw_client.http("GET", "/cacerts")).status)
      options.session = first
      local second <close> = assert(client:connect(options))
      assert.is_false(second.info.reused)
    end
    client:close()
  end)
end)
