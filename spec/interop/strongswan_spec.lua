-- strongSwan's pki (5.9.8) reads base64 only without any newline, and gets it so unasked.
local process = require "support.process"
local two_tier = require "support.two_tier"

describe("strongSwan's pki", function()
  for tiers = 1, 2 do
    it(("fetches the CA certificates, enrolls and renews with a CA of %d"):format(tiers), function()
      local server <close> = two_tier.start_with(tiers)
      -- pki takes a name's first address only, which may be that of IPv6.
      local peer = ("--url https://127.0.0.1:%s --cacert %s"):format(server.port, server.root)
      local function must(line) return process.must(line, { dir = server.folder }) end
      must(("pki --estca %s --caout swan-ca --force"):format(peer))
      local found = must "for f in swan-ca*; do openssl x509 -inform DER -in $f; done"
      assert.truthy(found:find(process.must { "openssl", "x509", "-in", server.root }, 1, true))
      local secret = server:credential "swan"
      must "pki --gen --type ecdsa --size 256 --outform pem > swan.key"
      must "pki --req --type ecdsa --in swan.key --dn CN=swan > swan.csr"
      must(("pki --est %s --in swan.csr --userpass swan:%s --outform pem > swan.pem"):format(peer,
        secret))
      server:verify "swan.pem"
      must "pki --gen --type ecdsa --size 256 --outform pem > fresh.key"
      must "pki --req --type ecdsa --in fresh.key --dn CN=swan > fresh.csr"
      must(("pki --est %s --in fresh.csr --cert swan.pem --key swan.key --outform pem "
        .. "> renewed.pem"):format(peer))
      server:verify "renewed.pem"
    end)
  end
end)
