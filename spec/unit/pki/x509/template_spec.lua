-- CSR templates (RFC 9908 3.4) are read strictly, written as the RFC says, and filled in.
local core = require "lest.core"
local asn1 = require "support.der"
local vectors = require "support.vectors"

local csrattrs = core.csrattrs

local TEMPLATE <const> = "1.2.840.113549.1.9.16.2.61"
local EXTENSIONS <const> = "1.2.840.113549.1.9.14"
local OPEN_EXTENSIONS <const> = "1.2.840.113549.1.9.16.2.62"
local P256 <const> = asn1.oid "1.2.840.10045.3.1.7"
local EC <const> = asn1.oid "1.2.840.10045.2.1"
local RSA <const> = asn1.oid "1.2.840.113549.1.1.1"

local VECTOR <const> = { subject = { { "CN" }, { "OU", "myDept" }, { "OU", "myGroup" } },
  key = "ec:P-256", san = { "DNS:www.myServer.com", "IP:" },
  key_usage = { "digitalSignature", "keyAgreement" },
  extensions = { { oid = "extendedKeyUsage" } } }

--- CSR attributes with a template of these parts.
local function around(...)
  return asn1.seq(asn1.seq(asn1.oid(TEMPLATE), asn1.set(asn1.seq(...))))
end

local function attribute(oid, ...)
  return asn1.seq(asn1.oid(oid), asn1.set(...))
end

--- With nothing but these attributes.
local function with(...)
  return around(asn1.int(0), asn1.tlv(0xa1, ...))
end

local function extension(oid, value)
  return asn1.seq(asn1.oid(oid), value and asn1.octets(value) or "")
end

local function refused(der, pattern)
  local found, err = csrattrs.wishes(der)
  assert.is_nil(found)
  assert.equal("csrattrs_malformed", err.code)
  assert.matches(pattern, err.message)
end

