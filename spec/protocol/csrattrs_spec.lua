-- /csrattrs: what the configuration and the policy ask for, byte by byte (RFC 7030 4.5, RFC 8951 4,
-- RFC 9908 3.2; peers' rows S3, S4, S65 to S68).
local core = require "lest.core"
local der = require "support.der"
local process = require "support.process"
local support = require "support.server"
local vectors = require "support.vectors"

local EXTENSION_REQUEST <const> = "1.2.840.113549.1.9.14"

-- Labels by what they ask for; each is a list as the configuration has it.
local WISHES <const> = {
  rfc7030 = [[ "challengePassword", { key = "ec:P-384" }, "1.3.6.1.1.1.1.22",
    { digest = "sha384" } ]],
  example2 = ([[ "1.3.6.1.1.1.1.22", { oid = "2.999.1", values = { %q } }, "challengePassword",
    { oid = "2.999.2", values = { %q, %q, %q } }, "1.3.36.3.3.2.8.1.1.11",
    "2.16.840.1.101.3.4.2.2" ]]):format(der.tlv(0x13, "Parse SET as 2.999.1 data"),
    der.oid "2.999.3", der.oid "2.999.4", der.tlv(0x13, "Parse SET as 2.999.2 data")),
  rsa = [[ "challengePassword", { key = "rsa:4096" }, { digest = "sha256" } ]],
  p384 = [[ "challengePassword", { key = "ec:P-384" }, "serialNumber", { digest = "sha384" } ]],
  p521 = [[ "challengePassword", { key = "ec:P-521" }, "1.2.840.113549.1.9.20",
    "0.9.2342.19200300.100.1.5", "2.5.4.5", { digest = "sha512" } ]],
  empty = "",
  san = ([[ { extensions = {
    { oid = "2.5.29.17", critical = true, value = %q },
    { oid = "2.5.29.37", value = %q } } } ]]):format(der.seq(der.tlv(0x82, "x.example")),
    der.seq(der.oid "1.3.6.1.5.5.7.3.2")),
}

-- One value of each kind, with the shortest contents that it may have.
local EVERY_TYPE <const> = {}
for tag, contents in pairs {
  [0x01] = "\xff", [0x02] = "\5", [0x03] = "\0\xaa", [0x04] = "abc", [0x05] = "", [0x06] = "\x2a\3",
  [0x09] = "\3\x31E+0", [0x0a] = "\1", [0x0c] = "\u{fc}", [0x0d] = "\x2a\3", [0x12] = "12 34",
  [0x13] = "Abc 1", [0x14] = "T61", [0x16] = "a@b", [0x17] = "260101000000Z",
  [0x18] = "20500101000000Z", [0x19] = "graphic", [0x1a] = "visible", [0x1b] = "general",
  [0x1c] = "\0\0\0A", [0x1e] = "\0A", [0x30] = "", [0x31] = der.int(1), [0x28] = der.int(1),
  [0x80] = "x", [0xa1] = der.int(1), [0x5e] = "application", [0xc1] = "private",
} do
  EVERY_TYPE[#EVERY_TYPE + 1] = der.tlv(tag, contents)
end
table.sort(EVERY_TYPE) -- as in a SET OF

local function attribute(bytes)
  return ("{ oid = '2.999.1', values = { %s } }"):format(bytes)
end

do
  local quoted = {}
  for i, value in ipairs(EVERY_TYPE) do quoted[i] = ("%q"):format(value) end
  WISHES.types = attribute(table.concat(quoted, ", "))
end

-- The DER of an attribute with one value such that the whole list has so many bytes.
local function list_of(size)
  for length = 0, size do
    local value = der.octets(("x"):rep(length))
    local whole = der.seq(der.seq(der.oid "2.999.1", der.set(value)))
    if #whole == size then return whole, value end
  end
end

local SIZES <const> = { 116, 117, 122, 244, 245, 250, 1024 }
for _, size in ipairs(SIZES) do
  WISHES["size" .. size] = attribute(("%q"):format(select(2, list_of(size))))
end

local VECTORS <const> = { rfc7030 = "9908-5.2-rfc7030-corrected", example2 = "7030-a2-csrattrs",
  rsa = "9908-5.4-rsa4096", p384 = "9908-5.5-p384-serial", p521 = "9908-5.6-p521-attrs" }

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    if not request.csr.challenge_password then
      return policy.reject "the attribute challengePassword is missing"
    end
    return policy.approve { subject = request.csr.subject }
  end,
  csrattrs = function(request)
    if request.label == "hook" then return { { key = "ec:P-256" }, "challengePassword" } end
    if request.label == "none" then return {} end
    if request.label == "bad" then return { "not an oid" } end
    if request.label == "worse" then return "text" end
    if request.label == "version" then
      return { { oid = "2.999.1", values = { "\12\7" .. request.tls.version } } }
    end
    return nil
  end,
}
]]

