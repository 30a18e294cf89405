-- What a server warns of at its start and with --check: certificates and CRLs that are over or soon
-- will be, a CA that no anchor reaches, keys that others can read.
local cjson = require "cjson"
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"
local two_tier = require "support.two_tier"

local DAY <const> = 86400

describe("serve --check", function()
  local server, ca_key

  before_each(function()
    server = support.make()
    ca_key = assert(core.key.load(server.dir .. "/ca.key"))
  end)
  after_each(function() server:stop() end)

  --- Its warnings as "key: message", sorted; it says "ok" all the same.
  local function warnings()
    local code, out, err = process.run { support.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(0, code, err)
    assert.equal("ok\n", out)
    local list = {}
    for line in err:gmatch "[^\n]+" do
      local entry = cjson.decode(line)
      assert.equal("warning", entry.level)
      table.insert(list, entry.key .. ": " .. entry.message)
    end
    table.sort(list)
    return list
  end

  --- Put a CA in the place of the server's: of the same key and name, from so many days ago.
  local function root(since, days)
    local now = os.time()
    local cert = assert(core.issuer.root { key = ca_key, path_len = 0,
      subject = tostring(assert(core.cert.load(server.dir .. "/ca.pem")).subject),
      not_before = now - since * DAY, not_after = now + math.floor(days * DAY) })
    assert(cert:save(server.dir .. "/ca.pem"))
    return cert
  end

  --- The same for the server's certificate.
  local function leaf(since, days)
    local now = os.time()
    local issuer = assert(core.issuer.new { cert = root(1000, 4000), key = ca_key })
    local key = assert(core.key.load(server.dir .. "/server.key"))
    local der = assert(issuer:issue { public_key = key:public_der(), subject = "CN=localhost",
      san = { "DNS:localhost" }, eku = { "serverAuth" }, not_before = now - since * DAY,
      not_after = now + math.floor(days * DAY) })
    assert(assert(core.cert.parse(der)):save(server.dir .. "/server.pem"))
  end

  it("has nothing to say of what `lest ca init` made", function()
    assert.same({}, warnings())
  end)

  it("4210-4.4-a says what clients could not follow while the root changes", function()
    local ca <close> = pki.new()
    local name = "/" .. tostring(assert(core.cert.load(server.dir .. "/ca.pem")).subject)
    local own = { path = server.dir .. "/ca.pem", key = server.dir .. "/ca.key" }
    local old = ca:root("old", { subject = name, days = 20 })
    -- It began before the server's.
    assert(assert(core.issuer.root { key = assert(core.key.load(old.key)),
      subject = tostring(assert(core.cert.load(own.path)).subject), not_before = os.time() - DAY,
      not_after = os.time() + 20 * DAY }):save(old.path))
    local function chain(...)
      local text = ""
      for _, each in ipairs { ... } do text = text .. process.read(each.path) end
      process.write(server.dir .. "/chain.pem", text)
    end
    server:edit_config(function(text)
      return (text:gsub('key = "ca.key"', '%0, chain = "chain.pem"', 1))
    end)
    local back = ca:sub("back", { by = own, subject = name, same_key = old, days = 10 })
    local link = ca:sub("link", { by = old, subject = name, same_key = own, days = 10 })
    chain(old, link, back)
    assert.same({}, warnings())
    chain(old, back)
    local list = warnings()
    assert.equal(1, #list)
    assert.matches("^ca.chain: two roots are called .*no certificate links the new one", list[1])
    chain(link) -- the old root is retired
    assert.same({}, warnings())
    chain(old, ca:sub("long", { by = old, subject = name, same_key = own, days = 40 }), back)
    assert.matches("^ca.chain: the link .* goes on after the old root", warnings()[1])
    chain(old, link, back, ca:sub("no-ca", { by = old, subject = name, same_key = own, days = 10,
      ext = "basicConstraints = critical,CA:FALSE\n" }))
    assert.matches("^ca.chain: the link .* is no CA", warnings()[1])
    chain(old, link, back, ca:sub("strange", { by = ca:root("gone", { subject = name }),
      subject = name, same_key = own, days = 10 }))
    assert.matches("^ca.chain: the link .* holds under no root", warnings()[1])
  end)

  it("says when the CA has expired, is not valid yet or ends soon, once", function()
    for _, case in ipairs { { 10, -0.1, "^ca: .*expired at" },
      { -1, 400, "^ca: .* is not valid before" },
      { 400, 20, "^ca: .* ends at .*, in %d+d" } } do
      root(case[1], case[2])
      local list = warnings()
      assert.matches(case[3], list[1])
      for i = 2, #list do assert.matches("^profiles.device.lifetime: it is 90d", list[i]) end
    end
  end)

  it("says when the CA ends before what a profile gives", function()
    root(10, 89)
    assert.matches("^profiles.device.lifetime: it is 90d, and the CA .* ends before", warnings()[1])
    root(10, 91)
    assert.same({}, warnings())
  end)

  it("says when the server's certificate has expired or ends soon", function()
    for _, case in ipairs { { 10, -0.1, "expired" }, { 60, 29, "ends at .*, in %d+d" } } do
      leaf(case[1], case[2])
      local list = warnings()
      assert.matches("^tls.cert: the certificate of CN=localhost " .. case[3], list[1])
      assert.equal(1, #list)
    end
    leaf(10, 80)
    assert.same({}, warnings())
  end)

  it("says which anchor and which CRL are over, and how many more", function()
    local world <close> = pki.new()
    local bundle = {}
    for i = 1, 10 do
      table.insert(bundle, process.read(world:root("old" .. i, { days = -1 }).path))
    end
    local good = world:root "good"
    local _, crl = world:crl(good, {}, { hours = 1 })
    process.write(world:path "factory.pem", table.concat(bundle) .. process.read(good.path))
    server:edit_config(function(text)
      return (text:gsub('anchors = { own = "ca.pem" }', function(found)
        return found:sub(1, -3) .. (', factory = %q }, crls = %q'):format(
          world:path "factory.pem", crl)
      end))
    end)
    local list = warnings()
    assert.equal(9, #list)
    assert.matches("^anchors.factory: and 2 more", list[1])
    assert.matches("^anchors.factory: the certificate of CN=old%d expired at", list[2])
    world:crl(good, {}, { over = true })
    list = warnings()
    assert.equal(10, #list)
    assert.matches("good.crl: the CRL of CN=good expired at .*: clients of it are refused$",
      list[1])
  end)

  it("says which key others can read", function()
    process.write(server.dir .. "/secret", "x")
    process.must({ "ln", "-s", "server.key", "linked.key" }, { dir = server.dir })
    server:edit_config(function(text)
      return (text:gsub('"server.key"', '"linked.key"'):gsub('key = "ca.key"',
        '%0, passphrase_file = "secret"'))
    end)
    process.must({ "chmod", "640", "ca.key", "server.key", "secret" }, { dir = server.dir })
    assert.same({}, warnings())
    process.must({ "chmod", "644", "ca.key", "server.key", "secret" }, { dir = server.dir })
    local list = warnings()
    assert.matches("^ca.key: others can read .*/ca.key %(its mode is 644%)$", list[1])
    assert.matches("^ca.passphrase_file: others can read", list[2])
    assert.matches("^tls.key: others can read .*/linked.key", list[3])
    assert.equal(3, #list)
  end)

  it("says when no anchor reaches the CA whose certificates are to be renewed", function()
    local world <close> = pki.new()
    local other = world:root "other"
    local function anchor(words)
      server:edit_config(function(text)
        return (text:gsub("anchors = %b{}", ("anchors = { own = %q }"):format(words), 1))
      end)
    end
    anchor(other.path)
    local list = warnings()
    assert.matches("^labels.default: no anchor of a label .* reaches the CA", list[1])
    assert.equal(1, #list)
    server:edit_config(function(text) return (text:gsub("auth = %b{}", 'auth = "basic"')) end)
    assert.same({}, warnings()) -- nobody is to renew here
    server:stop()
    server = two_tier.make()
    assert.same({}, warnings())
    server:edit_config(function(text)
      return (text:gsub('"root.pem"', ("%q"):format(other.path)))
    end)
    assert.matches("^labels.default: no anchor", warnings()[1])
  end)

  it("says when nobody can have the first certificate that a label asks for", function()
    process.must { support.lest, "ca", "init", server.dir .. "/plant", "--ca-only" }
    local function labels(text)
      server:edit_config(function(old)
        return (old:gsub("\n  labels = .*", function()
          return "\n  labels = {" .. text .. "} }"
        end))
      end)
    end
    server:edit_config(function(text)
      return (text:gsub('anchors = { own = "ca.pem" }', 'anchors = { own = "ca.pem", '
        .. 'plant = "plant/ca.pem" }, cas = { plant = { cert = "plant/ca.pem", '
        .. 'key = "plant/ca.key" } }'))
    end)
    local words = 'policy = "policy.lua", profile = "device"'
    local default = ("default = { %s, anchors = { 'own' }, auth = 'basic' },"):format(words)
    local plant = ("plant = { %s, ca = 'plant', anchors = { %%s } },"):format(words)
    labels(default .. plant:format "'plant'")
    local list = warnings()
    assert.equal(1, #list)
    assert.matches("^labels.plant: it takes certificates alone, .*nobody new can enroll", list[1])
    labels(default .. plant:format "'plant', 'own'")
    assert.same({}, warnings())
    -- Nor where each waits for the other, or both proofs are wanted.
    labels(("default = { %s, anchors = { 'plant' } },"):format(words) .. plant:format "'own'")
    assert.equal(2, select(2, table.concat(warnings()):gsub("nobody new can enroll", "")))
    labels(("default = { %s, anchors = { 'own' }, auth = 'certificate+basic' },"):format(words))
    assert.equal(1, #warnings())
    local world <close> = pki.new()
    process.must { "cp", world:root("factory").path, server.dir .. "/plant/ca.pem" }
    server:edit_config(function(text) return (text:gsub("cas = %b{}", "cas = {}")) end)
    labels(("default = { %s, anchors = { 'own', 'plant' } },"):format(words))
    assert.same({}, warnings())
  end)

  it("says at the start what it says here", function()
    leaf(60, 29)
    server:run()
    local line = server:logged("configuration")[1]
    assert.equal("tls.cert", line.key)
    assert.is_nil(server:logged("configuration")[2])
  end)
end)
