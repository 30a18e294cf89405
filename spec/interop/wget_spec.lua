-- wget, which on Debian speaks TLS with GnuTLS.
local process = require "support.process"
local two_tier = require "support.two_tier"

local WGET <const> = "wget -nv --tries=1 --timeout=60 --ca-certificate=ROOT "
  .. "--header='Content-Type: application/pkcs10' -O answer "
local URL <const> = " https://localhost:PORT/.well-known/est/"
local SHOW <const> = " && openssl base64 -d -in answer | openssl pkcs7 -inform DER -print_certs "

describe("wget", function()
  for tiers = 1, 2 do
    it(("enrolls and renews with a CA of %d"):format(tiers), function()
      local server <close> = two_tier.start_with(tiers)
      local secret = server:credential "wget"
      local function must(line)
        line = line:gsub("ROOT", server.root):gsub("PORT", server.port)
        return process.must(line, { dir = server.folder })
      end
      must("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=wget "
        .. "-keyout device.key -outform DER -out device.der && "
        .. "openssl base64 -in device.der -out device.csr")
      must(WGET .. URL .. "cacerts" .. SHOW .. "-out ca.pem")
      must(WGET .. "--post-file=device.csr --user=wget --password=" .. secret .. URL
        .. "simpleenroll" .. SHOW .. "-out enrolled.pem")
      server:verify "enrolled.pem"
      must(WGET .. "--post-file=device.csr --certificate=enrolled.pem --private-key=device.key"
        .. URL .. "simplereenroll" .. SHOW .. "-out renewed.pem")
      server:verify "renewed.pem"
    end)
  end
end)
