-- The messages that others have printed or written: each of spec/vectors is of a kind, decodes, and
-- is written again byte for byte. More, which are not this project's to hand on, are read where
-- they lie: in LEST_VECTORS, or beside the source tree.
local core = require "lest.core"
local cmc = require "support.cmc"
local der = require "support.der"
local support = require "support.server"
local vectors = require "support.vectors"

local hex <const> = vectors.hex

-- What writes a vector again, after it was decoded.
local kinds <const> = {
  csr = function(bytes) return assert(core.csr.parse(bytes)):der() end,
  key = function(bytes) return assert(core.key.parse(bytes)):der() end,
  csrattrs = function(bytes)
    return assert(core.csrattrs.encode(assert(core.csrattrs.decode(bytes))))
  end,
  certs = function(bytes)
    local certs, crls = core.pkcs7.decode(bytes)
    assert.same({}, assert(crls))
    return assert(core.pkcs7.encode(certs))
  end,
}

-- A bag without the empty set of CRLs that the examples have, and this project does not write.
local function without_crls(bytes)
  local signed = der.split(der.body(der.split(der.body(bytes))[2]))[1]
  local parts = der.split(der.body(signed))
  for i, part in ipairs(parts) do
    if part == "\xa1\0" then table.remove(parts, i) end
  end
  return der.seq(der.split(der.body(bytes))[1], der.tlv(0xa0, der.seq(table.unpack(parts))))
end

-- What is read, and written otherwise or not at all: the reason.
local READ_ONLY <const> = {
  ["7030-4.5.2-csrattrs"] = "its extensions are no Extensions (RFC 9908 5.2)",
  ["8951-4-csrattrs"] = "as 7030-4.5.2-csrattrs",
  ["9908-3.2-keytype-empty-set-derived"] = "an empty SET, which 3.2 allows and its ASN.1 does not",
}

local OF <const> = {
  ["7030-4.5.2-csrattrs"] = "csrattrs", ["7030-a1-cacerts"] = "certs",
  ["7030-a2-csrattrs"] = "csrattrs", ["7030-a3-simpleenroll-req"] = "csr",
  ["7030-a3-simpleenroll-resp"] = "certs", ["7030-a4-serverkeygen-cert"] = "certs",
  ["7030-a4-serverkeygen-key"] = "key", ["7030-a4-serverkeygen-req"] = "csr",
  ["7894-csrattrs-derived"] = "csrattrs", ["8410-10.3-ed25519-v1"] = "key",
  ["8951-4-csrattrs"] = "csrattrs", ["9148-a1-crts-resp"] = "certs",
  ["9148-a2-sen-req"] = "csr", ["9148-a2-sen-resp"] = "certs", ["9148-a3-skg-cert"] = "certs",
  ["9148-a3-skg-key"] = "key", ["9148-a3-skg-req"] = "csr", ["9148-a4-att-resp"] = "csrattrs",
  ["9908-3.2-keytype-empty-set-derived"] = "csrattrs", ["9908-3.4-minimal-derived"] = "csrattrs",
  ["9908-3.4-template-derived"] = "csrattrs", ["9908-4-coexistence-derived"] = "csrattrs",
  ["9908-5.1-acp-san"] = "csrattrs", ["9908-5.2-rfc7030-corrected"] = "csrattrs",
  ["9908-5.3-as-published"] = "csrattrs", ["9908-5.3-from-prose-derived"] = "csrattrs",
  ["9908-5.4-rsa4096"] = "csrattrs", ["9908-5.5-p384-serial"] = "csrattrs",
  ["9908-5.6-p521-attrs"] = "csrattrs", ["csrattrs-empty-derived"] = "csrattrs",
}

-- Those that specs of their own look into.
local ELSEWHERE <const> = {
  ["8410-10.3-ed25519-v2-pub-attr"] = "spec/unit/pki/key/key_spec.lua",
  ["cmc-reqsequence-derived"] = "spec/unit/pki/cms/cmc_spec.lua",
}

