-- A client that checks revocation, as Cisco's come configured (revocation-check crl): it enrolls,
-- and who verifies its certificate knows nothing but what that names. Tools of others do it all.
local process = require "support.process"
local support = require "support.server"

describe("who verifies a certificate, by what it names", function()
  local server

  setup(function()
    local port = process.free_port()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", ('listen_http = "127.0.0.1:%d",\n  %%0'):format(port), 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function extension(file, name)
    return process.must { "openssl", "x509", "-noout", "-ext", name, "-in", file }
  end

  local function revoke(file)
    local serial = process.must { "openssl", "x509", "-noout", "-serial", "-in", file }
      :match "serial=(%x+)":lower()
    process.must { server.lest, "cert", "revoke", serial, "--reason", "keyCompromise", "--yes",
      "--config", server.dir .. "/server.lua" }
    return serial
  end

  it("is told by OCSP, at the address that the certificate names", function()
    local file, subject = server:enroll "asked", server.folder .. "/asked.ocsp"
    local url = extension(file, "authorityInfoAccess"):match "OCSP %- URI:(%S+)"
    local function status(...)
      local words = { "openssl", "ocsp", "-issuer", server.root, "-cert", file, "-url", url,
        "-CAfile", server.root, "-timeout", "20", ... }
      local code, out, err = process.run(words)
      assert.equal(0, code, out .. err)
      assert.matches("Response verify OK", out .. err)
      return (out:match "asked%.pem: (%l+)")
    end
    assert.equal("good", status())
    assert.equal("good", status("-no_nonce", "-respout", subject))
    -- GET, as RFC 6960 A.1 has it, and HTTP's caches want it.
    process.must { "openssl", "ocsp", "-issuer", server.root, "-cert", file, "-no_nonce", "-reqout",
      subject .. ".der" }
    local der = process.must { "openssl", "base64", "-A", "-in", subject .. ".der" }
    process.must { "curl", "-sSf", "--max-time", "20", "-o", subject .. ".got",
      url .. "/" .. der:gsub("[+/=]", { ["+"] = "%2B", ["/"] = "%2F", ["="] = "%3D" }) }
    assert.equal(process.read(subject), process.read(subject .. ".got"))
    revoke(file)
    for _, words in ipairs { {}, { "-no_nonce" } } do
      process.wait_for(function() return status(table.unpack(words)) == "revoked" end,
        "the revocation", 60)
    end
  end)
end)
