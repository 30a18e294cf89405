-- What is issued: keys, usages, names, times, serials, and by which CA (RFC 7030 4.2, RFC 5280 4,
-- RFC 5272 3.1; peers' rows S5, S6, S26, S27).
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"
local EXTENSION_REQUEST <const> = "1.2.840.113549.1.9.14"
local MICROSOFT_REQUEST <const> = "1.3.6.1.4.1.311.2.1.14"
local SAN_OID <const> = "2.5.29.17"
local NOON_2049 <const>, NOON_2050 <const> = 2524564800, 2524651200

-- It issues whatever is asked for: what stands in the way is the profile.
local POLICY <const> = ([[
local policy = require "lest.policy"
local ends = { y2049 = %d, y2050 = %d }
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    return policy.approve { subject = request.csr.subject, san = request.csr.san,
      lifetime = ends[name] and ends[name] - request.time or name == "greedy" and "1000d" or nil }
  end,
  reenroll = policy.renew {},
}
]]):format(NOON_2049, NOON_2050)

-- It grants the names that are asked for, but passes over those of one that is called "careless".
local GRANTING <const> = [[
local policy = require "lest.policy"
return { reenroll = function(request)
  local change = request.csr.change
  if not change or request.csr.subject.CN == "careless" then
    return policy.approve { renewal = true }
  end
  return policy.approve { subject = change.subject, san = change.san }
end }
]]

local PROFILES <const> = [[
    all = { lifetime = "30d", names = "policy",
      keys = { "ec:P-256", "ec:P-384", "rsa:2048..3072", "ed25519", "ed448" },
      subject = { "CN", "O", "OU", "C", "ST", "L", "DC", "serialNumber", "emailAddress", "UID" },
      san = { "DNS", "IP", "email", "URI", "dirName", "RID", "otherName" },
      crl_urls = { "http://crl.example/a.crl", "http://crl.example/b.crl" },
      ocsp_urls = "http://ocsp.example/", ca_issuer_urls = "http://ca.example/ca.cer" },
    p256 = { lifetime = "30d", names = "policy", keys = "ec:P-256" },
    agreement = { lifetime = "30d", names = "policy", keys = "ec:P-256",
      key_usage = { "keyAgreement" }, eku = { "serverAuth" } },
    own = { lifetime = "30d", names = "principal", keys = "ec:P-256", subject = { "CN" },
      san = { "DNS" } },
    renewal = { lifetime = "30d", names = "renewal", keys = "ec:P-256" },
    newkey = { lifetime = "30d", names = "policy", keys = "ec:P-256", key_change = "required" },
    samekey = { lifetime = "30d", names = "policy", keys = "ec:P-256", key_change = "forbidden" },
    usages = { lifetime = "30d", names = "policy", keys = "ec:P-256",
      key_usage = { "digitalSignature", "keyAgreement" }, eku = { "serverAuth", "clientAuth" } },
    eternal = { lifetime = "20000d", names = "policy", keys = "ec:P-256",
      refuse_compromised_keys = false },
]]

local function configuration(folder)
  return function(text)
    text = text:gsub('anchors = { own = "ca.pem" }', function()
      return ('anchors = { own = "ca.pem", second = "%s/second.pem", tier = "%s/root.pem" }, '
        .. 'cas = { '
        .. 'second = { cert = "%s/second.pem", key = "%s/second.key" },'
        .. 'tier = { cert = "%s/sub.pem", key = "%s/sub.key", chain = "%s/chain.pem" } }')
        :gsub("%%s", folder)
    end)
    text = text:gsub("profiles = {", function(found) return found .. "\n" .. PROFILES end, 1)
    local labels = {}
    for name in PROFILES:gmatch "(%w+) = { lifetime" do
      table.insert(labels, ('%s = { policy = "policy.lua", profile = "%s", '
        .. 'auth = { "certificate", "basic" }, renews = { "%s", "default", "all" } },')
        :format(name, name, name))
    end
    table.insert(labels, [[renewals = { policy = "renewal.lua", profile = "renewal",
      renews = "default" },]])
    table.insert(labels,
      [[granting = { policy = "granting.lua", profile = "all", renews = "all" },]])
    for _, ca in ipairs { "second", "tier" } do
      table.insert(labels, ('%s = { policy = "policy.lua", profile = "eternal", ca = "%s", '
        .. 'auth = { "certificate", "basic" } },'):format(ca, ca))
    end
    return (text:gsub("labels = {", function(found)
      return found .. "\n" .. table.concat(labels, "\n")
    end, 1))
  end
end

