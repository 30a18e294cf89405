-- What others made is taken with its flaws, and none of them gets into what is signed.
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local EXTENSION_REQUEST <const> = "1.2.840.113549.1.9.14"
local POLICY <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }
]]

describe("a server among the flaws of others", function()
  local server, ca, maker
  setup(function()
    ca = pki.new()
    maker = ca:root "maker"
    ca:forge(maker, maker, function(tbs) return (tbs:gsub("\1\1\xff", "\1\1\1")) end)
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('own = "ca.pem"', ('%%0, maker = "%s"'):format(maker.path)))
    end }
  end)
  teardown(function()
    server:stop()
    pki.__close(ca)
  end)

  it("takes an anchor with one, and says so", function()
    local line = server:logged "configuration"[1]
    assert.equal("warning", line.level)
    assert.equal("anchors.maker", line.key)
    assert.matches("CN=maker: .*BOOLEAN", line.message)
  end)

  it("takes a client certificate with a name that stands for nothing", function()
    local device = ca:issue("device", { by = maker, ext = "subjectAltName = DNS:device-001" })
    ca:forge(device, maker, function(tbs) return (tbs:gsub("device%-001", "device 001")) end)
    local status, body = server:enroll_as(device)
    assert.equal(200, status, body)
    assert.same({}, support.issued(body).san)
  end)

  it("takes a client certificate whose name has letters that its type does not have", function()
    local device = ca:issue("letters", { by = maker, subject = "/serialNumber=Mxller/CN=letters" })
    ca:forge(device, maker, function(tbs) return (tbs:gsub("Mxller", "M\xfcller")) end)
    local status, body = server:enroll_as(device)
    assert.equal(200, status, body)
    assert.same({}, support.issued(body).flaws)
  end)

  --- The file of a request that is wrong on purpose (lest.csr_raw), and its DER.
  local function wrong(name, key, raw)
    local bytes = assert(core.csr.build { key = key, subject = "CN=" .. name, raw = raw })
    return server:file(name .. ".b64", core.est.body_encode(bytes, 64)), bytes
  end

  --- A request signed anew with other bytes in its content.
  local function forged(name, edit)
    local key = assert(core.key.generate "ec:P-256")
    local made = assert(core.csr.build { key = key, subject = "CN=" .. name,
      attributes = { { oid = EXTENSION_REQUEST, values = { der.seq(der.seq(der.oid "1.2.3.4",
        der.tlv(1, "\xff"), der.octets(der.utf8 "private value"))) } } } })
    return wrong(name, key, { info = edit(der.split(der.body(made:der()))[1]) })
  end

  --- An edit of a request: other bytes, as many, in one place.
  local function replace(old, new)
    assert(#old == #new)
    return function(info)
      local first, last = info:find(old, 1, true)
      assert(first, "the request has no such bytes")
      return info:sub(1, first - 1) .. new .. info:sub(last + 1)
    end
  end

  local VALUE <const> = der.utf8 "private value"

  it("takes requests of another version, and private extensions of any bytes", function()
    for name, edit in pairs {
      v1 = replace(der.int(0), der.int(1)), v2 = replace(der.int(0), der.int(2)),
      raw = replace(VALUE, "serial/0042 xyz"), critical = replace("\1\1\xff", "\1\1\1"),
    } do
      local status, body = server:post("/simpleenroll", forged(name, edit), "--user",
        name .. ":" .. server:credential(name))
      assert.equal(200, status, name .. body)
      local cert = support.issued(body)
      assert.same({}, cert.flaws)
      for _, extension in ipairs(cert.extensions) do assert.not_equal("1.2.3.4", extension.oid) end
    end
  end)

  --- Requests that are wrong on purpose, with the server's words, and whether openssl takes them.
  local function faults(key)
    local other = assert(core.key.generate "ec:P-256")
    local good = assert(core.csr.build { key = key, subject = "CN=faulty" }):der()
    local info = der.body(der.split(der.body(good))[1])
    return {
      { { sign_with = other }, "by a key of type ec:P-256) is not right" },
      { { signature = der.bits "" }, "is not right" },
      { { signature_algorithm = der.seq(der.oid "1.2.840.10045.4.3.3") },
        "the signature (ecdsa-with-SHA384, by a key of type ec:P-256) is not right" },
      { { spki = other:public_der() }, "is not right" },
      { { version = "" }, "the version has tag 0x30" },
      { { version = der.int(255) }, "the version is negative", true },
      { { spki = der.seq() }, "the public key's algorithm is missing" },
      { { attributes = der.tlv(0xa1) }, "the attributes has tag 0xa1" },
      { { attributes = "\xa0\0\5\0" }, "the request info is followed by more data" },
      { { signature = der.bits "x" .. "\5\0" }, "the signature is followed by more data" },
      { { info = der.seq() }, "the version is missing" },
      { { info = der.seq(info, info) }, "the request info is followed by more data" },
    }
  end

  it("2986-4.2-a refuses each request that is wrong on purpose, as openssl does", function()
    local key = assert(core.key.generate "ec:P-256")
    local user = "faulty:" .. server:credential("faulty", { "--reusable" })
    for i, fault in ipairs(faults(key)) do
      local path, bytes = wrong("faulty", key, fault[1])
      local _, out, err = process.run({ "openssl", "req", "-inform", "DER", "-verify", "-noout" },
        { stdin = bytes })
      assert.equal(fault[3] or false, (out .. err):find "verify OK" ~= nil, i)
      local status, body = server:post("/simpleenroll", path, "--user", user)
      assert.equal(400, status, i .. body)
      assert.is_truthy(body:find(fault[2], 1, true), i .. ": " .. body)
    end
    local status = server:post("/simpleenroll", (wrong("faulty", key, {})), "--user", user)
    assert.equal(200, status)
  end)

  it("refuses an alternative name that cannot be one, and a key that nobody knows", function()
    local critical = der.tlv(1, "\xff")
    for words, edit in pairs {
      ["an alternative name is empty or has characters"] = replace(
        der.oid "1.2.3.4" .. critical .. der.octets(VALUE),
        der.oid "2.5.29.17" .. critical .. der.octets(der.seq(der.tlv(0x82, "private val")))),
      ["algorithm 1%.2%.840%.10045%.2%.9 is unknown"] = replace(der.oid "1.2.840.10045.2.1",
        der.oid "1.2.840.10045.2.9"),
    } do
      local status, body = server:post("/simpleenroll", forged("refused", edit), "--user",
        "refused:" .. server:credential "refused")
      assert.equal(400, status)
      assert.matches(words, body)
    end
  end)
end)
