-- A server that lies to a command: whatever it answers, the command says what is wrong, stores
-- nothing of it, and its exit code tells a script what to make of it.
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local der = require "support.der"
local est = require "support.est"
local process = require "support.process"

local http <const> = est.http
local NO_TRUST <const>, PENDING <const>, REFUSED <const>, OTHER <const> = 3, 5, 7, 1

describe("a server that lies to", function()
  local world, folder, stranger, other, signer, foreign, authority

  setup(function()
    world = est.world()
    folder = process.folder()
    local root = world.pki:root "stranger"
    stranger = world.pki:issue("strange", { by = root, subject = "/CN=device",
      same_key = world.device })
    other = world.pki:issue("other", { by = world.root, subject = "/CN=device" })
    authority = world.pki:issue("authority", { by = world.root, ext = est.server_ext() })
    local answers <const> = "extendedKeyUsage = 1.3.6.1.5.5.7.3.27"
    signer = world.pki:issue("signer", { by = world.root, ext = answers })
    foreign = world.pki:issue("foreign", { by = root, ext = answers })
  end)
  teardown(function()
    os.execute("rm -rf " .. folder)
    world:close()
  end)

  --- Run a command against a server that answers its first request by lie(request), and what comes
  --- after that with `again` or its own CA certificates.
  local function run(command, words, lie, again)
    local server <close> = world:serve { ask = true }
    local all = { "timeout", "30", process.lest, command, server.url, "--trust", world.root.path,
      "--no-csrattrs", "--out", folder .. "/out.pem" }
    table.move(words, 1, #words, #all + 1, all)
    process.must { "sh", "-c", "rm -f " .. folder .. "/out.*" }
    local out, err, code = folder .. "/stdout", folder .. "/stderr", folder .. "/code"
    os.remove(code)
    local pid = process.start({ "sh", "-c", '"$@"; echo $? >' .. code, "sh",
      table.unpack(all) }, out, err)
    local request = assert(server:request(10000), "nothing was asked")
    server:answer(lie(request))
    server:answer(again or est.cacerts { world.root.cert }, 20)
    process.wait_for(function() return not process.alive(pid) end, "the command's end", 40)
    return math.tointeger(tonumber(process.read(code))), process.read(err)
  end

  -- Makes a spec: the exit code and the words of a lie.
  local function lies(command, what, code, pattern, words, lie, again)
    it(("lest %s about %s"):format(command, what), function()
      local ended, said = run(command, words(), lie, again)
      assert.same({ code, true }, { ended, said:find(pattern) ~= nil }, said)
      for _, name in ipairs { "out.pem", "out.key" } do
        assert.is_false(process.exists(folder .. "/" .. name), name)
      end
    end)
  end

  local function issued(...)
    local certs = {}
    for i, entity in ipairs { ... } do certs[i] = entity.cert end
    return est.issued(certs)
  end

  describe("lest enroll:", function()
    local function words()
      return { "--subject", "CN=device", "--csr-key", world.device.key }
    end
    local function enrolls(what, code, pattern, lie, again)
      lies("enroll", what, code, pattern, words, lie, again)
    end

    enrolls("the key", NO_TRUST, "key", function() return issued(other) end)
    enrolls("who signed", NO_TRUST, "accepted", function() return issued(stranger) end)
    enrolls("its time", NO_TRUST, "has expired", function()
      return issued(world.pki:issue("over", { by = world.root, subject = "/CN=device",
        same_key = world.device, days = -1 }))
    end)
    enrolls("the certificate, which is none", NO_TRUST, "no certificate", function()
      return est.issued {}
    end)
    enrolls("its encoding", OTHER, "cannot be read", function()
      return http(200, { ["Content-Type"] = "application/pkcs7-mime" }, "MAA=\n")
    end)
    enrolls("its media type", OTHER, "text/html", function()
      return http(200, { ["Content-Type"] = "text/html" }, "<p>hello")
    end)
    -- Names are the CA's to state: what it changed is told, and the certificate is kept.
    it("7030-4.2.3-u the names, which are another's: it says so", function()
      local ended, said = run("enroll", words(), function()
        return issued(world.pki:issue("renamed", { by = world.root, subject = "/CN=somebody else",
          same_key = world.device, ext = "subjectAltName = DNS:else.example" }))
      end)
      assert.equal(0, ended, said)
      assert.matches("the subject is CN=somebody else, not CN=device", said, 1, true)
      assert.matches("the alternative names are DNS:else.example, not none", said, 1, true)
      assert.is_true(process.exists(folder .. "/out.pem"))
    end)
    local WAIT <const> = http(202, { ["Retry-After"] = "1" })
    lies("enroll", "how long it takes: it never ends", PENDING, "is pending", function()
      local all = words()
      table.move({ "--wait", "3s" }, 1, 2, #all + 1, all)
      return all
    end, function() return WAIT end, WAIT)
  end)

  describe("lest serverkeygen:", function()
    local CERTS <const> = "application/pkcs7-mime; smime-type=certs-only"
    local SEALED <const> = "application/pkcs7-mime; smime-type=server-generated-key"

    local function parts(key_type, key, entity)
      local body, media = core.est.mixed_encode { { type = key_type, der = key },
        { type = CERTS, der = assert(core.pkcs7.encode { entity.cert }) } }
      return http(200, { ["Content-Type"] = media }, body)
    end
    local function clear(entity)
      return assert(core.key.load(entity.key):der())
    end
    -- An envelope for one entity with the key of another.
    local function sealed(entity, for_entity, by)
      return assert(core.envelope.seal { key = core.key.load(entity.key), signer_cert = by.cert,
        signer_key = core.key.load(by.key), cert = for_entity.cert,
        capabilities = core.envelope.capabilities "ec" })
    end

    local function plain()
      return { "--subject", "CN=device", "--key-out", folder .. "/out.key" }
    end
    local function encrypted()
      return { "--subject", "CN=device", "--key-out", folder .. "/out.key", "--decrypt-key",
        world.device.key, "--decrypt-cert", world.device.path }
    end
    local function makes(what, code, pattern, words, lie)
      lies("serverkeygen", what, code, pattern, words, lie)
    end

    makes("the key", NO_TRUST, "another key", plain, function()
      return parts("application/pkcs8", clear(world.server), other)
    end)
    makes("who signed", NO_TRUST, "not accepted", plain, function()
      return parts("application/pkcs8", clear(stranger), stranger)
    end)
    makes("the strength of the key", NO_TRUST, "weak", plain, function()
      local weak = world.pki:issue("weak", { by = world.root, subject = "/CN=device",
        key = "rsa:1024" })
      return parts("application/pkcs8", clear(weak), weak)
    end)
    makes("encryption: there is none", OTHER, "not encrypted", encrypted, function()
      return parts("application/pkcs8", clear(other), other)
    end)
    makes("for whom it encrypts", OTHER, "cannot be opened with this key", encrypted, function()
      return parts(SEALED, sealed(other, world.server, authority), other)
    end)
    makes("who made the key", NO_TRUST, "no anchor vouches", encrypted, function()
      return parts(SEALED, sealed(other, world.device, stranger), other)
    end)
    makes("the key in the envelope", NO_TRUST, "another key", encrypted, function()
      return parts(SEALED, sealed(world.server, world.device, authority), other)
    end)
  end)

  describe("lest fullcmc:", function()
    local function words()
      return { "--cert", world.device.path, "--key", world.device.key, "--new-key", "ec:P-256",
        "--key-out", folder .. "/new.key" }
    end

    local function status_of(status, failure)
      return { name = "statusInfoV2", value = { status = status, failure = failure,
        bodies = { 1 } } }
    end

    -- The answer to a request: signed by an entity, with what it must give back.
    local function response(request, how)
      local sent = assert(core.cmc.parse(core.est.body_decode(request.body)))
      local controls = { how.status or status_of "success",
        { name = "recipientNonce", value = how.nonce or cmc.find(sent, "senderNonce") },
        { name = "transactionId", value = how.transaction or cmc.find(sent, "transactionId") } }
      for i, control in ipairs(controls) do control.id = i end
      local by = how.by or signer
      local certificates = { by.cert }
      for _, cert in ipairs(how.certs or {}) do certificates[#certificates + 1] = cert end
      local content = assert(core.cmc.content { kind = "response", controls = controls })
      local bytes = how.unsigned and der.seq(der.oid "1.2.840.113549.1.7.2",
        der.tlv(0xa0, der.seq(der.int(3), der.set(), der.seq(der.oid "1.3.6.1.5.5.7.12.3",
          der.tlv(0xa0, der.octets(content))), der.set()))) or assert(core.cmc.sign {
        kind = "response", key = core.key.load(by.key), cert = by.cert,
        certificates = certificates, content = content })
      return http(how.code or 200, { ["Content-Type"] =
        "application/pkcs7-mime; smime-type=CMC-response" }, core.est.body_encode(bytes))
    end

    -- A certificate for the key that was asked for.
    local function granted(request, by)
      local sent = assert(core.cmc.parse(core.est.body_decode(request.body)))
      local csr = assert(core.csr.parse(sent.requests[1].der))
      local issuer = assert(core.issuer.new { cert = by.cert, key = core.key.load(by.key) })
      return assert(core.cert.parse(assert(issuer:issue { public_key = csr.spki,
        subject = csr.subject, key_usage = { "digitalSignature" }, eku = { "clientAuth" },
        not_before = os.time() - 60, not_after = os.time() + 3600 })))
    end

    local function answers(what, code, pattern, how)
      lies("fullcmc", what, code, pattern, words, function(request)
        local all = how(request)
        all.certs = all.certs or { granted(request, world.root) }
        return response(request, all)
      end)
    end

    answers("its signature: there is none", NO_TRUST, "sign", function()
      return { unsigned = true }
    end)
    answers("who signed", NO_TRUST, "not accepted", function() return { by = foreign } end)
    answers("what its certificate is for", NO_TRUST, "no answers of CMC", function()
      return { by = authority }
    end)
    answers("which request it answers", NO_TRUST, "recipientNonce is not that", function()
      return { nonce = ("x"):rep(16) }
    end)
    answers("its transaction", NO_TRUST, "transactionId is not that", function()
      return { transaction = "\1" }
    end)
    answers("the key", NO_TRUST, "key", function() return { certs = { other.cert } } end)
    answers("the certificate: there is none", NO_TRUST, "another key", function()
      return { certs = {} }
    end)
    answers("a failure, with a certificate", REFUSED, "badRequest", function()
      return { code = 403, status = status_of("failed", "badRequest") }
    end)
    answers("a success that failed", REFUSED, "badRequest", function()
      return { status = status_of("failed", "badRequest") }
    end)
  end)
end)