local function configuration(text)
  local labels = {}
  for name, wishes in pairs(WISHES) do
    table.insert(labels, ('%s = { policy = "policy.lua", profile = "device", csrattrs = { %s } },')
      :format(name, wishes))
  end
  for _, name in ipairs { "hook", "none", "bad", "worse", "version" } do
    table.insert(labels, ('%s = { policy = "hooks.lua", profile = "device", '
      .. 'auth = { "basic" }, channel_binding = "off", csrattrs = '
      .. '{ "challengePassword" } },'):format(name))
  end
  table.insert(labels, [[
    fallback = { policy = "hooks.lua", profile = "device", csrattrs = { "challengePassword" } },
    strict = { policy = "policy.lua", profile = "strict" },
    stricter = { policy = "policy.lua", profile = "strict", csrattrs = { "challengePassword" } },
  ]])
  text = text:gsub("profiles = {", [[profiles = {
    strict = { lifetime = "1d", keys = { "ec:P-384" } },]], 1)
  return (text:gsub("labels = {", function()
    return "labels = {\n" .. table.concat(labels, "\n")
  end, 1))
end

describe("/csrattrs", function()
  local server

  setup(function()
    server = support.start { config = configuration, files = { ["hooks.lua"] = POLICY } }
  end)
  teardown(function() server:stop() end)

  --- The DER of a label's answer.
  local function attributes(label)
    local status, body, headers = server:curl("/" .. label .. "/csrattrs")
    assert.equal(200, status, label .. ": " .. body)
    assert.equal("application/csrattrs", headers["content-type"])
    assert.equal("base64", headers["content-transfer-encoding"])
    return assert(core.base64.decode(body))
  end

  it("7030-4.5-b 7030-4.5.2-a 7030-4.5.2-d gives attributes to anybody", function()
    assert.equal(0x30, attributes("rsa"):byte())
  end)

  it("7030-4.5.2-b 7030-4.5.2-f S3 says 204 without a body when there are none", function()
    for _, path in ipairs { "/csrattrs", "/empty/csrattrs", "/none/csrattrs" } do
      local status, body, headers = server:curl(path)
      assert.equal(204, status, path)
      assert.equal("", body)
      assert.is_nil(headers["content-type"])
      assert.is_nil(headers["content-length"])
    end
  end)

  for label, vector in pairs(VECTORS) do
    it("7030-4.5.2-j 8951-4-a 9908-3.2-h sends the bytes of " .. vector, function()
      assert.equal(vectors.hex(vectors.get(vector)), vectors.hex(attributes(label)))
    end)
  end

  it("S65 is exact where lengths need another octet", function()
    for _, size in ipairs(SIZES) do
      assert.equal(vectors.hex(list_of(size)), vectors.hex(attributes("size" .. size)))
    end
  end)

  it("S67 sends every type of ASN.1", function()
    assert.equal(vectors.hex(der.seq(der.seq(der.oid "2.999.1", der.set(
      table.unpack(EVERY_TYPE))))), vectors.hex(attributes "types"))
  end)

  it("9908-3.2-a 9908-3.2-b 9908-3.2-c 9908-3.2-d asks for extensions in one attribute", function()
    local bytes = attributes "san"
    local list = assert(core.csrattrs.decode(bytes))
    assert.equal(1, #list)
    assert.equal(EXTENSION_REQUEST, list[1].oid)
    assert.equal(1, #list[1].values)
    local extensions = der.split(der.body(list[1].values[1]))
    assert.equal(2, #extensions)
    local wishes = assert(core.csrattrs.wishes(bytes))
    assert.equal("2.5.29.17", wishes.extensions[1].oid)
    assert.is_true(wishes.extensions[1].critical)
    assert.equal("2.5.29.37", wishes.extensions[2].oid)
  end)

  it("7030-4.5.2-g names the key that the profile insists on", function()
    local wishes = assert(core.csrattrs.wishes(attributes "strict"))
    assert.equal("ec:P-384", wishes.key)
    wishes = assert(core.csrattrs.wishes(attributes "stricter"))
    assert.equal("ec:P-384", wishes.key)
    assert.is_true(wishes.challenge_password)
  end)

  it("S66 asks the policy's hook first, and the configuration if it has nothing to say", function()
    local wishes = assert(core.csrattrs.wishes(attributes "hook"))
    assert.equal("ec:P-256", wishes.key)
    assert.is_true(wishes.challenge_password)
    local list = assert(core.csrattrs.decode(attributes "fallback"))
    assert.equal(1, #list)
    assert.equal("challengePassword", list[1].name)
    assert.equal("\12\7TLSv1.3", core.csrattrs.decode(attributes "version")[1].values[1])
  end)

  it("7030-4.5.2-c 8995-5.9.2-a S68 leaves it to the policy to insist on what was asked for",
    function()
    local secret = server:credential("device", { "--reusable" })
    for password, expected in pairs { [false] = 403, secret = 200 } do
      local csr = support.request("device", { challenge_password = password })
      local status, body = server:post("/hook/simpleenroll", server:file("csr", csr), "--user",
        "device:" .. secret)
      assert.equal(expected, status, body)
      if status == 403 then assert.equal("the attribute challengePassword is missing\n", body) end
    end
  end)

  it("S66 says 500 for a hook that fails, and goes on", function()
    for _, label in ipairs { "bad", "worse" } do
      local status, body = server:curl("/" .. label .. "/csrattrs")
      assert.equal(500, status)
      assert.matches("^the request %S+ failed\n$", body)
    end
    assert.equal(2, #server:logged "policy failed")
    assert.equal(200, (server:curl "/hook/csrattrs"))
  end)

  it("9110-15.5.6-a takes GET and HEAD only", function()
    local status, _, headers = server:curl("/rsa/csrattrs", "-X", "POST", "-d", "x")
    assert.equal(405, status)
    assert.equal("GET, HEAD", headers.allow)
    assert.equal(200, (server:curl("/rsa/csrattrs", "--head")))
  end)
end)

describe("the configuration of csrattrs", function()
  local server

  setup(function() server = support.make() end)
  teardown(function() server:stop() end)

  local function check(wishes)
    local file = server.dir .. "/other.lua"
    process.write(file, (process.read(server.dir .. "/server.lua"):gsub(
      'profile = "device",\n', function(found)
        return found .. "csrattrs = { " .. wishes .. " },\n"
      end, 1)))
    local code, out, err = process.run { support.lest, "serve", file, "--check" }
    return code, out .. err
  end

  it("9908-3.2-b 9908-3.2-c 9908-3.2-e 9908-3.2-f refuses what RFC 9908 forbids", function()
    local extension = ("{ oid = '2.5.29.17', value = %q }"):format(der.seq())
    for what, wishes in pairs {
      ["two attributes of extensions"] =
        ("{ extensions = { %s } }, { extensions = { %s } }"):format(extension, extension),
      ["two extensions of one OID"] = ("{ extensions = { %s, %s } }"):format(extension, extension),
      ["two kinds of key"] = "{ key = 'ec:P-256' }, { key = 'rsa:2048' }",
      ["two values of extensions"] = ("{ oid = %q, values = { %q, %q } }"):format(
        EXTENSION_REQUEST, der.seq(), der.seq()),
    } do
      local code, said = check(wishes)
      assert.not_equal(0, code, what)
      assert.is_nil(said:find "traceback", what)
    end
  end)

  it("S66 names what it does not understand, without a stack trace", function()
    for _, wishes in ipairs { "{ kye = 'ec:P-256' }", "'no such name'", "{ key = 'ec:P-999' }",
      "{ oid = '1.2.3', values = { 'no DER' } }", "{ oid = 5 }", "{}" } do
      local code, said = check(wishes)
      assert.not_equal(0, code, wishes)
      assert.is_nil(said:find "traceback", wishes .. said)
      assert.matches("csrattrs", said:lower(), 1, wishes)
    end
    assert.equal(0, (check "'challengePassword'"))
  end)
end)
