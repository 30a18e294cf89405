-- A client that checks revocation, as Cisco's come configured (revocation-check crl): it enrolls,
-- and who verifies its certificate knows nothing but what that names. Tools of others do it all.
local process = require "support.process"
local support = require "support.server"

describe("who verifies a certificate, by what it names", function()
  local server, device, other, fetched

  setup(function()
    local port = process.free_port()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", ('listen_http = "127.0.0.1:%d",\n  %%0'):format(port), 1))
    end }
    device, other = server:enroll "device", server:enroll "other"
    fetched = server.folder .. "/fetched.crl"
  end)
  teardown(function() server:stop() end)

  local function extension(file, name)
    return process.must { "openssl", "x509", "-noout", "-ext", name, "-in", file }
  end

  local function distribution_point()
    return (assert(extension(device, "crlDistributionPoints"):match "URI:(%S+)"))
  end

  --- Fetch the CRL that the device's certificate names, in PEM. Returns its text.
  local function fetch()
    process.must { "curl", "-sSf", "--max-time", "20", "-o", fetched .. ".der",
      distribution_point() }
    process.must { "openssl", "crl", "-inform", "DER", "-in", fetched .. ".der", "-out", fetched }
    return process.must { "openssl", "crl", "-noout", "-text", "-in", fetched }
  end

  local function verify(file, ...)
    local words = { "openssl", "verify", "-crl_check", "-CAfile", server.root, ... }
    table.insert(words, file)
    local code, out, err = process.run(words)
    return code == 0, out .. err
  end

  local function revoke(file)
    local serial = process.must { "openssl", "x509", "-noout", "-serial", "-in", file }
      :match "serial=(%x+)":lower()
    process.must { server.lest, "cert", "revoke", serial, "--reason", "keyCompromise", "--yes",
      "--config", server.dir .. "/server.lua" }
    return serial
  end

  it("finds a CRL at the distribution point, and the CA's certificate", function()
    local text = fetch()
    assert.matches("CRL Number", text)
    assert.matches("No Revoked Certificates", text)
    local url = extension(device, "authorityInfoAccess"):match "CA Issuers %- URI:(%S+)"
    local ca = process.must { "curl", "-sSf", "--max-time", "20", url }
    assert.equal(ca, process.must { "openssl", "x509", "-in", server.root, "-outform", "DER" })
  end)

  it("asks again with what HTTP has for it: ETag, If-Modified-Since, HEAD", function()
    local url, file = distribution_point(), server.folder .. "/kept.crl"
    local etag = server.folder .. "/etag"
    local function status(...)
      return (process.must { "curl", "-sS", "--max-time", "20", "-o", file, "-w", "%{http_code}",
        url, ... })
    end
    assert.equal("200", status("--etag-save", etag))
    assert.equal("304", status("--etag-compare", etag))
    assert.equal("304", status("-z", file)) -- not newer than this file
    local head = process.must { "curl", "-sSI", "--max-time", "20", url }:lower()
    assert.matches("content%-type: application/pkix%-crl", head)
    assert.matches("cache%-control: public, max%-age=%d+", head)
    -- wget gets it anew only where it has changed (-N).
    local words = { "wget", "-N", "--no-proxy", "-T", "20", "-t", "1", "-P", server.folder, url }
    process.must(words)
    local code, _, said = process.run(words)
    assert.equal(0, code)
    assert.matches("304 Not Modified", said)
  end)

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

  it("accepts it before a revocation, and refuses it after", function()
    fetch()
    for _, file in ipairs { device, other } do
      assert.is_true((verify(file, "-CRLfile", fetched)))
      assert.is_true((verify(file, "-crl_download")))
    end
    local serial = revoke(device)
    process.wait_for(function() return fetch():lower():find(serial, 1, true) end, "the next CRL",
      60)
    assert.matches("Key Compromise", fetch())
    for _, words in ipairs { { "-CRLfile", fetched }, { "-crl_download" } } do
      local good, said = verify(device, table.unpack(words))
      assert.is_false(good)
      assert.matches("certificate revoked", said)
      assert.is_true((verify(other, table.unpack(words))))
    end
    -- And the server itself takes it for nobody's.
    assert.equal(403, (server:post("/simplereenroll", server:csr("device", { reuse = true }),
      "--cert", device, "--key", server.folder .. "/device.key")))
  end)
end)
