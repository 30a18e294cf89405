local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("/cacerts", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  it("7030-4.1.3-a 7030-4.1.3-c 7030-4.1.3-d 7030-4.1.2-d is a certs-only bag, for anybody",
    function()
    local status, body, headers = server:curl "/cacerts"
    assert.equal(200, status)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", headers["content-type"])
    assert.equal("base64", headers["content-transfer-encoding"])
    local certs = process.must("openssl base64 -d | openssl pkcs7 -inform DER -print_certs",
      { stdin = body })
    local shown = process.must { "openssl", "x509", "-in", server.dir .. "/ca.pem" }
    assert.truthy(certs:find(shown, 1, true))
  end)

  it("8951-3-a 8951-3-b is base64 of DER, in lines of 64 columns with one newline at the end",
    function()
    local _, body = server:curl "/cacerts"
    for line in body:gmatch "([^\n]*)\n" do assert.is_true(#line <= 64) end
    assert.is_nil(body:find "\n\n")
    assert.equal("\n", body:sub(-1))
    assert.equal(0x30, assert(core.base64.decode(body)):byte())
  end)

  it("5652-5.1-a has version 1, no digest algorithms and no signers", function()
    local _, body = server:curl "/cacerts"
    local shown = process.must("openssl base64 -d | openssl asn1parse -inform DER",
      { stdin = body })
    assert.matches("pkcs7%-signedData.-INTEGER%s+:01\n.-l=%s*0 cons: SET%s*\n.-pkcs7%-data\n",
      shown)
    assert.matches("l=%s*0 cons: SET%s*\n$", shown)
  end)

  it("7030-4.1.3-e holds the root", function()
    local _, body = server:curl "/cacerts"
    local certs = assert(core.pkcs7.decode(core.base64.decode(body)))
    assert.equal(1, #certs)
    assert.is_true(certs[1].self_issued)
    assert.is_true(certs[1].is_ca)
  end)
end)
