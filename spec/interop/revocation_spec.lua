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
      -- The other worker may have it a moment later.
      local good, said
      process.wait_for(function()
        good, said = verify(device, table.unpack(words))
        return not good
      end, "the next CRL in all workers", 60)
      assert.matches("certificate revoked", said)
      assert.is_true((verify(other, table.unpack(words))))
    end
    -- And the server itself takes it for nobody's.
    assert.equal(403, (server:post("/simplereenroll", server:csr("device", { reuse = true }),
      "--cert", device, "--key", server.folder .. "/device.key")))
  end)
end)

-- After a rollover two keys have one name, and each has a CRL of its own: who looks for one by the
-- name of the issuer alone finds two.
describe("who verifies certificates of a CA whose key has changed", function()
  local server, old, new, good

  setup(function()
    server = support.start { auto = true, config = function(text)
      return (text:gsub("labels = {", ('listen_http = "127.0.0.1:%d",\n  %%0'):format(
        process.free_port()), 1))
    end }
    local function step(...)
      process.must { server.lest, "ca", "rollover", server.dir, ... }
    end
    good, old = { server:enroll "old-good" }, server:enroll "old"
    step "begin"
    step("switch", "--now")
    good[2], new = server:enroll "new-good", server:enroll "new"
  end)
  teardown(function() server:stop() end)

  --- The CRL at a certificate's own distribution point, and both; files of PEM.
  local function fetch(file)
    local url = process.must { "openssl", "x509", "-noout", "-ext", "crlDistributionPoints", "-in",
      file }:match "URI:(%S+)"
    process.must { "curl", "-sSf", "--max-time", "20", "-o", file .. ".crl.der", url }
    process.must { "openssl", "crl", "-inform", "DER", "-in", file .. ".crl.der", "-out",
      file .. ".crl" }
    return file .. ".crl", url
  end

  local function verify(file, ...)
    local words = { "openssl", "verify", "-CAfile", server.dir .. "/ca.pem", ... }
    table.insert(words, file)
    local code, out, err = process.run(words)
    return code == 0, out .. err
  end

  --- By its own distribution point, by that which openssl follows itself, and with the CRLs of both
  --- keys at hand, in either order.
  local function judged(file)
    local own, all, said = fetch(file), {}, {}
    for i, each in ipairs { old, new } do all[i] = process.read((fetch(each))) end
    local both, turned = server:file("both.crl", all[1] .. all[2]),
      server:file("turned.crl", all[2] .. all[1])
    for i, words in ipairs { { "-CRLfile", own }, { "-crl_download" }, { "-CRLfile", both },
      { "-CRLfile", turned } } do
      local is_good, text = verify(file, "-crl_check", table.unpack(words))
      said[i] = is_good and "good" or text:match "certificate revoked" or text
    end
    for i, crls in ipairs { both, turned } do
      local is_good, text = verify(file, "-crl_check_all", "-CRLfile", crls)
      said[4 + i] = is_good and "good" or text:match "certificate revoked" or text
    end
    return said
  end

  local GOOD <const> = { "good", "good", "good", "good", "good", "good" }
  local REVOKED <const> = {}
  for i in ipairs(GOOD) do REVOKED[i] = "certificate revoked" end

  it("5280-5.2.1 tells the CRLs of both keys apart", function()
    assert.not_equal(select(2, fetch(old)), select(2, fetch(new)))
    for _, file in ipairs { old, new, good[1], good[2] } do
      assert.same(GOOD, judged(file), file)
    end
    for _, file in ipairs { old, new } do
      process.must { server.lest, "cert", "revoke", process.must { "openssl", "x509", "-noout",
        "-serial", "-in", file }:match "serial=(%x+)":lower(), "--yes", "--config",
        server.dir .. "/server.lua" }
    end
    -- One worker may have it a moment later than the other.
    for _, file in ipairs { old, new } do
      process.wait_for(function() return pcall(assert.same, REVOKED, judged(file)) end,
        "the next CRL in all workers", 60)
    end
    for _, file in ipairs(good) do assert.same(GOOD, judged(file), file) end
  end)
end)
