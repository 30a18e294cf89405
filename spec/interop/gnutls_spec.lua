-- GnuTLS as the TLS client: gnutls-cli carries HTTP that a device without an HTTP library would
-- write by hand. It sends no User-Agent, and so gets one line.
local process = require "support.process"
local support = require "support.server"
local two_tier = require "support.two_tier"

-- $1 is the operation, $2 the CSR's file; more words are for gnutls-cli.
local POST <const> = [[
operation=$1 csr=$(openssl base64 -A -in "$2"); shift 2
{
  printf 'POST /.well-known/est/%s HTTP/1.1\r\n' "$operation"
  printf 'Host: localhost\r\nConnection: close\r\nContent-Type: application/pkcs10\r\n'
  [ -z "$USER" ] || printf 'Authorization: Basic %s\r\n' "$(printf %s "$USER" | openssl base64 -A)"
  printf 'Content-Length: %s\r\n\r\n%s' ${#csr} "$csr"
} | timeout 60 gnutls-cli --logfile log PEER "$@" >answer
sed '1,/^\r$/d' answer | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs
]]

-- A shell function `post` that speaks to a peer, the words of gnutls-cli for it.
local function posts(peer) return "post() {\n" .. POST:gsub("PEER", peer) .. "}\n" end

describe("GnuTLS", function()
  for tiers = 1, 2 do
    it(("enrolls and renews with a CA of %d"):format(tiers), function()
      local server <close> = two_tier.start_with(tiers)
      local secret = server:credential "gnutls"
      local script = posts(("--x509cafile %s --port %s localhost"):format(server.root, server.port))
      local function must(line) return process.must(script .. line, { dir = server.folder }) end
      must "certtool --generate-privkey --key-type ecdsa --outfile device.key"
      must [[printf 'cn = gnutls\n' > template
        certtool --generate-request --load-privkey device.key --template template --outder \
          --outfile device.csr 2>/dev/null]]
      must(("USER=gnutls:%s; post simpleenroll device.csr > enrolled.pem"):format(secret))
      server:verify "enrolled.pem"
      must("USER=; post simplereenroll device.csr --x509certfile enrolled.pem "
        .. "--x509keyfile device.key > renewed.pem")
      server:verify "renewed.pem"
    end)
  end

  it("7030-3.3.3-a enrolls by a pre-shared key", function()
    local server <close> = support.start { listen = { "127.0.0.1:0", "127.0.0.2:0,psk" },
      config = function(text)
        return (text:gsub('auth = { "certificate", "basic" }', 'auth = { "psk" }', 1)
          :gsub('listen = { "%[::%]:8443" }', 'listen = { { address = "[::]:8444", psk = true } }'))
      end }
    local key = server:credential("gnutls", { "--kind", "psk" })
    local csr = server:csr "gnutls"
    process.must { "openssl", "req", "-in", csr, "-outform", "DER", "-out", csr }
    -- In TLS 1.2 gnutls-cli 3.7.9 ends by SIGSEGV with a key, whatever server it meets.
    local script = posts(("--pskusername gnutls --pskkey %s --port %s 127.0.0.2 "
      .. "--priority NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK:+DHE-PSK"):format(key,
      server.ports[2]))
    process.must(("%sUSER=; post simpleenroll %s > enrolled.pem"):format(script, csr),
      { dir = server.folder })
    server:verify "enrolled.pem"
    process.must({ "grep", "-q", "PSK authentication. Connected as 'gnutls'", "log" },
      { dir = server.folder })
    assert.matches("TLSv1%.3", server:sql "SELECT tls FROM requests")
    assert.equal("psk|gnutls", server:sql
      "SELECT principal_kind, principal_name FROM certificates")
  end)
end)
