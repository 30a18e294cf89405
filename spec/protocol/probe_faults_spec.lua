-- A probe finds what is wrong with a server: one that does one thing wrong, for each requirement.
-- That it finds nothing in one that is right is in spec/protocol/probe_spec.lua.
local core = require "lest.core"
local der = require "support.der"
local est = require "support.est"
local wire = require "lest.probe.wire"

local http <const> = est.http
local ANSWERS <const> = 20 -- more than any check asks for

-- A ServerHello in a record, as the first word of a server.
local function hello(version, suite, extensions)
  local list = {}
  for number, value in pairs(extensions or {}) do
    list[#list + 1] = (">I2s2"):pack(number, value)
  end
  local body = (">I2"):pack(version) .. ("r"):rep(32) .. "\0" .. (">I2"):pack(suite) .. "\0"
    .. (">s2"):pack(table.concat(list))
  return "\22" .. (">I2s2"):pack(math.min(version, 0x0303), "\2" .. (">s3"):pack(body))
end

describe("a probe finds that a server", function()
  local world, patience

  setup(function()
    world = est.world()
    patience, wire.PATIENCE = wire.PATIENCE, 2
  end)
  teardown(function()
    world:close()
    wire.PATIENCE = patience
  end)

  -- What a check says of a server with these answers: one for all requests, or a list in order;
  -- with `setting.hello` the bytes that come in place of a handshake.
  local function judge(id, answers, setting, options)
    setting = setting or {}
    local first = setting.hello
    setting.hello = nil
    local server <close> = world:serve(setting)
    if first then server:on_connect { first, "drop" } end
    if type(answers) == "string" then
      server:answer(answers, ANSWERS)
    else
      for _, answer in ipairs(answers or {}) do server:answer(answer) end
    end
    options = options or {}
    options.url = server.url:gsub("^http:", "https:")
    local client <close> = world:client(server, options)
    local report = assert(client:probe { checks = { id }, rate = 1000, enroll = true })
    return report.checks[1].verdict, report.checks[1].seen, report
  end

  -- Makes a spec: make() gives what judge() takes, and what is seen then.
  local function finds(id, what, make)
    it(what .. " (" .. id .. ")", function()
      local answers, seen, setting, options = make()
      local verdict, saw = judge(id, answers, setting, options)
      assert.same({ "fail", saw }, { verdict, saw })
      assert.matches(seen, saw)
    end)
  end

  -- The same where every answer is a status.
  local function answers_with(id, what, status, seen, setting)
    finds(id, what, function() return http(status), seen or tostring(status), setting end)
  end

  describe("in its paths", function()
    answers_with("7030-3.2.2-a", "has no EST where it belongs", 404)
    finds("7030-3.2.2-b", "has no certificates",
      function() return http(200, { ["Content-Type"] = "text/html" }, "<p>hello"), "decoded" end)
    answers_with("7030-3.2.2-c", "does not enroll", 404)
    answers_with("7030-3.2.2-d", "does not renew", 501)
    finds("7030-3.2.2-j", "wants a label", function()
      return http(404), "404", nil, { label = "factory" }
    end)
    answers_with("7030-3.2.2-m", "answers whatever it is asked", 200, "label 200, operation 200")
    finds("7030-3.2.2-n", "does not decode", function()
      return http(404), "/%%63acerts 404"
    end)
    finds("7030-3.2.2-n", "decodes twice", function()
      return { http(404), http(200), http(200) }, "/%%2563acerts 200"
    end)
    answers_with("7030-3.2.2-o", "takes a query for a path", 404)
  end)

  describe("in TLS", function()
    local OLD <const> = { min = "1.0", ciphers = "ALL:@SECLEVEL=0" }

    local function hears(id, what, bytes, seen)
      finds(id, what, function() return nil, seen, { hello = bytes } end)
    end

    local function old() return { min = OLD.min, max = "1.2", ciphers = OLD.ciphers } end

    hears("7030-3.3-c", "speaks SSL 3.0", hello(0x0300, 0x002f), "^SSL 3%.0")
    finds("8996-4-a", "speaks TLS 1.0", function() return nil, "^TLS 1%.0", old() end)
    finds("8996-5-a", "speaks TLS 1.1", function() return nil, "^TLS 1%.1", old() end)
    finds("8446-4.1-a", "has no TLS 1.3",
      function() return nil, "to 1.3: alert protocol_version", { max = "1.2" } end)
    finds("8446-4.1-a", "has no TLS 1.2",
      function() return nil, "to 1.2: alert protocol_version", { min = "1.3" } end)
    finds("7030-3.2.3-c", "does not encrypt", function()
      return nil, "suite 0xc006", { max = "1.2", ciphers = "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0" }
    end)
    finds("7030-3.2.3-c", "does not authenticate", function()
      return nil, "suite 0xc01", { max = "1.2", ciphers = "aNULL:@SECLEVEL=0" }
    end)
    hears("7030-6-e", "takes a suite for export", hello(0x0303, 0x0003), "suite 0x0003")
    hears("7030-3.5-e", "renegotiates as one should not", hello(0x0303, 0xc02b, { [23] = "" }),
      "renegotiation_info is missing")
    hears("7627-1-a", "has no extended master secret", hello(0x0303, 0xc02b, { [0xff01] = "\0" }),
      "extended_master_secret is missing")
    finds("7030-3.3-b", "speaks plain HTTP", function()
      return http(200), "200", { plain = true }
    end)
    answers_with("7030-3.3-g", "asks for no certificate", 200, "asked for no certificate")
    finds("7030-3.3-g", "serves nobody without a certificate", function()
      return { "drop" }, "closed", { ca = world.root.path }
    end)
    finds("7030-3.3.1-c", "has no authorityKeyIdentifier", function()
      return http(200), "no authorityKeyIdentifier", { entity = world.pki:issue("no-aki", {
        by = world.root, ext = est.server_ext "DNS:localhost"
          .. "\nauthorityKeyIdentifier = none" }) }
    end)
  end)

  describe("in HTTP", function()
    local LENIENT <const> = { lenient = true }

    local function lenient() return { lenient = LENIENT.lenient } end

    answers_with("7030-4.1.3-a", "answers 204 to cacerts", 204)
    finds("9110-9.1-a", "has no HEAD", function() return { http(405), http(200) }, "405" end)
    finds("9110-9.1-a", "sends a body with HEAD", function()
      return { { http(200, {}, "hello"), "close" }, http(200, {}, "hello") }, "with a body"
    end)
    answers_with("9110-15.5.6-a", "says 405 without Allow", 405, "without Allow")
    answers_with("9110-9.1-b", "takes any method", 200)
    finds("9112-3.2-a", "needs no Host",
      function() return http(200), "none: 200; two: 200; bad: 200", lenient() end)
    finds("9112-3.2-a", "takes two of them", function()
      return { http(400), http(200), http(400) }, "two: 200", lenient()
    end)
    finds("9112-5.2-a", "takes a folded line for a header",
      function() return { http(400), http(200) }, "200", lenient() end)
    finds("9112-2.2-a", "minds an empty line", function()
      return { http(400), http(200) }, "400"
    end)
    finds("9112-6.1-a", "reads no chunks", function()
      return { http(401), http(501) }, "in one piece: 401; in chunks: 501"
    end)
    finds("9112-7.1.1-a", "minds an extension of a chunk", function()
      return { http(401), http(400) }, "in chunks: 400"
    end)
    finds("9112-6.1-b", "sends chunks to HTTP/1.0", function()
      return { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", http(200) },
        "to HTTP/1.0: chunked"
    end)
    finds("9112-6.3-a", "takes any coding", function() return http(401), "gzip: 401", lenient() end)
    finds("9112-6.3-b", "takes any length",
      function() return http(401), "5, 6: 401; %-1: 401; 0x10: 401; two: 401", lenient() end)
    finds("9112-6.3-b", "ends without a word", function()
      return "drop", "no answer: the server closed", lenient()
    end)
    finds("9112-6.3-c", "takes both framings", function() return http(401), "401", lenient() end)
    answers_with("9112-9.3-a", "stays open", 200, "Connection: close: it stays open")
    finds("9110-10.1.1-a", "waits for the body", function() return nil, "no answer" end)
    finds("9110-10.1.1-b", "sends 100 to HTTP/1.0", function()
      return "HTTP/1.1 100 Continue\r\n\r\n" .. http(401), "it sends 100"
    end)
    finds("9112-9.6-a", "resets where it refuses", function()
      return { { "head", "reset" } }, "no answer"
    end)
    finds("9110-15.5.14-a", "waits for a large body", function() return nil, "no answer" end)
  end)

  describe("in its encodings", function()
    local function bag(edit)
      local bytes = assert(core.pkcs7.encode { world.root.cert })
      return edit and edit(bytes) or bytes
    end
    local function as(media, body, more)
      local headers = { ["Content-Type"] = media }
      for name, value in pairs(more or {}) do headers[name] = value end
      return http(200, headers, body)
    end
    local MIME <const> = "application/pkcs7-mime"

    finds("7030-3.2.4-a", "has another media type",
      function() return as("application/octet-stream", core.est.body_encode(bag())), "octet" end)
    finds("8951-3-a", "sends raw DER", function() return as(MIME, bag()), "/cacerts: raw DER" end)
    finds("8951-3-a", "sends PEM", function()
      return as(MIME, "-----BEGIN PKCS7-----\n" .. core.est.body_encode(bag())
        .. "-----END PKCS7-----\n"), "PEM"
    end)
    finds("8951-3-a", "sends no EST", function()
      return as(MIME, core.base64.encode "hello"), "something else than DER"
    end)
    finds("8951-3-b", "sends BER", function()
      return est.ok("cacerts", "\x30\x80" .. der.body(bag()) .. "\0\0"), "indefinite length"
    end)
    finds("9110-8.4-a", "sends a coding that nobody asked for", function()
      return as(MIME, core.est.body_encode(bag()), { ["Content-Encoding"] = "gzip" }), "gzip"
    end)
  end)

  describe("in who may ask", function()
    local function challenge(id, what, value, seen)
      finds(id, what, function()
        return http(401, value and { ["WWW-Authenticate"] = value } or {}), seen
      end)
    end

    answers_with("7030-4.2-f", "gives anybody a certificate", 200)
    answers_with("7030-4.2-f", "lets anybody's request wait", 202)
    answers_with("7030-3.2.2-k", "renews for anybody", 200)
    answers_with("7030-4.1.2-d", "wants a password for cacerts", 401)
    answers_with("7030-4.5-b", "wants a certificate for csrattrs", 403)
    challenge("9110-11.6.1-a", "says 401 without a challenge", nil, "no WWW%-Authenticate")
    challenge("7617-2-a", "has no realm", "Basic", "no realm")
    challenge("7616-3.7-b", "offers the weakest algorithm first",
      'Digest realm="a", nonce="b", qop="auth", Digest realm="a", nonce="b", qop="auth", '
        .. "algorithm=SHA-256", "MD5, SHA%-256")
    challenge("7616-3.7-b", "offers an algorithm twice",
      'Digest realm="a", nonce="b", algorithm=MD5, Digest realm="a", nonce="c"', "MD5, MD5")
    challenge("7616-3.3-a", "does not quote a nonce", 'Digest realm="a", nonce=b, qop="auth"',
      "nonce is not quoted")
    challenge("7616-3.3-a", "quotes an algorithm",
      'Digest realm="nonce=x", nonce="b", qop="auth", algorithm="MD5"', "algorithm is quoted")
    answers_with("7030-4.4-c", "makes keys for anybody", 200)
    local ASKED <const> = http(401, { ["WWW-Authenticate"] =
      'Digest realm="a", nonce="b", qop="auth", algorithm=SHA-256' })
    for id, what in pairs { ["7616-3.4.6-a"] = "minds no path in Digest",
      ["7616-3.4-b"] = "minds no count in Digest" } do
      finds(id, what, function()
        return { ASKED, http(415), ASKED, http(415) }, "415", nil,
          { username = "u", password = "p", key = world.device.key }
      end)
    end
  end)

  describe("in its CA certificates", function()
    local function has(id, what, seen, make)
      finds(id, what, function() return est.cacerts(make(world.pki)), seen end)
    end

    -- The two roots of a rollover, and the links with their options.
    local function rollover(ca, links)
      local name = "/CN=CA"
      local old = ca:root("r-old", { subject = name, days = 20 })
      local new = ca:root("r-new", { subject = name, days = 300 })
      local found = { old.cert, new.cert }
      for each, how in pairs(links) do
        how.subject = name
        how.by, how.same_key = each == "new_with_old" and old or new,
          each == "new_with_old" and new or old
        found[#found + 1] = ca:sub(each, how).cert
      end
      return found
    end

    has("7030-4.1.3-c", "are none", "certificates: 0", function() return {} end)
    finds("7030-4.1.3-c", "are signed for", function()
      local file = world.pki:path "signed"
      world.pki.sh(("echo hello | openssl cms -sign -nodetach -outform DER -signer %s -inkey %s "
        .. "-out %s"):format(world.server.path, world.server.key, file))
      return est.ok("cacerts", world.pki.read(file)), "signers"
    end)
    finds("5652-5.1-a", "are of another version", function()
      local bytes = assert(core.pkcs7.encode { world.root.cert })
      local place = bytes:find("\2\1\1\x31\0", 1, true)
      return est.ok("cacerts", bytes:sub(1, place + 1) .. "\3" .. bytes:sub(place + 3)),
        "version 3"
    end)
    has("7030-4.1.3-e", "have no root", "no self%-signed", function(ca)
      return { ca:sub("only-sub", { by = world.root }).cert }
    end)
    has("7030-4.1.3-e", "are over", "its time is over", function(ca)
      return { ca:root("over", { days = -1 }).cert }
    end)
    has("7030-4.1.3-g", "are two roots without links", "no certificate links the new one",
      function(ca) return rollover(ca, {}) end)
    has("7030-4.1.3-g", "lack one of the links", "no certificate links the old one", function(ca)
      return rollover(ca, { new_with_old = { days = 10 } })
    end)
    has("4210-4.4-a", "have a link beyond the old root's time", "goes on after", function(ca)
      return rollover(ca, { new_with_old = { days = 40 }, old_with_new = { days = 10 } })
    end)
    has("4210-4.4-a", "have a link that is no CA", "is no CA", function(ca)
      return rollover(ca, { new_with_old = { days = 10, ext = "basicConstraints = CA:FALSE" },
        old_with_new = { days = 10 } })
    end)
    has("8649-3-a", "have a critical hashOfRootKey", "critical", function(ca)
      return { ca:root("hash", { more = "1.3.6.1.4.1.51483.2.1 = critical,ASN1:NULL" }).cert }
    end)
    has("5280-4.1.2.4-a", "have no issuer", "the issuer is empty", function(ca)
      return { ca:root("nameless", { subject = "/" }).cert }
    end)
    has("5280-4.1.2.5-a", "write a time of today as one of 2050", "tag 0x18", function(ca)
      local root = ca:root "times"
      return { ca:forge(root, root, function(tbs)
        local parts = der.split(der.body(tbs))
        local times = der.split(der.body(parts[5]))
        parts[5] = der.seq(times[1], der.tlv(0x18, "20", der.body(times[2])))
        return der.seq(table.unpack(parts))
      end).cert }
    end)
    has("5280-4.1.2.2-a", "have too long a serial number", "serial number", function(ca)
      return { ca:sub("serial", { by = world.root, serial = "0x7" .. ("f"):rep(41) }).cert }
    end)
  end)

  describe("in its CSR attributes", function()
    local EXTENSION_REQUEST <const> = der.oid "1.2.840.113549.1.9.14"
    local USAGE <const> = der.seq(der.oid "2.5.29.15", der.octets "\3\2\7\128")

    local function asks(id, what, seen, ...)
      local bytes <const> = der.seq(...)
      finds(id, what, function() return est.ok("csrattrs", bytes), seen end)
    end
    local function attribute(oid, ...) return der.seq(oid, der.set(...)) end

    answers_with("7030-4.5.2-b", "fails", 500)
    finds("7030-4.5.2-d", "are text", function()
      return http(200, { ["Content-Type"] = "text/plain" }, "MAA=\n"), "text/plain"
    end)
    finds("8951-4-a", "are a SET", function() return est.ok("csrattrs", der.set()), "" end)
    asks("9908-3.2-b", "ask for extensions twice", "2",
      attribute(EXTENSION_REQUEST, der.seq(USAGE)), attribute(EXTENSION_REQUEST, der.seq(USAGE)))
    asks("9908-3.2-c", "have two values", "2", attribute(EXTENSION_REQUEST, der.seq(USAGE),
      der.seq(USAGE, USAGE)))
    asks("9908-3.2-d", "have OIDs for Extensions", "no Extensions", attribute(EXTENSION_REQUEST,
      der.oid "2.5.29.15"))
    asks("9908-3.2-e", "name an extension twice", "twice", attribute(EXTENSION_REQUEST,
      der.seq(USAGE, USAGE)))
    asks("9908-3.2-f", "want two kinds of keys", "2",
      attribute(der.oid "1.2.840.10045.2.1", der.oid "1.3.132.0.34"),
      attribute(der.oid "1.2.840.113549.1.1.1", der.tlv(2, "\16\0")))
    asks("9908-3.2-h", "want an EC key of a size", "no curve",
      attribute(der.oid "1.2.840.10045.2.1", der.tlv(2, "\1\128")))
  end)

  describe("in its templates", function()
    local OPEN <const>, WHOLE <const> = der.oid "1.2.840.113549.1.9.16.2.62",
      der.oid "1.2.840.113549.1.9.14"
    local VERSION <const>, NONE <const> = der.int(0), der.tlv(0xa1)
    local USAGE <const>, PURPOSE <const> = der.seq(der.seq(der.oid "2.5.29.15")),
      der.seq(der.seq(der.oid "2.5.29.37"))

    local function attribute(oid, ...) return der.seq(oid, der.set(...)) end

    local function asks(id, what, seen, ...)
      local bytes <const> = der.seq(attribute(der.oid "1.2.840.113549.1.9.16.2.61", ...))
      finds(id, what, function() return est.ok("csrattrs", bytes), seen end)
    end

    asks("9908-3.4-q", "are two in one attribute", "2", der.seq(VERSION, NONE),
      der.seq(VERSION, der.seq(), NONE))
    asks("9908-3.4-a", "are of another version", "another version", der.seq(der.int(1), NONE))
    asks("9908-3.4-a", "are none", "no template", der.utf8 "subject")
    asks("9908-3.4-b", "have an empty subject", "an empty subject",
      der.seq(VERSION, der.seq(), NONE))
    asks("9908-3.4-h", "have a key for a curve", "not of RSA", der.seq(VERSION,
      der.tlv(0xa0, der.seq(der.oid "1.2.840.10045.2.1", der.oid "1.3.132.0.34"),
        der.bits "\4key"), NONE))
    asks("9908-3.4-f", "have a key without a type", "without its type",
      der.seq(VERSION, der.tlv(0xa0, der.seq()), NONE))
    asks("9908-3.4-g", "have no key for the size of RSA", "something else", der.seq(VERSION,
      der.tlv(0xa0, der.seq(der.oid "1.2.840.113549.1.1.1", der.tlv(5)), der.bits "key"), NONE))
    asks("9908-3.4-i", "have open extensions that are not", "nothing is open", der.seq(VERSION,
      der.tlv(0xa1, attribute(OPEN, der.seq(der.seq(der.oid "2.5.29.15",
        der.octets "\3\2\7\128"))))))
    asks("9908-3.4-o", "have two lists", "several lists", der.seq(VERSION,
      der.tlv(0xa1, attribute(OPEN, USAGE), attribute(OPEN, PURPOSE))))
    asks("9908-3.4-o", "have two values of a list", "several lists", der.seq(VERSION,
      der.tlv(0xa1, attribute(OPEN, USAGE, PURPOSE))))
    asks("9908-3.4-p", "have open extensions and others", "both", der.seq(VERSION,
      der.tlv(0xa1, attribute(WHOLE, der.seq(der.seq(der.oid "2.5.29.15",
        der.octets "\3\2\7\128"))), attribute(OPEN, USAGE))))
  end)

  describe("in what it need not have", function()
    answers_with("7030-3.2.2-e", "fails at fullcmc", 500)
    answers_with("7030-3.2.2-f", "fails at serverkeygen", 500)
    answers_with("7030-3.2.2-g", "fails at csrattrs", 500)
    answers_with("7030-4.3.1-a", "takes a PKCS#10 for CMC", 200)
  end)

  local USER <const> = { username = "u", password = "p" }

  -- As finds, by who may enroll: with a password, and the key of world.device.
  local function refuses(id, what, answers, seen)
    finds(id, what, function()
      return answers, seen, nil, { username = USER.username, password = USER.password,
        key = world.device.key }
    end)
  end

  describe("in what it refuses", function()
    finds("7030-4.2.3-f", "says no text", function()
      return http(400, {}, "\0\1\2"), "no text"
    end)
    finds("7030-4.2.3-s", "shows its insides", function()
      return http(500, { ["Content-Type"] = "text/plain" },
        "java.lang.Error\n\tat org.est.Server.run(Server.java:42)\n"), "Server.java:42"
    end)
    refuses("7030-4.2.3-d", "takes anything", http(200),
      "nothing: 200; no base64: 200; no DER: 200")
    refuses("7030-4.2.1-h", "looks at no signature", http(200), "another key: 200")
    refuses("7030-4.2.1-h", "breaks at a bad signature", http(500), "another key: 500")
    refuses("9110-15.5.16-a", "takes any media type", http(400), "text/plain: 400")
    refuses("9110-8.3-a", "knows its media type in one case", http(415), "415")
  end)

  describe("in what it issues", function()
    local function issued(...)
      local certs = table.pack(...)
      for i = 1, certs.n do certs[i] = certs[i].cert end
      return est.issued(certs)
    end

    local function issues(id, what, seen, make)
      finds(id, what, function()
        return make(), seen, nil, { username = USER.username, password = USER.password,
          key = world.device.key }
      end)
    end

    local function device_with(how)
      how.by, how.same_key = how.by or world.root, world.device
      how.subject = how.subject or "/CN=device"
      return world.pki:issue(how.name or "again", how)
    end

    issues("7030-4.2.3-h", "does not say when to come back", "no Retry%-After",
      function() return http(202) end)
    issues("7030-4.2.3-h", "says it in words", "soon",
      function() return http(202, { ["Retry-After"] = "soon" }) end)
    issues("7030-4.2.3-a", "with another media type", "text/plain", function()
      return est.issued({ world.device.cert }, { ["Content-Type"] = "text/plain" })
    end)
    issues("7030-4.2.3-c", "without smime-type", "application/pkcs7%-mime", function()
      return est.issued({ world.device.cert }, { ["Content-Type"] = "application/pkcs7-mime" })
    end)
    issues("7030-4.2.3-b", "with its chain", "certificates: 2",
      function() return issued(world.device, world.root) end)
    issues("7030-4.2.3-b", "for another key", "no certificate for the key",
      function() return issued(world.server) end)
    issues("7030-4.1.3-f", "what does not chain", "", function()
      local stranger = world.pki:root "issuing-stranger"
      return { issued(device_with { name = "strange", by = stranger }),
        est.cacerts { world.root.cert } }
    end)
    issues("5280-4.2.1.1-a", "without an authorityKeyIdentifier", "none", function()
      return issued(device_with { name = "aki", ext = "authorityKeyIdentifier = none" })
    end)
    issues("5280-4.2.1.2-a", "without a subjectKeyIdentifier", "none", function()
      return issued(device_with { name = "ski", ext = "subjectKeyIdentifier = none" })
    end)
    issues("5280-4.2.1.3-a", "with a keyUsage that is not critical", "it does not", function()
      return issued(device_with { name = "usage", ext = "keyUsage = digitalSignature" })
    end)
    issues("5280-4.1.2.2-a", "with too long a serial number", "serial", function()
      return { est.cacerts { world.root.cert },
        issued(device_with { name = "serial", serial = "0x7" .. ("f"):rep(41) }) }
    end)
    issues("5280-4.2.1.6-a", "to nobody", "no name at all", function()
      return { est.cacerts { world.root.cert },
        issued(device_with { name = "none", subject = "/" }) }
    end)
    issues("5280-4.2.1.6-a", "with a name that is not critical", "are not critical", function()
      return { est.cacerts { world.root.cert }, issued(device_with { name = "san", subject = "/",
        ext = "subjectAltName = DNS:device" }) }
    end)
    issues("7030-4.2.2-c", "and does not renew", "no renewal: the server answered 403",
      function() return { issued(world.device), http(403) } end)
    issues("7030-4.2.2-d", "and renews for one key", "403",
      function() return { issued(world.device), issued(world.device), http(403) } end)
    issues("8951-3-c", "and minds Content-Transfer-Encoding", "400",
      function() return { issued(world.device), issued(world.device), http(400) } end)
    issues("8951-3.1-a", "and minds blanks", "400",
      function() return { issued(world.device), issued(world.device), http(400) } end)
    issues("4648-3.3-a", "and reads any characters", "200",
      function() return issued(world.device) end)
    issues("5967-2.1-c", "and minds no bytes behind a request", "200",
      function() return issued(world.device) end)
    issues("4648-3.2-a", "and minds nothing behind the end", "200",
      function() return issued(world.device) end)
    issues("7030-4.2.2-e", "whatever name is wanted", "200",
      function() return issued(world.device) end)
    issues("2985-5.4.1-c", "for two values of challengePassword", "200",
      function() return issued(world.device) end)
    issues("6402-2.8-a", "for a change to no name", "200",
      function() return issued(world.device) end)
    issues("5280-4.2-a", "with an extension twice", "200", function()
      local cert = der.split(der.body(world.device.cert:der()))
      local tbs = der.split(der.body(cert[1]))
      local list = der.split(der.body(der.split(der.body(tbs[#tbs]))[1]))
      list[#list + 1] = list[1]
      tbs[#tbs] = der.tlv(0xa3, der.seq(table.unpack(list)))
      cert[1] = der.seq(table.unpack(tbs))
      local twice = est.ok("simpleenroll", der.seq(der.oid "1.2.840.113549.1.7.2",
        der.tlv(0xa0, der.seq(der.int(1), der.set(), der.seq(der.oid "1.2.840.113549.1.7.1"),
          der.tlv(0xa0, der.seq(table.unpack(cert))), der.set()))))
      return { issued(world.device), issued(world.device), twice }
    end)
    issues("7030-3.5-c", "whatever a request is linked to", "200",
      function() return issued(world.device) end)
    issues("7030-3.3-e", "and takes no link", "challengePassword: the server answered 400",
      function() return { issued(world.device), issued(world.device), http(400) } end)
    issues("2985-5.4.1-b", "and reads no BMPString", "BMPString: the server .* 400", function()
      local good = issued(world.device)
      return { good, good, good, good, good, http(400) }
    end)
    issues("7894-3-c", "and reads no UTF8String", "UTF8String: the server .* 400", function()
      local good = issued(world.device)
      return { good, good, good, http(400) }
    end)
    issues("7030-4.2-h", "whatever a first request is linked to", "200",
      function() return issued(world.device) end)
    issues("5280-4.2.1.9-a", "CAs", "200", function()
      local ca = device_with { name = "ca", ext = "basicConstraints = critical,CA:TRUE" }
      return { issued(world.device), issued(world.device), issued(ca) }
    end)
  end)

  describe("in what it says of revocation", function()
    local now <const> = os.time()
    local plain

    setup(function() plain = world:serve { plain = true } end)
    teardown(function() plain:stop() end)

    -- A certificate that names a CRL and a responder at the plain server, in an answer.
    local function names_them(more)
      local url = ("http://localhost:%d"):format(plain.port)
      local cert = world.pki:issue("named", { by = world.root, same_key = world.device,
        subject = "/CN=device", ext = ("crlDistributionPoints = URI:%s/ca.crl\n"
          .. "authorityInfoAccess = OCSP;URI:%s/ocsp%s"):format(url, url, more or "") }).cert
      return cert, { est.issued { cert }, est.cacerts { world.root.cert } }
    end

    -- make(cert) is the answer of the plain server.
    local function tells(id, what, seen, make)
      finds(id, what, function()
        local cert, answers = names_them()
        plain:answer(make(cert))
        return answers, seen, nil, { username = USER.username, password = USER.password,
          key = world.device.key }
      end)
    end

    local function crl_of(plan)
      local issuer = assert(core.issuer.new { cert = plan.cert or world.root.cert,
        key = plan.key or core.key.load(world.root.key) })
      local draft <close> = core.crl.draft()
      local sealed <close> = assert(issuer:sign_crl(draft, { number = 1,
        this_update = plan.this_update or now - 7200, next_update = plan.next_update
        or now + 7200 }))
      return sealed:bytes()
    end

    local function ca_of(subject)
      local key = core.key.generate "ec:P-256"
      return { key = key, cert = assert(core.issuer.root { key = key, subject = subject,
        not_before = now - 60, not_after = now + 86400 }) }
    end

    local function of_crl(plan)
      return function()
        return http(200, { ["Content-Type"] = "application/pkix-crl" }, crl_of(plan))
      end
    end

    tells("5280-4.2.1.13-a", "has no CRL where one is named", "ca%.crl: 404",
      function() return http(404) end)
    tells("5280-4.2.1.13-a", "has it in PEM", "no DER", function()
      return http(200, {}, assert(core.crl.parse(crl_of {})):pem())
    end)
    tells("5280-4.2.1.13-a", "has something else there", "CRL", function()
      return http(200, {}, world.root.cert:der())
    end)
    tells("5280-5.1.1.3-a", "has a stranger's CRL", "issuer",
      function() return of_crl(ca_of "CN=stranger")() end)
    tells("5280-5.1.1.3-a", "has one by another key of that name", "signature",
      function() return of_crl(ca_of(world.root.cert.subject))() end)
    tells("5280-5.1.2.5-a", "has one that is over", "over", of_crl { next_update = now - 3600 })
    tells("5280-5.1.2.5-a", "has one of the future", "future", of_crl { this_update = now + 3600 })
    tells("5280-5.1.2.5-a", "has one without an end", "no nextUpdate", function()
      local crl = der.split(der.body(crl_of {}))
      local tbs = der.split(der.body(crl[1]))
      table.remove(tbs, 5)
      crl[1] = der.seq(table.unpack(tbs))
      return http(200, {}, der.seq(table.unpack(crl)))
    end)
    tells("5280-5.2-a", "has one without a number", "version 1", function()
      local crl = der.split(der.body(crl_of {}))
      local tbs = der.split(der.body(crl[1]))
      crl[1] = der.seq(table.unpack(tbs, 2, 5))
      return http(200, {}, der.seq(table.unpack(crl)))
    end)

    -- An answer of a responder about the certificate.
    local function ocsp_of(plan)
      return function(cert)
        local request = assert(core.ocsp.parse_request(core.ocsp.request(world.root.cert,
          plan.about or cert)))
        local entity = plan.by and plan.by() or world.root
        local responder <close> = assert(core.ocsp_responder.new { cert = entity.cert,
          key = core.key.load(entity.key) })
        return http(200, { ["Content-Type"] = "application/ocsp-response" },
          assert(responder:respond { certificates = { { id = request.certificates[1].id,
            state = plan.state or "good" } }, produced_at = now, nonce = plan.nonce,
            this_update = plan.this_update or now - 60, next_update = plan.next_update
            or now + 7200 }))
      end
    end

    tells("6960-2.1-a", "has no OCSP where it is named", "ocsp: 404",
      function() return http(404) end)
    tells("6960-2.1-a", "refuses what is asked", "unauthorized", function()
      return http(200, {}, core.ocsp.failure "unauthorized")
    end)
    tells("6960-2.1-a", "does not know what it issued", "unknown", ocsp_of { state = "unknown" })
    tells("6960-2.1-a", "speaks of another certificate", "successful", function(cert)
      return ocsp_of { about = world.server.cert }(cert)
    end)
    tells("6960-4.2.2.2-a", "has a responder with no right to answer", "something else",
      ocsp_of { by = function() return world.device end })
    tells("6960-4.2.2.2-a", "has another CA's responder", "not by the CA", ocsp_of { by = function()
      return world.pki:issue("stray-responder", { by = world.pki:root "stray-root",
        ext = "extendedKeyUsage = OCSPSigning" })
    end })
    tells("6960-4.2.2.1-a", "has answers that are over", "over",
      ocsp_of { next_update = now - 3600 })
    tells("6960-4.2.2.1-a", "has answers of the future", "future",
      ocsp_of { this_update = now + 3600 })
    tells("6960-4.4.1-a", "gives another nonce back", "another", ocsp_of { nonce = "other" })

    it("is not told where it does not apply", function()
      local cert, answers = names_them()
      plain:answer(ocsp_of {}(cert))
      local as_user = { username = USER.username, password = USER.password,
        key = world.device.key }
      local verdict, seen = judge("6960-4.4.1-a", answers, nil, as_user)
      assert.same({ "skip", "the answer has none" }, { verdict, seen })
      for id, expected in pairs { ["5280-4.2.1.13-a"] = "names no CRL",
        ["6960-2.1-a"] = "names no OCSP" } do
        verdict, seen = judge(id, { est.issued { world.device.cert },
          est.cacerts { world.root.cert } }, nil, as_user)
        assert.equal("skip", verdict)
        assert.matches(expected, seen)
      end
    end)
  end)

  describe("in the keys that it makes", function()
    local CERTS <const> = "application/pkcs7-mime; smime-type=certs-only"

    local function der_of(command)
      return assert(core.base64.decode(world.pki.sh(command):match "KEY%-%-%-%-%-\n(.-)%-%-%-"))
    end

    local function parts(key_type, key, certs_type, certs)
      local list = { { type = key_type or "application/pkcs8", der = key or world.pkcs8 } }
      if certs_type ~= false then
        list[2] = { type = certs_type or CERTS,
          der = assert(core.pkcs7.encode(certs or { world.device.cert })) }
      end
      local body, media = core.est.mixed_encode(list)
      return body, media
    end

    local function answer(body, media, status)
      return http(status or 200, { ["Content-Type"] = media }, body)
    end

    local function makes(id, what, seen, make)
      finds(id, what, function()
        world.pkcs8 = der_of("openssl pkcs8 -topk8 -nocrypt -in " .. world.device.key)
        return make(), seen, nil, { username = USER.username, password = USER.password,
          key = world.device.key }
      end)
    end

    -- Answers of which the first is the certificate that a key is then encrypted for.
    local function sealed(key_type, key, signer)
      signer = signer or world.device
      key = key or assert(core.envelope.seal { key = world.key, signer_cert = signer.cert,
        signer_key = core.key.load(signer.key), cert = world.device.cert,
        capabilities = core.envelope.capabilities "ec" })
      return { est.issued { world.device.cert },
        answer(parts(key_type or "application/pkcs7-mime; smime-type=server-generated-key", key)),
        est.cacerts { world.root.cert } }
    end

    makes("7030-4.4.1.1-b", "for a secret that nobody knows", "200", function()
      return answer(parts())
    end)
    makes("7030-4.4.1.2-b", "for a certificate that nobody knows", "200", function()
      return answer(parts())
    end)
    makes("7030-4.4.1-i", "in the clear where they were to be encrypted", "pkcs8", function()
      return sealed("application/pkcs8", world.pkcs8)
    end)
    makes("7030-4.4.2-k", "by another name", "no such part", function()
      return sealed "application/pkcs7-mime; smime-type=enveloped-data"
    end)
    makes("7030-4.4.2-c", "encrypted for nobody", "", function() return sealed(nil, "\48\0") end)
    makes("7030-4.4.2-c", "signed by a stranger", "", function()
      local stranger = world.pki:issue("keys-stranger", { by = world.pki:root "keys-root" })
      return sealed(nil, nil, stranger)
    end)
    makes("7030-4.4.2-m", "for anything", "200", function() return http(200) end)
    makes("7030-4.4.1-c", "by a signature", "400, and 200", function()
      return { http(400), answer(parts()) }
    end)
    makes("7030-4.4.2-a", "as one part", "parts: 1", function()
      return answer(parts(nil, nil, false))
    end)
    makes("7030-4.4.2-a", "as no parts", "application/pkcs8: ", function()
      return http(200, { ["Content-Type"] = "application/pkcs8" }, core.base64.encode(world.pkcs8))
    end)
    makes("7030-4.4.2-b", "in an older form", "no PKCS#8", function()
      return answer(parts(nil, der_of("openssl ec -in " .. world.device.key)))
    end)
    makes("7030-4.4.2-b", "beside another's certificate", "no certificate for the key", function()
      return answer(parts(nil, nil, nil, { world.server.cert }))
    end)
    makes("7030-4.4.2-l", "without smime-type", "application/pkcs7%-mime", function()
      return answer(parts(nil, nil, "application/pkcs7-mime"))
    end)
    makes("8951-3.2.4-a", "in raw bytes", "no base64", function()
      local body, media = parts()
      body = body:gsub("(\r\n\r\n).-(\r\n%-%-)",
        function(before, behind) return before .. world.pkcs8 .. behind end, 1)
      return answer(body, media)
    end)
    makes("2046-5.1-b", "with bare line feeds", "bare LF", function()
      local body, media = parts()
      body = body:gsub("\r\n", "\n")
      return answer(body, media)
    end)
  end)

  describe("in its answers of CMC", function()
    local TYPE <const> = "application/pkcs7-mime; smime-type=CMC-response"

    -- A PKI Response that the server's key has signed.
    local function response(status, controls, media)
      for i, control in ipairs(controls) do control.id = i end
      local content = assert(core.cmc.content { kind = "response", controls = controls })
      return http(status, { ["Content-Type"] = media or TYPE }, core.est.body_encode(assert(
        core.cmc.sign { kind = "response", key = core.key.load(world.server.key),
          cert = world.server.cert, certificates = { world.server.cert }, content = content })))
    end

    local function failed(failure, body)
      return { name = "statusInfoV2", value = { status = "failed", failure = failure,
        bodies = { body } } }
    end

    -- After the certificate that signs.
    local function after(answer) return { est.issued { world.device.cert }, answer } end

    local function says(id, what, make, seen)
      finds(id, what, function()
        return make(), seen, nil, { username = USER.username, password = USER.password,
          key = world.device.key }
      end)
    end

    says("7030-4.3.2-c", "fail with 200", function()
      return response(200, { failed("badMessageCheck", 0) })
    end, "200")
    says("7030-4.3.2-d", "are text", function() return http(400, {}, "no") end, "no Content%-Type")
    says("7030-4.3.2-d", "are of another media type", function()
      return response(400, { failed("badMessageCheck", 0) }, "application/octet-stream")
    end, "octet%-stream")
    says("7030-4.3.2-d", "are none", function()
      return http(400, { ["Content-Type"] = TYPE }, "MAA=\n")
    end, "no PKI Response")
    says("7030-4.3.2-d", "have no status", function() return response(400, {}) end, "no status")
    says("5272-3.2.1.3.4-b", "call a forgery something else", function()
      return response(400, { failed("badRequest", 0) })
    end, "badRequest, body parts: 0")
    says("5272-3.2.1.1-a", "mind no control", function()
      return after(response(200, { failed("badRequest", 1001) }))
    end, "200")
    says("5272-3.2.1.1-a", "do not say which control", function()
      return after(response(400, { failed("badRequest", 0) }))
    end, "body parts: 0")
    says("5272-6.6-a", "are of another transaction", function()
      return after(response(400, { failed("badRequest", 1001),
        { name = "transactionId", value = "\1" } }))
    end, "another")
    says("5272-6.6-b", "have no nonce", function()
      return after(response(400, { failed("badRequest", 1001) }))
    end, "none")
    says("5272-6.6-b", "have another's nonce", function()
      return after(response(400, { failed("badRequest", 1001),
        { name = "recipientNonce", value = ("x"):rep(16) } }))
    end, "another")
    says("5272-6.4-a", "give other data back", function()
      return after(response(400, { failed("badRequest", 1001),
        { name = "dataReturn", value = "other" } }))
    end, "another")
    says("5272-6.1-a", "have the old status", function()
      return after(response(400, { { name = "statusInfo", value = { status = "failed",
        failure = "badRequest", bodies = { 1001 } } } }))
    end, "CMCStatusInfo alone")
    says("5272-3.2.2-a", "mind no id that is there twice", function()
      return after(response(200, {}))
    end, "200")
    says("6402-2.6-c", "mind no control of responses", function()
      return after(response(200, {}))
    end, "200")
    says("7030-3.5-i", "call a wrong link something else", function()
      return after(response(400, { failed("badRequest", 1) }))
    end, "badRequest")
    says("7030-3.5-i", "mind no link", function() return after(response(200, {})) end, "200")
    says("7030-4.3.2-a", "grant with 201", function()
      return after(http(201, { ["Content-Type"] = TYPE }, ""))
    end, "201")
    says("7030-4.3.2-a", "grant nothing", function()
      return after(response(200, { { name = "statusInfoV2", value = { status = "success",
        bodies = { 1 } } } }))
    end, "no certificate")
  end)

  it("is right where it does as the RFCs allow", function()
    local function passes(id, answers, setting, options)
      local verdict, seen = judge(id, answers, setting, options)
      assert.equal("pass", verdict, id .. ": " .. seen)
    end
    passes("9112-6.1-a", { http(401), http(411) })
    passes("9112-6.3-a", http(501), { lenient = true })
    passes("9110-10.1.1-a", { { "head", "HTTP/1.1 100 Continue\r\n\r\n", "stall" } })
    passes("9110-15.5.6-a", { http(405, { Allow = "POST" }), http(404) })
    passes("7616-3.3-a", http(401, { ["WWW-Authenticate"] =
      'Digest realm="a \\" b, nonce=c", nonce="b", qop="auth", algorithm=MD5, stale=true' }))
    passes("7030-4.2.3-f", http(400, {}, "what is this?\n"))
    passes("5652-5.1-a", est.cacerts { world.root.cert })
  end)

  it("cannot tell, and says why", function()
    local function skips(id, seen, answers, options, setting)
      local verdict, saw = judge(id, answers, setting, options)
      assert.equal("skip", verdict, id)
      assert.matches(seen, saw)
    end
    skips("7030-4.2-f", "before it asks who", http(400))
    skips("7030-4.2-f", "not offered", http(404))
    skips("9110-15.5.6-a", "GET /simpleenroll: 401", http(401))
    skips("7030-4.2.3-d", "nothing: 401", http(401), USER)
    skips("7616-3.4-b", "needs a password", http(401), { bearer = "token" })
    skips("7616-3.4-b", "no challenge of digest",
      http(401, { ["WWW-Authenticate"] = 'Basic realm="a"' }), USER)
    skips("7616-3.4.6-a", "no 401: 415", http(415), USER)
    skips("9112-5.2-a", "it needs no Host: 200", http(200), nil, { lenient = true })
    skips("7616-3.3-a", "no challenge of digest",
      http(401, { ["WWW-Authenticate"] = 'Basic realm="a"' }))
  end)
end)