--- What encode makes of a template: version, and the other parts by their tags.
local function parts_of(plan)
  local der = assert(csrattrs.encode { { template = plan } })
  local attr = asn1.split(asn1.body(asn1.split(asn1.body(der))[1]))
  assert.equal(asn1.oid(TEMPLATE), attr[1])
  local values = asn1.split(asn1.body(attr[2]))
  assert.equal(1, #values)
  local parts, found = asn1.split(asn1.body(values[1])), {}
  for i = 2, #parts do found[parts[i]:byte()] = parts[i] end
  found.version = parts[1]
  return found
end

--- The one attribute of a template, and its values.
local function attribute_of(plan)
  local all = asn1.split(asn1.body(parts_of(plan)[0xa1]))
  assert.equal(1, #all)
  local attr = asn1.split(asn1.body(all[1]))
  return attr[1], asn1.split(asn1.body(attr[2]))
end

describe("a CSR template", function()
  it("9908-3.4-a 9908-3.4-t has version 0, and no other is read", function()
    assert.equal(asn1.int(0), parts_of({}).version)
    refused(around(asn1.int(1), asn1.tlv(0xa1)), "version 1, not 0")
    refused(around(asn1.tlv(0xa1)), "version")
  end)

  it("9908-3.4-s 9908-3.4-t says nothing in the bytes of the vector", function()
    assert.equal(vectors.hex(vectors.get "9908-3.4-minimal-derived"),
      vectors.hex(csrattrs.encode { { template = {} } }))
    local wishes = assert(csrattrs.wishes(vectors.get "9908-3.4-minimal-derived"))
    assert.same({ extensions = {}, attributes = {} }, wishes.template)
    assert.is_nil(wishes.key)
    refused(around(asn1.int(0)), "the attributes")
  end)

  it("9908-3.4-r 9908-3.4-t is written and read as the vector", function()
    local bytes = vectors.get "9908-3.4-template-derived"
    assert.equal(vectors.hex(bytes), vectors.hex(csrattrs.encode { { template = VECTOR } }))
    local wishes = assert(csrattrs.wishes(bytes))
    assert.same({ "ec:P-256", {}, {} }, { wishes.key, wishes.extensions, wishes.unknown })
    local template = wishes.template
    assert.same(VECTOR.subject, template.subject)
    assert.same({ "2.5.29.17", "2.5.29.15", "2.5.29.37" }, { template.extensions[1].oid,
      template.extensions[2].oid, template.extensions[3].oid })
    assert.same(VECTOR.san, template.extensions[1].san)
    assert.same({ true, vectors.unhex "03020388" }, { template.extensions[2].critical,
      template.extensions[2].value })
    assert.is_nil(template.extensions[3].value)
    assert.equal(bytes, csrattrs.encode(assert(csrattrs.decode(bytes))))
  end)

  it("9908-3.4-r reads a bare ExtensionTemplate, too", function()
    local wishes = assert(csrattrs.wishes(with(attribute(OPEN_EXTENSIONS, extension "2.5.29.37"))))
    assert.equal("2.5.29.37", wishes.template.extensions[1].oid)
    assert.equal(1, #wishes.template.extensions)
  end)

  it("9908-3.4-b 9908-3.4-c has a subject where there are demands on it", function()
    assert.is_nil(parts_of({})[0x30])
    assert.is_nil(parts_of({ subject = {} })[0x30])
    local subject = parts_of({ subject = { { "CN" }, { "O", "x" },
      { "serialNumber", plus = true } } })
    assert.equal(asn1.seq(asn1.set(asn1.seq(asn1.oid "2.5.4.3")), asn1.set(asn1.seq(
      asn1.oid "2.5.4.5"), asn1.seq(asn1.oid "2.5.4.10", asn1.utf8 "x"))), subject[0x30])
    local wishes = assert(csrattrs.wishes(around(asn1.int(0), asn1.seq(), asn1.tlv(0xa1))))
    assert.is_nil(wishes.template.subject)
  end)

  it("9908-3.4-e 9908-3.4-f 9908-3.4-h names the kind of key, and no key", function()
    assert.is_nil(parts_of({})[0xa0])
    assert.equal(asn1.tlv(0xa0, asn1.seq(EC, P256)), parts_of({ key = "ec:P-256" })[0xa0])
    assert.equal(asn1.tlv(0xa0, asn1.seq(asn1.oid "1.3.101.112")),
      parts_of({ key = "ed25519" })[0xa0])
    local function key(...)
      return assert(csrattrs.wishes(around(asn1.int(0), asn1.tlv(0xa0, ...), asn1.tlv(0xa1)))).key
    end
    assert.equal("ec", key(asn1.seq(EC)))
    assert.equal("rsa", key(asn1.seq(RSA, "\5\0")))
    assert.equal("rsa", key(asn1.seq(RSA)))
    assert.equal("2.999.7", key(asn1.seq(asn1.oid "2.999.7")))
    assert.equal("ec:2.999.7", key(asn1.seq(EC, asn1.oid "2.999.7")))
    refused(around(asn1.int(0), asn1.tlv(0xa0, asn1.seq(EC, P256), asn1.bits "\4x"),
      asn1.tlv(0xa1)), "a key that is not of RSA")
    refused(around(asn1.int(0), asn1.tlv(0xa0, asn1.seq(EC, asn1.int(1))), asn1.tlv(0xa1)),
      "not one curve")
  end)

  it("9908-3.4-g has a placeholder of the size of an RSA key", function()
    for _, bits in ipairs { 2048, 3072, 4096 } do
      local info = asn1.split(asn1.body(parts_of({ key = "rsa:" .. bits })[0xa0]))
      assert.equal(asn1.seq(RSA, "\5\0"), info[1])
      local modulus = asn1.body(asn1.split(asn1.body(asn1.body(info[2]):sub(2)))[1])
      assert.same({ 0, 0x80, bits // 8 + 1 }, { modulus:byte(1), modulus:byte(2), #modulus })
      assert.equal("rsa:" .. bits, csrattrs.wishes(assert(csrattrs.encode {
        { template = { key = "rsa:" .. bits } } })).key)
    end
    local function placeholder(bytes)
      return around(asn1.int(0), asn1.tlv(0xa0, asn1.seq(RSA, "\5\0"), asn1.bits(bytes)),
        asn1.tlv(0xa1))
    end
    local odd = asn1.seq(asn1.tlv(2, "\x07" .. ("\xff"):rep(127)), asn1.int(3))
    assert.equal("rsa:1019", csrattrs.wishes(placeholder(odd)).key)
    refused(placeholder "", "placeholder")
    refused(placeholder(asn1.seq(asn1.int(0), asn1.int(3))), "no key has")
    refused(placeholder(asn1.seq(asn1.tlv(2, "\x80"), asn1.int(3))), "no key has")
    refused(placeholder(asn1.seq(asn1.tlv(2, "\x7f" .. ("x"):rep(2048)), asn1.int(3))),
      "no key has")
    refused(placeholder(odd .. "\0"), "placeholder")
  end)

  it("9908-3.4-i 9908-3.4-q has extensions in the one attribute that fits them", function()
    local whole = { oid = "2.5.29.37", value = asn1.seq(asn1.oid "1.3.6.1.5.5.7.3.2") }
    for _, case in ipairs {
      { EXTENSIONS, { extensions = { whole } } }, { EXTENSIONS, { san = { "DNS:a" } } },
      { EXTENSIONS, { key_usage = { "digitalSignature" }, eku = { "clientAuth" } } },
      { OPEN_EXTENSIONS, { extensions = { whole, { oid = "2.5.29.15", critical = true } } } },
      { OPEN_EXTENSIONS, { extensions = { whole }, san = { "IP:" } } },
      { OPEN_EXTENSIONS, { san = { "DNS:a", "dirName:" } } },
      { OPEN_EXTENSIONS, { extensions = { { oid = "subjectAltName",
        value = asn1.seq(asn1.tlv(0x82)) } } } },
    } do
      local oid, values = attribute_of(case[2])
      assert.same({ asn1.oid(case[1]), 1, 0x30 }, { oid, #values, values[1]:byte() })
    end
    refused(with(attribute(OPEN_EXTENSIONS, asn1.seq(extension "2.5.29.15"), asn1.seq(
      extension "2.5.29.37"))), "followed by more data")
    refused(with(attribute(OPEN_EXTENSIONS)), "the extensions")
    refused(with(attribute(OPEN_EXTENSIONS, asn1.seq())), "empty")
    refused(with(attribute(EXTENSIONS, asn1.seq(extension "2.5.29.37"))), "value")
  end)

  it("9908-3.4-o 9908-3.4-p has one attribute of extensions, and no extension twice", function()
    local open = attribute(OPEN_EXTENSIONS, asn1.seq(extension "2.5.29.37"))
    refused(with(open, open), "two attributes of extensions")
    local whole = attribute(EXTENSIONS, asn1.seq(extension("2.5.29.15", "\3\2\7\x80")))
    refused(with(open, whole), "two attributes of extensions")
    refused(with(whole, open), "two attributes of extensions")
    refused(with(attribute(OPEN_EXTENSIONS, asn1.seq(extension "2.5.29.37",
      extension "2.5.29.37"))), "twice")
    local _, err = csrattrs.encode { { template = { eku = { "clientAuth" },
      extensions = { { oid = "extendedKeyUsage" } } } } }
    assert.equal("csrattrs_malformed", err.code)
    _, err = csrattrs.encode { { template = {} }, { template = {} } }
    assert.matches("two templates", err.message)
  end)

  it("9908-4-b is all that counts but for the signature and linking", function()
    local wishes = assert(csrattrs.wishes(vectors.get "9908-4-coexistence-derived"))
    assert.same({ "ec:P-256", true, {}, {} }, { wishes.key, wishes.challenge_password,
      wishes.unknown, wishes.extensions })
    wishes = assert(csrattrs.wishes { { key = "rsa:4096" }, { oid = "ecdsa-with-SHA384" },
      { extensions = { { oid = "1.2.3", value = "\5\0" } } }, { template = {} } })
    assert.same({ "sha384", {} }, { wishes.signatures[1].digest, wishes.extensions })
    assert.is_nil(wishes.key)
  end)

  it("9908-4-a stands beside elements for clients that do not know it", function()
    assert.equal(vectors.hex(vectors.get "9908-4-coexistence-derived"),
      vectors.hex(assert(csrattrs.encode { "challengePassword", { key = "ec:P-384" }, "2.999.1",
        { oid = "2.999.2", values = { "\2\1\7" } }, { template = VECTOR } })))
    assert.equal("sha256", csrattrs.wishes(assert(csrattrs.encode { { digest = "sha256" },
      { template = { key = "ec:P-256" } } })).signatures[1].digest)
  end)

  it("7030-6-j is bounded, and wrong in each place that is cut off", function()
    local whole = vectors.get "9908-3.4-template-derived"
    local template = asn1.body(asn1.split(asn1.body(asn1.split(asn1.body(whole))[1]))[2])
    for cut = 1, #asn1.body(template) - 1 do
      refused(around(asn1.body(template):sub(1, cut)), "CSR")
    end
    refused(with(attribute("1.2.3", "\5\0"):rep(65)), "more than 64 attributes")
    refused(around(asn1.int(0), asn1.seq(asn1.set(asn1.seq(asn1.oid "2.5.4.3")):rep(65)),
      asn1.tlv(0xa1)), "more than 64 parts")
    refused(around(asn1.int(0), asn1.seq(asn1.set()), asn1.tlv(0xa1)), "is empty")
    refused(around(asn1.int(0), asn1.tlv(0xa1), "\5\0"), "followed by more data")
    refused(asn1.seq(attribute(TEMPLATE)), "not one value")
    refused(asn1.seq(asn1.oid(TEMPLATE)), "not one value")
    refused(with(attribute(OPEN_EXTENSIONS, asn1.seq(extension("2.5.29.17", "\5\0")))),
      "alternative names")
  end)

  it("raises for a programmer's mistakes", function()
    local function raises(plan, pattern)
      assert.error_matches(function() csrattrs.encode { { template = plan } } end, pattern)
    end
    raises("x", "a template is a string")
    raises({ subjct = {} }, "did you mean 'subject'")
    raises({ subject = "CN=x" }, "a list of parts")
    raises({ subject = { "CN" } }, "part 1 of a template's subject")
    raises({ subject = { { "CN", 5 } } }, "value of part 1")
    raises({ san = "x" }, "'san' is no list")
    raises({ extensions = { 1 } }, "extension 1 is no table")
    raises({ extensions = { {} } }, "extension 1 has no 'oid'")
    for _, plan in ipairs { { key = "ec:P-999" }, { san = { "no kind" } }, { san = {} },
      { subject = { { "nonsense" } } }, { san = { "RID:" } } } do
      local der, err = csrattrs.encode { { template = plan } }
      assert.is_nil(der)
      assert.is_string(err.message)
    end
  end)
end)

describe("filling in", function()
  local template

  setup(function()
    template = assert(csrattrs.wishes(vectors.get "9908-3.4-template-derived")).template
  end)

  local function name(text)
    return assert(core.name.encode(text))
  end

  local function san(...)
    return assert(core.san.encode { ... })
  end

  local function unmet(pattern, fill, ...)
    local der, err = fill(...)
    assert.is_nil(der)
    assert.same({ "csrattrs_unmet", 1 }, { err.code, err.exit_code })
    assert.matches(pattern, err.message, 1, true)
  end

  it("9908-3.4-d keeps the values of a subject and their order", function()
    local whole = "CN=mine,OU=myDept,OU=myGroup"
    for _, own in ipairs { "CN=mine", "OU=myGroup,CN=mine", "OU=MYDEPT,CN=mine,OU=myGroup" } do
      assert.equal(name(whole), csrattrs.fill_subject(template.subject_der, name(own)))
    end
  end)

  it("9908-3.4-c names what of a subject is left out or over", function()
    unmet("wants CN in the subject, which is not given", csrattrs.fill_subject,
      template.subject_der, name "")
    unmet("has no place for O=Acme", csrattrs.fill_subject, template.subject_der,
      name "CN=a,O=Acme")
    unmet("has no place for OU=other", csrattrs.fill_subject, template.subject_der,
      name "CN=a,OU=other")
    unmet("has no place for CN=b", csrattrs.fill_subject, template.subject_der, name "CN=a,CN=b")
  end)

  it("9908-3.4-d keeps RDNs of several parts together, and every byte of a value", function()
    local wishes = assert(csrattrs.wishes(assert(csrattrs.encode { { template = { subject = {
      { "DC", "x" }, { "CN" }, { "serialNumber", plus = true }, { "CN", "two" } } } } })))
    local der = assert(csrattrs.fill_subject(wishes.template.subject_der,
      name "serialNumber=7,CN=two,CN=one"))
    assert.equal("CN=two,serialNumber=7+CN=one,DC=x", tostring(core.name.decode(der)))
    local printable = asn1.seq(asn1.set(asn1.seq(asn1.oid "2.5.4.10", asn1.tlv(0x13, "Acme"))))
    assert.equal(printable, csrattrs.fill_subject(printable, name "O=acme"))
  end)

  it("9908-3.4-n completes alternative names", function()
    local value = template.extensions[1].value
    assert.equal(san("DNS:www.myServer.com", "IP:192.0.2.1"),
      csrattrs.fill_san(value, san("IP:192.0.2.1")))
    assert.equal(san("DNS:www.myServer.com", "IP:2001:db8::1", "IP:192.0.2.1"),
      csrattrs.fill_san(value, san("IP:2001:db8::1", "DNS:WWW.myserver.com", "IP:192.0.2.1")))
    local directory = asn1.seq(asn1.tlv(0xa4, asn1.seq()), asn1.tlv(0x82))
    assert.equal(san("dirName:CN=x", "DNS:y"),
      csrattrs.fill_san(directory, san("DNS:y", "dirName:CN=x")))
    unmet("wants an alternative name IP: which is not given", csrattrs.fill_san, value, nil)
    unmet("no place for the alternative name DNS:z", csrattrs.fill_san, value,
      san("IP:192.0.2.1", "DNS:z"))
    for _, wrong in ipairs { "", "x", asn1.seq(), asn1.seq(asn1.tlv(0x87, "abc")) } do
      assert.equal("csrattrs_malformed", select(2, csrattrs.fill_san(wrong, nil)).code)
    end
  end)
end)
