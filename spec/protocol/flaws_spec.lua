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

  --- A request signed anew with other bytes in its content.
  local function forged(name, edit)
    local key = assert(core.key.generate "ec:P-256")
    local made = assert(core.csr.build { key = key, subject = "CN=" .. name,
      attributes = { { oid = EXTENSION_REQUEST, values = { der.seq(der.seq(der.oid "1.2.3.4",
        der.tlv(1, "\xff"), der.octets(der.utf8 "private value"))) } } } })
    local info = edit(der.split(der.body(made:der()))[1])
    local file = server:file(name .. ".info", info)
    process.must { "openssl", "dgst", "-sha256", "-sign", server:file(name .. ".key", key:pem()),
      "-out", file .. ".sig", file }
    return server:file(name .. ".b64", core.est.body_encode(der.seq(info,
      der.seq(der.oid "1.2.840.10045.4.3.2"), der.bits(process.read(file .. ".sig"))), 64))
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
