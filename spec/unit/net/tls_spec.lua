-- TLS of the server: which versions, suites, groups and client certificates it takes.
local core = require "lest.core"
local der = require "support.der"
local https = require "support.https"
local pki = require "support.pki"
local process = require "support.process"

describe("TLS contexts", function()
  local folder, ca, root

  setup(function()
    folder = https.identity()
    ca = pki.new()
    root = ca:root "root"
  end)
  teardown(function()
    os.execute("rm -rf " .. folder)
    pki.__close(ca)
  end)

  it("refuse a key that is not the certificate's", function()
    local tls, err = core.tls.server {
      cert = assert(core.cert.load(folder .. "/server.pem")), key = assert(core.key.load(root.key)),
    }
    assert.is_nil(tls)
    assert.equal("config", err.code)
    assert.matches("cannot be used", tostring(err))
  end)

  local function context(options)
    options.cert = assert(core.cert.load(folder .. "/server.pem"))
    options.key = assert(core.key.load(folder .. "/server.key"))
    return core.tls.server(options)
  end

  it("7030-3.2.3-c 7030-6-e refuse suites that are unknown, weak or not ephemeral, by name",
    function()
    for ciphers, why in pairs {
      ["AES128-GCM-SHA256"] = "AES128%-GCM%-SHA256 is not allowed: .*not ephemeral",
      ["ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA"] = "AES128%-SHA is not allowed",
      ["ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA265"] = "'.*SHA265' is no cipher",
      ["ADH-AES128-GCM-SHA256"] = "is not allowed: it does not authenticate",
      ["ECDHE-ECDSA-NULL-SHA"] = "less than 128 bits",
      ["ECDHE+AESGCM:@SECLEVEL=0"] = "@SECLEVEL=0 is not for a list",
      ["PSK-AES128-GCM-SHA256"] = "is not allowed",
      ["nonsense"] = "'nonsense' is no cipher suite",
      ["TLS_NONSENSE"] = "'TLS_NONSENSE' is no cipher suite",
      ["TLS_AES_128_GCM_SHA256:TLS_NONSENSE"] = "'TLS_NONSENSE' is no cipher suite",
      ["ECDHE+AESGCM:!ALL"] = "leaves no suite",
      [("x"):rep(200)] = "is no cipher suite",
      [("ECDHE+AESGCM:"):rep(400)] = "more than the 4096 bytes",
    } do
      local tls, err = context { ciphers = ciphers }
      assert.is_nil(tls, ciphers)
      assert.matches(why, err.message)
    end
    assert(context { min_version = "1.3",
      ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256" })
    assert(context { ciphers = "ECDHE+AESGCM, ECDHE-ECDSA-AES128-SHA:!AES256" })
  end)

  it("refuse other versions and options", function()
    assert.is_nil(context { min_version = "1.1" })
    assert.has_error(function() context { chipers = "x" } end,
      "unknown option 'chipers', did you mean 'ciphers'?")
  end)

  it("pass over curves that are no groups of TLS, and those that they have", function()
    assert(context { curves = "P-256:prime192v1:nonsense::brainpoolP256r1" })
    assert(context { curves = "" })
  end)
end)

describe("TLS of the server", function()
  local folder, server

  setup(function() folder = https.identity() end)
  teardown(function() os.execute("rm -rf " .. folder) end)
  after_each(function() if server then server:stop() end server = nil end)

  -- Handshake with s_client: what it prints.
  local function handshake(options, input)
    local line = ("openssl s_client -connect %s %s"):format(server.address, options)
    local _, out, err = process.run(line, { stdin = input or "Q\n" })
    return out .. err
  end

  it("8446-4.1-a 7627-1-a speaks TLS 1.3 and 1.2", function()
    server = https.start(folder)
    assert.matches("New, TLSv1.3, ", handshake "")
    assert.matches("New, TLSv1.2, Cipher is ECDHE%-ECDSA%-", handshake "-tls1_2")
    assert.matches("Extended master secret: yes", handshake "-tls1_2")
    assert.matches("Secure Renegotiation IS supported", handshake "-tls1_2")
    assert.matches("Compression: NONE", handshake "-tls1_2")
  end)

  it("8996-4-a 8996-5-a refuses TLS 1.0 and 1.1", function()
    server = https.start(folder)
    for _, version in ipairs { "-tls1", "-tls1_1" } do
      assert.matches("alert protocol version", handshake(version .. " -cipher ALL:@SECLEVEL=0"))
    end
  end)

  it("can be told to speak nothing below TLS 1.3", function()
    server = https.start(folder, "min_version=1.3")
    assert.matches("alert protocol version", handshake "-tls1_2")
    assert.matches("New, TLSv1.3, ", handshake "")
  end)

  it("refuses suites without authentication, encryption, AEAD or ephemeral keys", function()
    local rsa = https.identity "-newkey rsa:2048"
    finally(function() os.execute("rm -rf " .. rsa) end)
    server = https.start(rsa)
    for _, suite in ipairs { "aNULL", "eNULL", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256",
      "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256" } do
      local said = handshake("-tls1_2 -cipher " .. suite .. ":@SECLEVEL=0")
      assert.matches("alert handshake failure", said, suite)
    end
    assert.matches("New, TLSv1.2, Cipher is ECDHE%-RSA%-AES",
      (handshake "-tls1_2 -cipher AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256"))
  end)

  it("refuses small groups, and takes those it has", function()
    server = https.start(folder)
    for _, group in ipairs { "X25519", "P-256", "P-384", "P-521" } do
      assert.matches("New, TLSv1.3, ", handshake("-groups " .. group), group)
    end
    for _, group in ipairs { "X448", "brainpoolP256r1 -tls1_2" } do
      assert.matches("alert handshake failure", handshake("-groups " .. group), group)
    end
    assert.matches("Temp Key: X25519", handshake "-groups P-521:P-256:X25519 -tls1_2")
  end)

  it("takes other suites where it is told to", function()
    server = https.start(folder,
      "ciphers=ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    assert.matches("Cipher is ECDHE%-ECDSA%-AES128%-SHA256", handshake "-tls1_2")
    assert.matches("New, TLSv1.3, ", handshake "")
    assert.matches("alert handshake failure",
      handshake "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256")
  end)

  it("8446-e.5-a gives no ticket, no session and no early data", function()
    server = https.start(folder)
    for _, version in ipairs { "1.2", "1.3" } do
      local first = assert(server:connect { min = version, max = version })
      assert.equal(204, first:request("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n").status)
      local second = assert(server:connect { min = version, max = version, session = first })
      assert.is_false(second.info.reused)
    end
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      assert.is_nil(handshake(version):find "New Session Ticket")
    end
  end)

  it("7030-3.5-e refuses a renegotiation", function()
    server = https.start(folder)
    local said = handshake("-tls1_2", "R\nQ\n")
    assert.matches("RENEGOTIATING", said)
    assert.matches("no renegotiation", said)
  end)

  it("agrees on http/1.1, and bears who offers something else", function()
    server = https.start(folder)
    assert.matches("ALPN protocol: http/1.1", handshake "-alpn h2,http/1.1")
    assert.matches("No ALPN negotiated", handshake "-alpn h2")
  end)

  it("asks nobody for a certificate without a store", function()
    server = https.start(folder)
    assert.is_nil(handshake(""):find "client certificate types")
    assert.is_nil(handshake(""):find "Requested Signature Algorithms")
  end)
end)

describe("client certificates", function()
  local CLIENT_AUTH <const> = "extendedKeyUsage = clientAuth"
  local folder, server, ca, root, sub, good

  setup(function()
    ca = pki.new()
    root = ca:root "root"
    sub = ca:sub("sub", { by = root })
    good = ca:issue("good", { by = sub, subject = "/CN=device001", ext = CLIENT_AUTH })
    folder = https.identity()
    os.execute(("cat %s > %s/clients.pem"):format(root.path, folder))
  end)
  teardown(function()
    os.execute("rm -rf " .. folder)
    pki.__close(ca)
  end)
  after_each(function() if server then server:stop() end server = nil end)

  local function curl(it, ...)
    local chain = ca:path(it.name .. "-chain.pem")
    process.must(("cat %s %s > %s"):format(it.path, sub.path, chain))
    local code, out, err = server:curl("/describe", "--cert", chain, "--key", it.key, ...)
    return code, out .. err
  end

  local function refused(it, reason, alert)
    for _, version in ipairs { "1.2", "1.3" } do
      local code, said = curl(it, "--tls-max", version)
      assert.not_equal(0, code)
      local found = said:find(alert) or said:find "curl: %(60%) SSL certificate verification failed"
      assert.truthy(found, said)
      server:wait("handshake\t127.0.0.1\tthe client's certificate [^\n]*" .. reason)
    end
  end

  it("are asked for and not required, naming no CA", function()
    server = https.start(folder)
    local code, out = server:curl "/describe"
    assert.equal(0, code)
    assert.matches("client_certificate=false\nchain=nil\n", out)
    local _, said = process.run(("openssl s_client -connect %s </dev/null"):format(server.address))
    assert.matches("No client certificate CA names sent", said)
  end)

  it("are handed over with their chain, leaf first", function()
    server = https.start(folder)
    for _, version in ipairs { "1.2", "1.3" } do
      local code, out = curl(good, "--tls-max", version)
      assert.equal(0, code, out)
      assert.matches("client_certificate=true\nchain=2\nsubject=device001\n", out)
    end
  end)

  it("are refused when nobody known has issued them", function()
    server = https.start(folder)
    local stranger = ca:root("stranger", { subject = "/CN=evil\nline", ext = "" })
    refused(stranger, "self.signed", "unknown ca")
    assert.is_nil(process.read(server.err):find "evil\nline")
  end)

  it("are refused after their time", function()
    server = https.start(folder)
    local late = ca:issue("late", { by = sub, days = -1, ext = CLIENT_AUTH })
    -- (with TLS 1.2 curl has words of its own for that alert)
    refused(late, "expired", "certificate expired")
  end)

  it("are refused for another purpose", function()
    server = https.start(folder)
    local purpose = ca:issue("purpose", { by = sub, ext = "extendedKeyUsage = serverAuth" })
    refused(purpose, "purpose", "unsupported certificate")
  end)

  it("count as none where the server is lenient and they do not verify", function()
    server = https.start(folder, "lenient=true")
    local wrong = {
      [ca:issue("late2", { by = sub, days = -1, ext = CLIENT_AUTH })] = "expired",
      [ca:issue("purpose2", { by = sub, ext = "extendedKeyUsage = serverAuth" })] = "purpose",
      [ca:root("stranger2", { ext = "" })] = "self.signed",
    }
    for it, why in pairs(wrong) do
      for _, version in ipairs { "1.2", "1.3" } do
        local code, out = curl(it, "--tls-max", version)
        assert.equal(0, code, out)
        assert.matches("client_certificate=false\nchain=nil\nsubject=nil\n", out)
        assert.matches("refusal=the client's certificate CN=" .. it.name .. " .*" .. why, out)
      end
    end
    local _, out = curl(good)
    assert.matches("client_certificate=true\nchain=2\nsubject=device001\nexpired=nil\n"
      .. "refusal=nil\n", out)
    _, out = server:curl "/describe"
    assert.matches("client_certificate=false\nchain=nil\nsubject=nil\nexpired=nil\n"
      .. "refusal=nil\n", out)
  end)

  it("count as none, and are told, where they are of our own and expired a while ago", function()
    local late = ca:issue("late3", { by = sub, days = -1, ext = CLIENT_AUTH })
    local second = os.time() - late.cert.not_after
    local function start(seconds, own, ...)
      if server then server:stop() end
      server = https.start(folder, "expired=" .. seconds, "own=" .. own.path, ...)
    end
    start(second + 600, sub)
    for _, version in ipairs { "1.2", "1.3" } do
      local code, out = curl(late, "--tls-max", version)
      assert.equal(0, code, out)
      assert.matches("client_certificate=false\nchain=nil\nsubject=nil\nexpired=late3\n", out)
      assert.matches("refusal=the client's certificate CN=late3 .*expired", out)
    end
    assert.matches("subject=device001\nexpired=nil\n", (select(2, curl(good))))
    refused(ca:issue("late4", { by = sub, days = -1, ext = "extendedKeyUsage = serverAuth" }),
      "purpose", "unsupported certificate")
    refused(ca:issue("late5", { by = root, days = -1, ext = CLIENT_AUTH }), "expired",
      "certificate expired")
    local stranger = ca:root("stranger3", { days = -1, ext = "" })
    refused(stranger, "self.signed", "unknown ca")
    start(second - 600, sub)
    refused(late, "expired", "certificate expired")
    start(second + 600, root)
    refused(late, "expired", "certificate expired")
    start(second + 600, root, "lenient=true")
    local _, out = curl(late)
    assert.matches("chain=nil\nsubject=nil\nexpired=nil\nrefusal=the client's certificate", out)
  end)

  it("are refused where the CA has expired as well, or they were revoked", function()
    local old = ca:sub("old", { by = root, days = -1 })
    local under = ca:issue("under", { by = old, days = -1, ext = CLIENT_AUTH })
    process.must(("cat %s >> %s/clients.pem"):format(old.path, folder))
    server = https.start(folder, "expired=8640000", "own=" .. old.path)
    refused(under, "expired", "certificate expired")
    process.must(("cat %s > %s/clients.pem"):format(root.path, folder))
    server:stop()
    local late = ca:issue("late6", { by = sub, days = -1, ext = CLIENT_AUTH })
    local _, path = ca:crl(sub, { late })
    process.must(("cp %s %s/clients.crl"):format(path, folder))
    server = https.start(folder, "expired=8640000", "own=" .. sub.path)
    refused(late, "revoked", "certificate revoked")
    local code, out = curl(ca:issue("late7", { by = sub, days = -1, ext = CLIENT_AUTH }))
    assert.equal(0, code)
    assert.matches("expired=late7", out, 1, true)
    os.remove(folder .. "/clients.crl")
  end)

  it("7030-6-j are refused with a key that takes long, where the server is lenient too", function()
    server = https.start(folder, "lenient=true")
    local function number(size) return der.tlv(2, "\1" .. ("\xff"):rep(size)) end
    local half, little = number(512), der.tlv(2, "\3")
    local key = pki.write(ca:path "large.der", der.seq(der.tlv(2, "\0"), number(1024), little,
      little, half, half, little, little, little))
    local it = { name = "large", path = ca:path "large.pem", key = ca:path "large.key" }
    pki.sh(("openssl rsa -inform DER -in %s -out %s"):format(key, it.key))
    pki.sh(("openssl req -x509 -subj /CN=large -key %s -out %s"):format(it.key, it.path))
    refused(it, "self.signed", "unknown ca")
  end)

  it("are refused with a key that is too small", function()
    server = https.start(folder)
    local small = ca:issue("small", { by = sub, key = "rsa:1024", ext = CLIENT_AUTH })
    local code = curl(small, "--ciphers", "DEFAULT@SECLEVEL=0")
    assert.not_equal(0, code)
    server:wait "handshake\t127.0.0.1\t"
  end)

  it("are refused once revoked, as soon as the CRL is read again", function()
    server = https.start(folder)
    local lost = ca:issue("lost", { by = sub, ext = CLIENT_AUTH })
    assert.equal(0, (curl(lost)))
    local _, path = ca:crl(sub, { lost })
    process.must(("cp %s %s/clients.crl"):format(path, folder))
    process.kill(server.pid, "HUP")
    server:wait "reloaded"
    refused(lost, "revoked", "certificate revoked")
    assert.equal(0, (curl(good)))
    os.remove(folder .. "/clients.crl")
  end)
end)