describe("the vectors", function()
  it("are all of a kind", function()
    local pipe <close> = assert(io.popen "ls spec/vectors/*.b64 spec/vectors/*.hex")
    local count = 0
    for path in pipe:lines() do
      local name = path:match "([^/]+)%.%w+$"
      assert.is_truthy(OF[name] or ELSEWHERE[name], name)
      count = count + 1
    end
    assert.is_true(count >= 30)
  end)

  for name, kind in pairs(OF) do
    if not READ_ONLY[name] then
      it(("are written again as they were read: %s"):format(name), function()
        local bytes = vectors.get(name)
        local expected = kind == "certs" and without_crls(bytes) or bytes
        assert.equal(hex(expected), hex(kinds[kind](bytes)))
      end)
    end
  end

  it("are read where they cannot be written", function()
    for name in pairs(READ_ONLY) do
      local found = assert(core.csrattrs.decode(vectors.get(name)), name)
      assert.is_nil(core.csrattrs.encode(found), name)
    end
  end)
end)

-- Where the vectors of others are; nil: they are not here.
local function third_party(name)
  for _, folder in ipairs { os.getenv "LEST_VECTORS" or "../shared/vectors" } do
    local text = core.file.read(("%s/third-party/%s.b64"):format(folder, name))
    if text then return assert(core.base64.decode(text)) end
  end
end

describe("another's message", function()
  local function read(name, look)
    local bytes = third_party(name)
    if not bytes then return pending "LEST_VECTORS names the folder of others' vectors" end
    return look(bytes)
  end

  it("is a Full PKI Request, signed by SHA-1, which a server refuses in an answer", function()
    read("6402-cmc-full-request", function(bytes)
      local message = assert(core.cmc.parse(bytes))
      assert.equal(hex(bytes), hex(message:der()))
      assert.same({ "request", 1, 0 }, { message.kind, #message.requests,
        #message.certificates })
      local csr = assert(core.csr.parse(message.requests[1].der))
      assert.matches("rsa:1024 is too weak", select(2, csr:verify()).message)
      local server <close> = support.start { config = function(text)
        return (text:gsub('profile = "device"', 'profile = "device", fullcmc = true', 1))
      end }
      local secret = server:credential "device"
      local said = cmc.post(server, bytes, "--user", "device:" .. secret)
      assert.equal(400, said.status)
      -- Before a control of its vendor's would be refused: SHA-1 signs nothing here.
      assert.same({ "failed", "badMessageCheck", { 0 } }, { said.statuses[1].status,
        said.statuses[1].failure, said.statuses[1].bodies })
      assert.equal("0", server:sql "SELECT count(*) FROM certificates")
    end)
  end)

  it("7894-3-a is a CSR with an otpChallenge", function()
    read("7894-otp-csr", function(bytes)
      local csr = assert(core.csr.parse(bytes))
      assert.is_true(csr:verify())
      assert.equal("90503846", csr.otp_challenge)
      assert.equal(hex(bytes), hex(csr:der()))
    end)
  end)

  it("is a package of one key", function()
    read("5958-asymmetric-key-package", function(bytes)
      local content = der.split(der.body(bytes))
      assert.equal(hex(der.oid "2.16.840.1.101.2.1.2.78.5"), hex(content[1]))
      local keys = der.split(der.body(der.split(der.body(content[2]))[1]))
      assert.equal(1, #keys)
      assert(core.key.parse(keys[1]))
    end)
  end)

  -- Of what this project does not speak, it takes nothing for what it does.
  for _, name in ipairs { "4108-firmware-signed", "5934-tamp-status-response",
    "5934-tamp-ta-update", "6031-symmetric-key-package", "7191-error", "7191-receipt",
    "7191-receipt-request", "8295-pkcs7pdu-attribute" } do
    it(("is not taken for what it is not: %s"):format(name), function()
      read(name, function(bytes)
        for module, how in pairs { cmc = "parse", pkcs7 = "decode", csr = "parse", cert = "parse",
          key = "parse", csrattrs = "decode" } do
          local found, err = core[module][how](bytes)
          assert.is_nil(found, module)
          assert.is_true(#err.message > 0)
        end
      end)
    end)
  end
end)
