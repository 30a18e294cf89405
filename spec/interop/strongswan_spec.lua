-- strongSwan's pki (5.9.8) reads base64 only without any newline, and gets it so unasked.
local process = require "support.process"
local support = require "support.server"

describe("strongSwan's pki", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  --- pki takes a name's first address only, which may be that of IPv6.
  local function url() return (server.url:gsub("localhost", "127.0.0.1")) end

  local function must(line)
    return process.must(line, { dir = server.folder })
  end

  it("fetches the CA certificates, enrolls and renews", function()
    must(("pki --estca --url %s --cacert ca/ca.pem --caout swan-ca --force"):format(url()))
    assert.equal(must "openssl x509 -in ca/ca.pem", must "openssl x509 -inform DER -in swan-ca.der")
    local secret = server:credential "swan"
    must "pki --gen --type ecdsa --size 256 --outform pem > swan.key"
    must "pki --req --type ecdsa --in swan.key --dn CN=swan > swan.csr"
    must(("pki --est --url %s --cacert ca/ca.pem --in swan.csr --userpass swan:%s --outform pem "
      .. "> swan.pem"):format(url(), secret))
    must "openssl verify -CAfile ca/ca.pem swan.pem"
    must "pki --gen --type ecdsa --size 256 --outform pem > fresh.key"
    must "pki --req --type ecdsa --in fresh.key --dn CN=swan > fresh.csr"
    must(("pki --est --url %s --cacert ca/ca.pem --in fresh.csr --cert swan.pem --key swan.key "
      .. "--outform pem > renewed.pem"):format(url()))
    must "openssl verify -CAfile ca/ca.pem renewed.pem"
  end)
end)