describe("what is issued", function()
  local server, client, ca, root, second, sub, basic, own_ca

  setup(function()
    ca = pki.new()
    root = ca:root("root", { days = 12000 })
    second = ca:root("second", { days = 12000 })
    sub = ca:sub("sub", { by = root, days = 11000 })
    pki.write(ca:path "chain.pem", process.read(sub.path) .. process.read(root.path))
    server = support.start { policy = POLICY, config = configuration(ca.folder),
      files = { ["renewal.lua"] = "return { reenroll = require 'lest.policy'.renew { profile = "
        .. "'renewal' } }", ["granting.lua"] = GRANTING } }
    own_ca = assert(core.cert.load(server.dir .. "/ca.pem"))
    client = raw_client.new()
    basic = "Authorization: "
      .. support.basic("device", server:credential("device", { "--reusable" }))
  end)
  teardown(function()
    client:close()
    server:stop()
    pki.__close(ca)
  end)

  --- Enroll under a label; options of core.csr.build. Gives the answer, the certificate if there is
  --- one, and the key.
  local function enroll(label, options)
    local csr, key = support.request("device", options)
    local c <close> = assert(client:connect { port = server.port })
    local answer = assert(c:request(http("POST", "/" .. label .. "/simpleenroll",
      { basic, CSR_TYPE }, csr)))
    return answer, answer.status == 200 and support.issued(answer.body) or nil, key
  end

  local function issued(label, options)
    local answer, cert, key = enroll(label, options)
    assert.equal(200, answer.status, answer.body)
    return cert, key
  end

  local function refused(status, text, label, options)
    local answer = enroll(label, options)
    assert.equal(status, answer.status, answer.body)
    assert.matches(text, answer.body)
    return answer
  end

  --- Ask as the holder of a certificate, for its names; options of core.csr.build.
  local function ask_as(operation, label, cert, key, options)
    local me = { port = server.port, cert = server:file("me.pem", cert:pem()),
      key = server:file("me.key", key:pem()) }
    local all = { subject = false, subject_der = cert.subject_der, san_der = cert.san_der or false }
    for name, value in pairs(options or {}) do all[name] = value end
    if all.subject then all.subject_der = false end
    if all.san then all.san_der = false end
    local c <close> = assert(client:connect(me))
    local answer = assert(c:request(http("POST", "/" .. label .. "/" .. operation, { CSR_TYPE },
      (support.request("device", all)))))
    return answer, answer.status == 200 and support.issued(answer.body) or nil
  end

  local function renew(...) return ask_as("simplereenroll", ...) end

  local function extension(cert, oid)
    for _, each in ipairs(cert.extensions) do
      if each.oid == oid then return each end
    end
  end

  -- Keys and usages

  it("takes the key types of the profile, and says which they are", function()
    for _, spec in ipairs { "ec:P-256", "ec:P-384", "rsa:2048", "ed25519", "ed448" } do
      local cert = issued("all", { key = assert(core.key.generate(spec)) })
      assert.equal(spec, cert.public_key.type)
      refused(spec == "ec:P-256" and 200 or 400, spec == "ec:P-256" and "" or spec:gsub("%-", "%%-")
        .. ".*allowed: ec:P%-256", "p256", { key = assert(core.key.generate(spec)) })
    end
    refused(400, "ec:P%-521", "all", { key = assert(core.key.generate "ec:P-521") })
    refused(400, "rsa:4096", "all", { key = assert(core.key.generate "rsa:4096") })
  end)

  it("S5 refuses a DSA key", function()
    local base = server.folder .. "/dsa"
    local commands = ("openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 "
      .. "-out %s.par && openssl genpkey -paramfile %s.par -out %s.key && "
      .. "openssl req -new -key %s.key -subj /CN=device -out %s.csr"):gsub("%%s", base)
    process.must(commands)
    local c <close> = assert(client:connect { port = server.port })
    local answer = c:request(http("POST", "/all/simpleenroll", { basic, CSR_TYPE },
      process.read(base .. ".csr")))
    assert.equal(400, answer.status)
    assert.matches("key", answer.body)
  end)

  it("5272-3.1-b gives no usage that was not asked for in place of one that was", function()
    assert.same({ "keyAgreement" }, issued("agreement").key_usage)
    for _, asked in ipairs { { "keyAgreement" }, { "digitalSignature", "keyAgreement" } } do
      assert.same({ "keyAgreement" }, issued("agreement", { key_usage = asked }).key_usage)
    end
    refused(400, "key usages", "agreement", { key_usage = { "digitalSignature" } })
    refused(400, "extended key usages", "agreement", { eku = { "clientAuth" } })
    refused(400, "key usages", "all", { key_usage = { "keyCertSign" } })
  end)

  it("5280-4.2.1.9-a 5272-3.1-a bears every extension in a request, and issues no CA", function()
    local extensions = {
      { oid = "2.5.29.19", critical = true, value = der.seq(der.tlv(1, "\255")) },
      { oid = "2.5.29.14", value = der.octets(("x"):rep(20)) },
      { oid = "2.5.29.32", value = der.seq(der.seq(der.oid "2.5.29.32.0")) },
      { oid = "2.5.29.30", critical = true, value = der.seq(der.tlv(0xa0,
        der.seq(der.tlv(0x82, "example")))) },
      { oid = "2.5.29.31", value = der.seq() },
      { oid = "2.5.29.36", value = der.seq(der.tlv(0x80, "\0")) },
      { oid = "2.5.29.54", value = der.int(0) },
      { oid = "1.3.6.1.5.5.7.1.24", value = der.seq(der.int(5)) },
      { oid = "1.3.6.1.4.1.99999.1", critical = true, value = der.utf8 "anything" },
    }
    for _, one in ipairs(extensions) do
      local cert = issued("all", { extensions = { one } })
      assert.is_false(cert.is_ca)
      assert.same({ "digitalSignature" }, cert.key_usage)
      for _, each in ipairs(cert.extensions) do
        assert.is_true(each.oid ~= one.oid or each.value ~= one.value, one.oid)
      end
    end
    assert.is_false(issued("all", { extensions = extensions }).is_ca)
  end)

  it("5280-4.2-a 2985-5.4.2-a refuses an extension, or the list of them, twice", function()
    local one = core.san.encode { "DNS:a.example" }
    local request = { oid = EXTENSION_REQUEST, values = { der.seq(der.seq(der.oid(SAN_OID),
      der.octets(one))) } }
    local double = { oid = EXTENSION_REQUEST, values = { der.seq(
      der.seq(der.oid(SAN_OID), der.octets(one)), der.seq(der.oid(SAN_OID), der.octets(one))) } }
    local two_values = { oid = EXTENSION_REQUEST, values = { request.values[1],
      der.seq(der.seq(der.oid(SAN_OID), der.octets(core.san.encode { "DNS:b.example" }))) } }
    assert.same({ "DNS:a.example" }, issued("all", { attributes = { request } }).san)
    for _, attributes in ipairs { { request, request }, { double }, { two_values } } do
      -- Nobody here signs such a request; it is refused before its signature is looked at.
      local items = der.split(der.body(core.base64.decode((support.request "device"))))
      local info = der.split(der.body(items[1]))
      local list = {}
      for i, each in ipairs(attributes) do
        list[i] = der.seq(der.oid(each.oid), der.set(table.unpack(each.values)))
      end
      info[4] = der.tlv(0xa0, table.unpack(list))
      local c <close> = assert(client:connect { port = server.port })
      local answer = c:request(http("POST", "/all/simpleenroll", { basic, CSR_TYPE },
        core.base64.encode(der.seq(der.seq(table.unpack(info)), items[2], items[3]))))
      assert.equal(400, answer.status)
      assert.is_nil(answer.body:find "signature", answer.body)
    end
  end)

  it("2985-5.4.2-a understands Microsoft's list of extensions", function()
    local cert = issued("all", { attributes = { { oid = MICROSOFT_REQUEST, values = {
      der.seq(der.seq(der.oid(SAN_OID), der.octets(core.san.encode { "DNS:ms.example" }))) } } } })
    assert.same({ "DNS:ms.example" }, cert.san)
  end)

  -- Names

  local NAMES <const> = { "DNS:a.example", "DNS:*.b.example", "IP:192.0.2.1", "IP:2001:db8::1",
    "email:a@example.com", "URI:https://a.example/x?y=1", "dirName:CN=x", "RID:1.2.3.4",
    "otherName:1.3.6.1.5.5.7.8.4;3006060103040101" }

  it("7030-4.2.1-i issues every type of name that profile and policy let pass", function()
    local cert, key = issued("all", { san = NAMES })
    assert.is_true(core.san.equal(core.san.encode(NAMES), cert.san_der))
    local answer, renewed = renew("all", cert, key, { key = key })
    assert.equal(200, answer.status, answer.body)
    assert.equal(cert.san_der, renewed.san_der)
    for _, name in ipairs(NAMES) do
      local only = issued("all", { san = { name } })
      assert.equal(1, #only.san)
      refused(400, "type %w+ is not in the profile", "p256", { san = { name } })
    end
  end)

  it("7030-4.2.2-e compares alternative names as a set", function()
    local cert, key = issued("all", { san = NAMES })
    local turned = {}
    for i, name in ipairs(NAMES) do turned[#NAMES + 1 - i] = name end
    local answer, renewed = renew("all", cert, key, { san = turned })
    assert.equal(200, answer.status, answer.body)
    assert.equal(cert.san_der, renewed.san_der)
    local fewer = { table.unpack(NAMES, 2) }
    local more = { "DNS:more.example", table.unpack(NAMES) }
    local other = { "DNS:other.example", table.unpack(NAMES, 2) }
    for _, san in ipairs { fewer, more, other } do
      assert.equal(403, (renew("all", cert, key, { san = san })).status)
    end
    assert.equal(403, (renew("all", cert, key, { san_der = false })).status)
  end)

  it("7030-4.2.2-e compares subjects as RFC 5280 does, and keeps the old bytes", function()
    local cert, key = issued("all", { subject = { { "O", "Some Company" }, { "CN", "Device 1" } } })
    local answer, renewed = renew("all", cert, key, { subject = { { "O", "SOME  company" },
      { "CN", "device 1" } } })
    assert.equal(200, answer.status, answer.body)
    assert.equal(cert.subject_der, renewed.subject_der)
    for _, subject in ipairs { "CN=Device 1", "O=Some Company,CN=Device 2",
      "CN=Device 1,O=Some Company", "O=Some Company,CN=Device 1,OU=x" } do
      assert.equal(403, (renew("all", cert, key, { subject = subject })).status, subject)
    end
  end)

  it("7030-4.2.2-e does not change names where nobody may (ChangeSubjectName)", function()
    local change = { subject = "CN=other" }
    local cert, key = issued("own", {})
    local answer = renew("own", cert, key, { change = change })
    assert.equal(403, answer.status)
    assert.matches("ChangeSubjectName", answer.body)
    refused(403, "ChangeSubjectName", "own", { change = change })
    cert, key = issued("all", {})
    answer = renew("all", cert, key, { change = change })
    assert.equal(403, answer.status)
    assert.equal("a change of names is not granted here\n", answer.body)
  end)

  it("6402-2.8-b 7030-4.2.2-b gives the names of ChangeSubjectName where the policy grants them",
    function()
    local cert, key = issued("all", { subject = "CN=old", san = { "DNS:old.example" } })
    local both = { subject = "CN=new", san = { "DNS:new.example" } }
    local answer, renewed = renew("granting", cert, key, { change = both })
    assert.equal(200, answer.status, answer.body)
    assert.equal("CN=new", tostring(renewed.subject))
    assert.same({ "DNS:new.example" }, renewed.san)
    answer, renewed = renew("granting", cert, key, { change = { subject = "CN=new" } })
    assert.equal(200, answer.status, answer.body)
    assert.equal("CN=new", tostring(renewed.subject))
    assert.is_nil(extension(renewed, SAN_OID))
    answer, renewed = renew("granting", cert, key, { change = { san = { "DNS:new.example" } } })
    assert.equal(200, answer.status, answer.body)
    assert.equal(0, #renewed.subject)
    assert.is_true(extension(renewed, SAN_OID).critical)
    assert.same({ "DNS:new.example" }, renewed.san)
    answer, renewed = renew("granting", cert, key)
    assert.equal(200, answer.status, answer.body)
    assert.same({ cert.subject_der, cert.san_der }, { renewed.subject_der, renewed.san_der })
  end)

  it("6402-2.8-c holds the request's own names to the certificate all the same", function()
    local cert, key = issued("all", { subject = "CN=old" })
    local change = { subject = "CN=new" }
    for _, options in ipairs { { subject = "CN=new" }, { san = { "DNS:x" } } } do
      options.change = change
      assert.equal(403, (renew("granting", cert, key, options)).status)
    end
  end)

  it("6402-2.8-a refuses a ChangeSubjectName that names nothing, or is none", function()
    local cert, key = issued("all", { subject = "CN=old" })
    -- lest writes no such request: another attribute's identifier is changed into this one's.
    local ours, other = der.oid "1.3.6.1.5.5.7.7.36", "1.3.6.1.5.5.7.7.99"
    for _, value in ipairs { der.seq(), "\5\0", der.octets "x", der.seq "\5\0" } do
      local csr = assert(core.csr.build { key = key, subject_der = cert.subject_der,
        attributes = { { oid = other, values = { value } } } })
      local bytes = csr:der()
      local from, to = bytes:find(der.oid(other), 1, true)
      bytes = bytes:sub(1, from - 1) .. ours .. bytes:sub(to + 1)
      local c <close> = assert(client:connect { port = server.port, -- luacheck: ignore 411
        cert = server:file("me.pem", cert:pem()), key = server:file("me.key", key:pem()) })
      local answer = assert(c:request(http("POST", "/granting/simplereenroll", { CSR_TYPE },
        core.est.body_encode(bytes, 64))))
      assert.equal(400, answer.status, answer.body)
      assert.matches("ChangeSubjectName", answer.body)
    end
  end)

  it("passes over no request for other names, whatever a policy says", function()
    local cert, key = issued("all", { subject = "CN=careless" })
    local answer = renew("granting", cert, key, { change = { subject = "CN=new" } })
    assert.equal(500, answer.status)
    local refused_line = process.wait_for(function()
      return server:logged "approval refused by the profile"[1]
    end, "the log's line")
    assert.matches("ChangeSubjectName", refused_line.message)
  end)

  it("7030-4.2.1-i lets nothing but the principal's own name pass where the profile says so",
    function()
    assert.equal("device", issued("own", {}).subject.CN)
    assert.same({ "DNS:device" }, issued("own", { san = { "DNS:device" } }).san)
    for _, options in ipairs { { subject = "CN=other" }, { subject = "CN=device,CN=device" },
      { subject = "O=device" }, { san = { "DNS:other" } }, { san = { "DNS:device", "DNS:other" } },
      { san = { "email:a@device" } }, { subject = "CN=Device" } } do
      refused(400, "", "own", options)
    end
  end)

  it("tells the operator, and no client, that names = \"policy\" leaves names to the policy",
    function()
    local answer = refused(400, "not the principal's own name\n$", "own", { subject = "CN=other" })
    local row = server:sql("SELECT reason || ' ' || detail FROM requests WHERE id = '"
      .. answer.headers["x-request-id"] .. "'")
    assert.matches('own name profiles.own has names = "principal"; names = "policy" leaves', row)
  end)

  --- A request with this subject and these GeneralNames, both DER, and its key.
  local function odd(label, subject_der, san_der)
    local attributes = san_der and { { oid = EXTENSION_REQUEST, values = { der.seq(der.seq(
      der.oid(SAN_OID), der.octets(san_der))) } } } or nil
    return enroll(label, { subject = false, subject_der = subject_der, attributes = attributes })
  end

  local function with_cn(value) return der.seq(der.set(der.seq(der.oid "2.5.4.3", value))) end

  it("7030-4.2.3-a says what is wrong with names that cannot be issued, and records it", function()
    local device = with_cn(der.utf8 "device")
    local function other_name(value)
      return der.seq(der.tlv(0xa0, der.oid "1.2.3", der.tlv(0xa0, value)))
    end
    for what, names in pairs {
      ["CN has 65 characters"] = { with_cn(der.utf8(("x"):rep(65))) },
      ["CN has 0 characters"] = { with_cn(der.utf8 "") },
      ["'DNS:kafka/0' is malformed"] = { device, der.seq(der.tlv(0x82, "kafka/0")) },
      ["'DNS:host%.' is malformed"] = { device, der.seq(der.tlv(0x82, "host.")) },
      ["'DNS:%*' is malformed"] = { device, der.seq(der.tlv(0x82, "*")) },
      ["a name is longer than 1024"] = { device, der.seq(der.tlv(0x86, "a:" .. ("b"):rep(1100))) },
      ["more than 128 alternative"] = { device, der.seq(der.tlv(0x82, "a"):rep(129)) },
      ["there is no name at all"] = { der.seq() },
      -- X.520 has strings there; what is not DER would be signed as it came
      ["CN is no character string"] = { with_cn(der.int(5)) },
      ["subject's CN is no char"] = { with_cn(der.octets "device") },
      ["'dirName:.*' is malformed"] = { device, der.seq(der.tlv(0xa4, with_cn(der.int(5)))) },
      ["'otherName:1.2.3;010101' is malf"] = { device, other_name "\1\1\1" },
      ["'otherName:1.2.3;02020001' is malf"] = { device, other_name "\2\2\0\1" },
      ["'otherName:1.2.3;31.*' is malf"] = { device, other_name(der.set(der.int(2), der.int(1))) },
    } do
      local answer = odd("all", table.unpack(names))
      assert.equal(400, answer.status, what)
      assert.matches(what, answer.body)
      local row = server:sql("SELECT verdict || ' ' || reason FROM requests WHERE id = '"
        .. answer.headers["x-request-id"] .. "'")
      assert.matches("^reject .*" .. what, row)
    end
  end)

  it("keeps the one-time secret of a request whose names cannot be issued", function()
    local secret = server:credential "cautious"
    local function ask(subject)
      local c <close> = assert(client:connect { port = server.port })
      return assert(c:request(http("POST", "/all/simpleenroll", { "Authorization: "
        .. support.basic("cautious", secret), CSR_TYPE }, (support.request("x", {
        subject = false, subject_der = subject })))))
    end
    assert.equal(400, ask(with_cn(der.utf8 "")).status)
    assert.equal(200, ask(with_cn(der.utf8 "cautious")).status)
  end)

  it("7030-4.2.1-i signs the one encoding of a key, which key_change compares", function()
    local key = assert(core.key.generate "ec:P-256")
    local oids, bits = table.unpack(der.split(der.body(key:public_der())))
    local point = der.body(bits):sub(2)
    local compressed = der.seq(oids, der.bits(string.char(2 + point:byte(-1) % 2)
      .. point:sub(2, 33)))
    local made = assert(core.csr.build { key = key, subject = "CN=device" }):der()
    local info = der.split(der.body(made))[1]
    local parts = der.split(der.body(info))
    parts[3] = compressed
    info = der.seq(table.concat(parts))
    local signature = pki.sh(("openssl dgst -sha256 -sign %s %s | base64"):format(
      server:file("point.key", key:pem()), server:file("point.info", info)))
    local request = core.est.body_encode(der.seq(info, der.seq(der.oid "1.2.840.10045.4.3.2"),
      der.bits(assert(core.base64.decode(signature)))), 64)
    local c <close> = assert(client:connect { port = server.port })
    local answer = assert(c:request(http("POST", "/newkey/simpleenroll", { basic, CSR_TYPE },
      request)))
    assert.equal(200, answer.status, answer.body)
    local cert = support.issued(answer.body)
    assert.equal(key:public_der(), cert.public_key.der)
    assert.truthy(cert:der():find(key:public_der(), 1, true))
    local me <close> = assert(client:connect { port = server.port,
      cert = server:file("point.pem", cert:pem()), key = server:file("point.key", key:pem()) })
    answer = assert(me:request(http("POST", "/newkey/simplereenroll", { CSR_TYPE }, request)))
    assert.equal(403, answer.status)
    assert.matches("a new key is required", answer.body)
  end)

  it("enrolls no key again that was revoked as compromised", function()
    local cert, key = issued("p256", {})
    local other_cert, other_key = issued("p256", {})
    for serial, reason in pairs { [cert.serial] = "keyCompromise",
      [other_cert.serial] = "superseded" } do
      process.must { process.lest, "cert", "revoke", serial, "--reason", reason, "--config",
        server.dir .. "/server.lua" }
    end
    refused(403, "the key is compromised: make a new key", "p256", { key = key })
    assert.equal("reject", server:sql "SELECT verdict FROM requests ORDER BY seq DESC LIMIT 1")
    refused(403, "the key is compromised", "all", { key = key, subject = "CN=another" })
    issued("p256", { key = other_key })
    issued("eternal", { key = key })
  end)

  it("takes names from the certificate being renewed only, where the profile says so", function()
    refused(500, "failed", "renewal", {})
    server:enroll "old"
    local cert = assert(core.cert.load(server.folder .. "/old.pem"))
    local key = assert(core.key.load(server.folder .. "/old.key"))
    local answer = renew("renewals", cert, key)
    assert.equal(200, answer.status, answer.body)
    assert.equal("renewal", server:sql "SELECT profile FROM certificates ORDER BY seq DESC LIMIT 1")
  end)

  it("refuses subject attributes outside of the profile", function()
    issued("all", { subject = "C=DE,ST=x,L=y,O=z,OU=w,DC=v,serialNumber=1,UID=u,CN=device" })
    refused(400, "title is not in the profile", "all", { subject = "CN=device,title=Dr" })
    refused(400, "99999.2 is not", "all", { subject = { { "1.3.6.1.4.1.99999.2", "x" } } })
    refused(400, "attribute O is not in the profile", "p256", { subject = "O=x,CN=device" })
  end)

  it("5280-4.2.1.6-a marks the alternative names critical where the subject is empty", function()
    local cert, key = issued("all", { subject = {}, san = { "DNS:a.example" } })
    assert.equal(0, #cert.subject)
    assert.is_true(extension(cert, SAN_OID).critical)
    assert.is_false(extension(issued("all", { san = { "DNS:a.example" } }), SAN_OID).critical)
    local answer, renewed = renew("all", cert, key)
    assert.equal(200, answer.status, answer.body)
    assert.is_true(extension(renewed, SAN_OID).critical)
    local nameless = enroll("all", { subject = {} })
    assert.is_true(nameless.status >= 400)
  end)

  -- Renewal

  it("7030-4.2.2-c 7030-4.2.2-d asks for a new key or for the old one, as the profile says",
    function()
    local fresh = assert(core.key.generate "ec:P-256")
    for label, expected in pairs { all = { 200, 200 }, newkey = { 403, 200 },
      samekey = { 200, 403 } } do
      local cert, key = issued(label, {})
      -- To enroll with a certificate from here is no way around it.
      for _, operation in ipairs { "simplereenroll", "simpleenroll" } do
        local same = ask_as(operation, label, cert, key, { key = key })
        local other = ask_as(operation, label, cert, key, { key = fresh })
        assert.same(expected, { same.status, other.status }, label .. " " .. operation)
        for _, answer in ipairs { same, other } do
          if answer.status == 403 then assert.matches("key", answer.body) end
        end
      end
    end
  end)

  it("S6 renews RSA and EC, with the old key and with a new one", function()
    for _, kind in ipairs { "rsa:2048", "ec:P-256" } do
      local cert, key = issued("all", { key = assert(core.key.generate(kind)) })
      for _, next_key in ipairs { key, (assert(core.key.generate(kind))) } do
        local answer, renewed = renew("all", cert, key, { key = next_key })
        assert.equal(200, answer.status, answer.body)
        assert.equal(next_key:public_der(), renewed.public_key.der)
      end
    end
  end)

  it("S7 refuses to renew for a request whose signature is not right", function()
    local cert, key = issued("all", {})
    local der_bytes = core.base64.decode((support.request("device", { key = key })))
    local c <close> = assert(client:connect { port = server.port,
      cert = server:file("me.pem", cert:pem()), key = server:file("me.key", key:pem()) })
    local flipped = der_bytes:sub(1, -2) .. string.char(der_bytes:byte(-1) ~ 1)
    for body, status in pairs { [flipped] = 400, [der_bytes] = 200 } do
      local answer = c:request(http("POST", "/all/simplereenroll", { CSR_TYPE },
        core.base64.encode(body)))
      assert.equal(status, answer.status, answer.body)
    end
  end)

  it("S26 keeps names and usages in a renewal", function()
    local cert, key = issued("usages", { subject = "CN=device" })
    assert.same({ { "digitalSignature", "keyAgreement" }, { "serverAuth", "clientAuth" } },
      { cert.key_usage, cert.eku })
    local answer, renewed = renew("usages", cert, key, { key = key })
    assert.equal(200, answer.status, answer.body)
    assert.same({ cert.key_usage, cert.eku, cert.subject_der, cert.public_key.der },
      { renewed.key_usage, renewed.eku, renewed.subject_der, renewed.public_key.der })
  end)

  it("7030-4.2.2-g 7030-2.3-a renews nothing whose time is over; a password opens no other way",
    function()
    local issuer = assert(core.issuer.new { cert = own_ca,
      key = assert(core.key.load(server.dir .. "/ca.key")) })
    local key = assert(core.key.generate "ec:P-256")
    local now = core.clock.wall_us() // 1000000
    local cert = assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = "CN=device", not_before = now - 7200, not_after = now - 60,
      eku = { "clientAuth" } })))
    local bytes = http("POST", "/all/simplereenroll", { basic, CSR_TYPE },
      (support.request("device", { key = key })))
    local c = client:connect { port = server.port, cert = server:file("late.pem", cert:pem()),
      key = server:file("late.key", key:pem()) }
    assert.is_nil(c and c:request(bytes))
    local failure = process.wait_for(function()
      return server:logged "handshake failed"[1]
    end, "the line in the log")
    assert.matches("expired", failure.message)
    local without <close> = assert(client:connect { port = server.port })
    local answer = assert(without:request(bytes))
    assert.equal(403, answer.status)
    assert.matches("certificate", answer.body)
  end)

  it("7030-3.2.2-k renews no certificate of this CA that the ledger does not know", function()
    local issuer = assert(core.issuer.new { cert = own_ca,
      key = assert(core.key.load(server.dir .. "/ca.key")) })
    local key = assert(core.key.generate "ec:P-256")
    local now = core.clock.wall_us() // 1000000
    local cert = assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = "CN=device", not_before = now - 60, not_after = now + 3600,
      eku = { "clientAuth" } })))
    local answer = renew("all", cert, key)
    assert.equal(403, answer.status)
    assert.matches("is not in the ledger", answer.body)
  end)

  -- Times and serials

  it("ends no certificate after its CA's", function()
    assert.equal(own_ca.not_after, issued("eternal", {}).not_after)
    assert.equal(second.cert.not_after, issued("second", {}).not_after)
    local cert = issued("all", {})
    local now = core.clock.wall_us() // 1000000
    assert.is_true(math.abs(cert.not_after - now - 30 * 86400) < 60)
    assert.is_true(cert.not_before <= now - 50 and cert.not_before > now - 120)
  end)

  it("gives no more time than the profile, whatever the policy says", function()
    refused(500, "failed", "all", { subject = "CN=greedy" })
  end)

  it("5280-4.1.2.5-a writes UTCTime until 2049, GeneralizedTime from 2050", function()
    local before, after = issued("second", { subject = "CN=y2049" }),
      issued("second", { subject = "CN=y2050" })
    assert.truthy(before:der():find "\x17\x0d491231[01]%d%d%d%d%dZ")
    assert.truthy(after:der():find "\x18\x0f20500101[01]%d%d%d%d%dZ")
    assert.is_true(math.abs(before.not_after - NOON_2049) < 10)
    assert.is_true(math.abs(after.not_after - NOON_2050) < 10)
  end)

  it("5280-4.1.2.2-a gives a hundred certificates a hundred serials", function()
    local seen, c = {}, nil
    for i = 1, 100 do
      if i % 50 == 1 then c = assert(client:connect { port = server.port }) end
      local answer = assert(c:request(http("POST", "/all/simpleenroll", { basic, CSR_TYPE },
        (support.request "device"))))
      assert.equal(200, answer.status, answer.body)
      local cert = support.issued(answer.body)
      local serial = cert.serial
      assert.is_nil(seen[serial])
      seen[serial] = true
      assert.is_true(#serial >= 24, serial)
      -- Positive: DER puts a zero before a first octet of 0x80 or more.
      local octets = serial:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
      if octets:byte() >= 0x80 then octets = "\0" .. octets end
      assert.is_true(#octets <= 20)
      assert.truthy(cert:der():find(der.tlv(2, octets), 1, true))
    end
  end)

  -- Extensions

  it("5280-4.2.1.1-a 5280-4.2.1.3-a 5280-4.1.2.4-a writes the URLs of the profile", function()
    local cert = issued("all", {})
    local text = process.must({ "openssl", "x509", "-noout", "-text" }, { stdin = cert:pem() })
    for _, line in ipairs { "URI:http://crl.example/a.crl", "URI:http://crl.example/b.crl",
      "OCSP - URI:http://ocsp.example/", "CA Issuers - URI:http://ca.example/ca.cer" } do
      assert.truthy(text:find(line, 1, true), line)
    end
    assert.equal(own_ca.subject_der, cert.issuer_der)
    assert.equal(own_ca.ski, cert.aki)
    assert.is_nil(extension(issued("p256", {}), "2.5.29.31"))
    assert.is_nil(extension(issued("p256", {}), "1.3.6.1.5.5.7.1.1"))
  end)

  -- Several CAs

  local function bag(label)
    local status, body = server:curl("/" .. label .. "/cacerts")
    assert.equal(200, status)
    return assert(core.pkcs7.decode(core.base64.decode(body)))
  end

  it("7030-3.2.2-h 7030-4.1.3-e serves several CAs by label", function()
    for label, authority in pairs { second = second.cert, tier = sub.cert, all = own_ca } do
      local cert = issued(label, {})
      assert.equal(authority.subject_der, cert.issuer_der)
      assert.equal(authority.ski, cert.aki)
      local found = false
      for _, each in ipairs(bag(label)) do found = found or each == authority end
      assert.is_true(found)
      assert.truthy(core.store.new { anchors = { authority } }:verify(cert, { purpose = "client" }))
    end
  end)

  it("7030-3.2.2-h renews by the CA that issued", function()
    local cert, key = issued("second", {})
    local answer, renewed = renew("second", cert, key)
    assert.equal(200, answer.status, answer.body)
    assert.equal(second.cert.subject_der, renewed.issuer_der)
    assert.equal(403, (renew("all", cert, key)).status)
    assert.equal(403, (renew("tier", cert, key)).status)
  end)

  it("7030-4.1.3-f gives all that a chain needs, each certificate once", function()
    local cert = issued("tier", {})
    local certs = bag "tier"
    assert.equal(2, #certs)
    local all = ""
    for _, each in ipairs(certs) do all = all .. each:pem() end
    process.must { "openssl", "verify", "-x509_strict", "-CAfile", root.path, "-untrusted",
      server:file("bag.pem", all), server:file("tiered.pem", cert:pem()) }
  end)
end)
