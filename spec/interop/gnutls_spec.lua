-- GnuTLS as the TLS client: gnutls-cli carries HTTP that a device without an HTTP library would
-- write by hand. It sends no User-Agent, and so gets one line.
local process = require "support.process"
local two_tier = require "support.two_tier"

-- $1 is the operation, $2 the CSR's file; more words are for gnutls-cli.
local POST <const> = [[
operation=$1 csr=$(openssl base64 -A -in "$2"); shift 2
{
  printf 'POST /.well-known/est/%s HTTP/1.1\r\n' "$operation"
  printf 'Host: localhost\r\nConnection: close\r\nContent-Type: application/pkcs10\r\n'
  [ -z "$USER" ] || printf 'Authorization: Basic %s\r\n' "$(printf %s "$USER" | openssl base64 -A)"
  printf 'Content-Length: %s\r\n\r\n%s' ${#csr} "$csr"
} | timeout 60 gnutls-cli --logfile log --x509cafile ROOT --port PORT "$@" localhost >answer
sed '1,/^\r$/d' answer | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs
]]

describe("GnuTLS", function()
  for tiers = 1, 2 do
    it(("enrolls and renews with a CA of %d"):format(tiers), function()
      local server <close> = two_tier.start_with(tiers)
      local secret = server:credential "gnutls"
      local script = "post() {\n" .. POST:gsub("ROOT", server.root):gsub("PORT", server.port)
        .. "}\n"
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
end)
