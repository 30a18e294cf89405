-- The flow that articles about EST show, to the letter, with the real curl and openssl.
local process = require "support.process"
local two_tier = require "support.two_tier"

local BOOTSTRAP <const> = [[
curl --cacert bootstrap-ca.pem https://HOST/.well-known/est/cacerts -o ca-certs.p7b
openssl base64 -d -in ca-certs.p7b | openssl pkcs7 -inform DER -print_certs -out ca-certs.pem
]]

local ENROLL <const> = [[
curl --cacert ca-certs.pem --user "device001:bootstrap-pass" --data-binary @device.csr ]]
  .. [[-H "Content-Type: application/pkcs10" -o device-cert.p7 ]]
  .. [[https://HOST/.well-known/est/simpleenroll
openssl base64 -d -in device-cert.p7 | openssl pkcs7 -inform DER -print_certs -out device-cert.pem
openssl verify -CAfile ca-certs.pem device-cert.pem
]]

local RENEW <const> = [[
curl --cacert ca-certs.pem --cert device-cert.pem --key device-key.pem ]]
  .. [[--data-binary @new-device.csr -H "Content-Type: application/pkcs10" -o renewed-cert.p7 ]]
  .. [[https://HOST/.well-known/est/simplereenroll
openssl base64 -d -in renewed-cert.p7 | openssl pkcs7 -inform DER -print_certs -out renewed.pem
openssl verify -CAfile ca-certs.pem renewed.pem
]]

describe("curl and openssl", function()
  for device, how in pairs {
    ["with an EC key"] = { 1, "-newkey ec -pkeyopt ec_paramgen_curve:P-256" },
    ["with the RSA key that openssl makes unasked"] = { 1, "" },
    ["of a CA under a root"] = { 2, "-newkey ec -pkeyopt ec_paramgen_curve:P-256" },
  } do
    it("bootstrap, enroll and renew a device " .. device, function()
      local tiers, new_key = table.unpack(how)
      local server <close> = two_tier.start_with(tiers)
      local function must(script)
        script = "set -e\n" .. script:gsub("HOST", "localhost:" .. server.port)
        return process.must(script, { dir = server.folder })
      end
      -- Each has the same name in the articles, and its one-time password.
      process.write(server.folder .. "/password", "bootstrap-pass\n")
      server:credential("device001", { "--password-file", server.folder .. "/password" })
      process.must({ "cp", server.root, "bootstrap-ca.pem" }, { dir = server.folder })
      must(BOOTSTRAP)
      must(("openssl req -new %s -nodes -keyout device-key.pem -out device.csr "
        .. "-subj /CN=device001"):format(new_key))
      must(ENROLL)
      must "openssl req -new -key device-key.pem -out new-device.csr -subj /CN=device001"
      must(RENEW)
      server:verify "renewed.pem"
      assert.not_equal(must "openssl x509 -noout -serial -in device-cert.pem",
        must "openssl x509 -noout -serial -in renewed.pem")
      assert.equal(must "openssl pkey -pubout -in device-key.pem",
        must "openssl x509 -noout -pubkey -in renewed.pem")
    end)
  end
end)
