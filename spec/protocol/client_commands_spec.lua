-- The client's commands: what they print, which files they write, and their exit codes.
local cjson = require "cjson"
local core = require "lest.core"
local est = require "support.est"
local key_kinds = require "lest.base.key_kinds"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local http = est.http

describe("the command", function()
  local world, server, folder

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    folder = shell.capture "mktemp -d"
    server = world:serve()
  end)
  after_each(function()
    server:stop()
    os.execute("rm -r " .. folder)
  end)

  local function path(name)
    return folder .. "/" .. name
  end

  local function read(name)
    return assert(core.file.read(path(name)))
  end

  local function mode(name)
    return shell.capture("stat -c %a " .. path(name))
  end

  local function lest(command, ...)
    return shell.lest(command, server.url, "--trust", world.root.path, ...)
  end

  describe("cacerts", function()
    it("7030-4.1.3-k 7030-4.1.3-n writes what a later run can trust", function()
      server:answer(est.cacerts { world.root.cert })
      local result = shell.lest("cacerts", server.url, "--fingerprint", world.root.cert.fingerprint,
        "--out", path "cas.pem")
      assert.equal(0, result.code, result.err)
      assert.equal("", result.out)
      assert.matches("root CN=root, until .* SHA%-256 " .. world.root.cert.fingerprint, result.err)
      server:answer(est.csrattrs())
      assert.equal(0, shell.lest("csrattrs", server.url, "--cacert", path "cas.pem").code)
    end)

    it("prints PEM, or JSON", function()
      server:answer(est.cacerts { world.root.cert }, 2)
      local result = lest "cacerts"
      assert.equal(world.root.cert, core.cert.parse(result.out))
      local list = cjson.decode(lest("cacerts", "--json").out)
      assert.equal(world.root.cert.fingerprint, list[1].fingerprint or list[1].sha256)
    end)

    it("7030-4.1.3-b stores nothing when it fails", function()
      server:answer(http(500, { ["Content-Type"] = "text/plain" }, "the disk is on fire"))
      local result = lest("cacerts", "--out", path "cas.pem")
      assert.equal(1, result.code)
      assert.matches("^lest cacerts: cacerts: the server answered 500 .*the disk is on fire",
        result.err)
      assert.is_false(core.system.exists(path "cas.pem"))
    end)

    it("7030-2-a writes nothing that the fingerprint does not prove", function()
      server:answer(est.cacerts { world.root.cert })
      local result = shell.lest("cacerts", server.url, "--fingerprint", ("0"):rep(64), "--out",
        path "cas.pem")
      assert.equal(3, result.code)
      assert.equal("", result.out)
      assert.is_false(core.system.exists(path "cas.pem"))
    end)

    it("6125-6.6.4-a names the host it wanted and the one it got", function()
      local there <close> = world:serve { entity = world.pki:issue("misnamed",
        { by = world.root, ext = est.server_ext "DNS:other.example" }) }
      local result = shell.lest("cacerts", there.url, "--trust", world.root.path)
      assert.equal(3, result.code)
      assert.matches("not for localhost: it names DNS:other.example", result.err, 1, true)
      assert.equal(0, #there:requests())
    end)

    it("7030-3.1-e 7030-4.1.1-b wants to know whom to trust", function()
      local result = shell.lest("cacerts", server.url)
      assert.equal(2, result.code)
      assert.matches("%-%-trust FILE, or %-%-fingerprint HEX", result.err)
      assert.equal(3, shell.lest("cacerts", server.url, "--trust", world.device.path).code)
    end)
  end)

  it("7030-3.1-d csrattrs shows the server's wishes", function()
    server:answer(est.csrattrs { { key = "ec:P-384", digest = "sha384" } }, 2)
    local result = lest "csrattrs"
    assert.equal(0, result.code, result.err)
    assert.matches("ec:P%-384", result.out)
    assert.equal("ec:P-384", cjson.decode(lest("csrattrs", "--json").out).key)
    server:answer(est.csrattrs())
    assert.matches("no wishes", lest("csrattrs").out)
  end)

  it("prints an error of cacerts and csrattrs as JSON, too", function()
    for _, command in ipairs { "cacerts", "csrattrs" } do
      server:answer(http(403, { ["X-Request-Id"] = "0f3c9a" }))
      local told = cjson.decode(lest(command, "--json").out)
      assert.same({ command, 403, "0f3c9a" }, { told.operation, told.status, told.request_id })
    end
  end)

  describe("enroll", function()
    local function device()
      return "--subject", "/CN=device", "--csr-key", world.device.key
    end

    it("writes the leaf, then its intermediates", function()
      local sub = world.pki:sub("sub", { by = world.root })
      local leaf = world.pki:issue("leaf", { by = sub, same_key = world.device })
      server:answer(est.csrattrs())
      server:answer(est.issued { sub.cert, leaf.cert })
      local result = lest("enroll", "--out", path "device.pem", device())
      assert.equal(0, result.code, result.err)
      assert.matches("device.pem: CN=leaf, serial ", result.err, 1, true)
      assert.matches("warning: the subject is CN=leaf, not CN=device", result.err, 1, true)
      local all = assert(core.cert.parse_all(read "device.pem"))
      assert.same({ leaf.cert, sub.cert }, all)
      assert.equal("644", mode "device.pem")
    end)

    it("prints the certificate, or what it is as JSON", function()
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      local result = lest("enroll", device())
      assert.equal(world.device.cert, core.cert.parse(result.out))
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      result = lest("enroll", "--json", "--out", path "d.pem", device())
      assert.equal(world.device.cert.serial, cjson.decode(result.out).serial)
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      result = cjson.decode(lest("enroll", "--json", device()).out)
      assert.equal(world.device.cert, core.cert.parse(result.pem))
    end)

    it("writes over no key, and asks for nothing it cannot write", function()
      local function refused(problem, ...)
        local result = lest("enroll", "--subject", "CN=x", ...)
        assert.equal(2, result.code, result.err)
        assert.matches(problem, result.err, 1, true)
      end
      local new = { "--new-key", "ec:P-256", "--key-out", path "x" }
      refused("--out and --key-out are the same file", "--out", path "x", table.unpack(new))
      refused("--out and --key-out are the same file", "--out", folder .. "/../"
        .. folder:match "[^/]*$" .. "/x", table.unpack(new))
      assert(core.key.generate("ec:P-256"):save(path "c.key"))
      shell.run(("ln -s c.key %s"):format(path "link"))
      refused("--out and --csr-key are the same file", "--csr-key", path "c.key", "--out",
        path "link")
      refused("--out and --key are the same file", "--key", path "c.key", "--out", path "c.key")
      refused("--out and --key are the same file", "--key", "file:" .. path "c.key", "--out",
        path "c.key")
      refused("--key-out and --trust are the same file", "--new-key", "ec:P-256", "--key-out",
        world.root.path)
      refused(path "none/x" .. ": cannot be written (No such file", "--out", path "none/x",
        table.unpack(new))
      refused("cannot be written (Is a directory)", "--out", folder, table.unpack(new))
      assert.equal(0, #server:wait("tls", 0))
      assert.is_false(core.system.exists(path "x"))
      assert(core.key.load(path "c.key"))
    end)

    it("says what to do with a certificate that could not be written", function()
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      local words = { "enroll", server.url, "--trust", world.root.path, device() }
      local result = shell.run(shell.line(table.unpack(words)) .. " >/dev/full")
      assert.equal(1, result.code)
      assert.matches("the certificate was issued: repeat the command with the same key", result.err,
        1, true)
    end)

    it("leaves no new key behind when something else is wrong", function()
      for _, words in ipairs {
        { server.url, "--trust", path "none.pem" }, { server.url },
        { "http://localhost", "--trust", world.root.path },
        { server.url, "--trust", world.root.path, "--username", "u", "--password-file", path "no" },
      } do
        local result = shell.lest("enroll", "--subject", "CN=x", "--new-key", "ec:P-256",
          "--key-out", path "x.key", table.unpack(words))
        assert.equal(2, result.code, result.err)
      end
      assert.is_false(core.system.exists(path "x.key"))
      assert.equal(0, #server:wait("tls", 0))
    end)

    it("uses a key again that was asked for by another name", function()
      for _ = 1, 2 do
        server:answer(est.csrattrs(), 1)
        server:answer(http(403))
        local result = lest("enroll", "--subject", "CN=x", "--new-key", "ec:prime256v1",
          "--key-out", path "x.key")
        assert.equal(7, result.code, result.err)
      end
    end)

    it("warns of a key that others may read", function()
      assert(core.key.generate("ec:P-256"):save(path "x.key"))
      shell.run("chmod 644 " .. path "x.key")
      server:answer(est.csrattrs(), 1)
      server:answer(http(403))
      local result = lest("enroll", "--subject", "CN=x", "--new-key", "ec:P-256", "--key-out",
        path "x.key")
      assert.matches("warning: others may use the key in .*: its mode is 644, not 600", result.err)
    end)

    it("uses no key that a stranger may have put there, and waits for no pipe", function()
      for pattern, command in pairs { ["is no plain file"] = "mkfifo KEY",
        ["others may write to it"] = "cp %s KEY; chmod 666 KEY" } do
        shell.run((command:gsub("KEY", path "k.key"):format(world.device.key)))
        local result = lest("enroll", "--subject", "CN=x", "--new-key", "ec:P-256", "--key-out",
          path "k.key")
        assert.equal(2, result.code)
        assert.matches(pattern, result.err)
        shell.run("rm " .. path "k.key")
      end
      assert.equal(0, #server:requests())
    end)

    it("sweeps away what a killed run has left beside its files", function()
      for _, name in ipairs { "s.key.lest-abcdef", "s.pem.lest-abcdef" } do
        temporary.file(folder, name, "x")
      end
      server:answer(est.csrattrs())
      server:answer(http(403))
      assert.equal(7, lest("enroll", "--subject", "CN=x", "--new-key", "ec:P-256", "--key-out",
        path "s.key", "--out", path "s.pem").code)
      assert.equal("s.key\n", shell.run("cd " .. folder .. "; ls s.*").out)
    end)

    it("knows how others write the kind of a key", function()
      for spec, kind in pairs { ["P-256"] = "ec:P-256", ["EC-P384"] = "ec:P-384",
        prime256v1 = "ec:P-256", ["2048"] = "rsa:2048", rsa3072 = "rsa:3072" } do
        assert.equal((", did you mean '%s'?"):format(kind), key_kinds.hint(spec))
        local result = lest("enroll", "--subject", "CN=x", "--new-key", spec, "--key-out",
          path "no.key")
        assert.equal(2, result.code)
        assert.matches("did you mean '" .. kind .. "'?", result.err, 1, true)
      end
      assert.is_false(core.system.exists(path "no.key"))
      for kind, specs in pairs {
        ["ec:P-256"] = { "p256", "EC", "ecc", "ECDSA", "ec:256", "EC256", "ecdsa:P-256",
          "NIST-P-256", "ecdsa-sha2-nistp256", "secp256r1", "ec:p-256" },
        ["ec:P-384"] = { "secp384r1", "P384" }, ["ec:P-521"] = { "P-512", "secp521r1" },
        ["rsa:2048"] = { "RSA-2048", "rsa2048bits", "rsa:1024" }, ["rsa:3072"] = { "RSA" },
        ed25519 = { "Ed-25519", "eddsa", "curve25519", "X25519", "ed2551" },
      } do
        for _, spec in ipairs(specs) do
          assert.equal((", did you mean '%s'?"):format(kind), key_kinds.hint(spec), spec)
        end
      end
      assert.equal("", key_kinds.hint "camellia")
    end)

    it("warns of anchors and a certificate that are over, and of a key that others can read",
      function()
      local key, now = assert(core.key.generate "ec:P-256"), os.time()
      local DAY <const> = 86400
      local function root(name, first, last)
        assert(assert(core.issuer.root { key = key, subject = "CN=" .. name, path_len = 0,
          not_before = now + first * DAY, not_after = now + last * DAY }):save(path(name)))
      end
      assert(key:save(path "open.key"))
      shell.run("chmod 644 " .. path "open.key")
      local function warnings(trust, ...)
        return shell.lest("enroll", "localhost:1", "--trust", path(trust), "--subject", "CN=x",
          ...).err
      end
      for name, period in pairs { old = { -90, -1, "expired at" }, soon = { -90, 2, "ends at" },
        early = { 1, 90, "is not valid before" } } do
        root(name, period[1], period[2])
        assert.matches(("lest enroll: warning: %s: the anchor CN=%s %s"):format(path(name), name,
          period[3]), warnings(name, "--csr-key", path "open.key"), 1, true)
      end
      root("good", -1, 90)
      local said = warnings("good", "--csr-key", path "open.key")
      assert.matches(("warning: others may use the key in %s: its mode is 644"):format(
        path "open.key"), said, 1, true)
      assert.not_matches("anchor", said)
      shell.run("chmod 640 " .. path "open.key")
      assert.not_matches("warning", warnings("good", "--csr-key", path "open.key"))
    end)

    it("says which option a key or a passphrase needs, and which files are no pair", function()
      local key = assert(core.key.generate "ec:P-256")
      assert(key:save(path "locked.key", { passphrase = "secret" }))
      assert(key:save(path "plain.key"))
      assert(core.file.write(path "binary", "a\0b\n"))
      local function refused(problem, ...)
        local result = lest("enroll", "--subject", "CN=x", ...)
        assert.equal(2, result.code, result.err)
        assert.matches(problem, result.err, 1, true)
      end
      for _, words in ipairs { { "--csr-key", path "locked.key" },
        { "--cert", world.device.path, "--key", path "locked.key" } } do
        refused(path "locked.key" .. ": the key is encrypted and needs a passphrase: "
          .. "--passphrase-file FILE\n", table.unpack(words))
      end
      refused(path "binary" .. ": its first line, the secret, has a NUL byte", "--csr-key",
        path "locked.key", "--passphrase-file", path "binary")
      refused(("the key in %s (ec:P-256) is not that of the certificate in %s"):format(
        path "plain.key", world.device.path), "--cert", world.device.path, "--key",
        path "plain.key")
      refused(path "plain.key" .. ": certificate: the data is a private key", "--cert",
        path "plain.key", "--key", path "plain.key")
    end)

    it("takes the passphrase for the request's key, and gives it to a new one", function()
      temporary.file(folder, "phrase", "secret\n")
      local key = assert(core.key.generate "ec:P-256")
      assert(key:save(path "c.key", { passphrase = "secret" }))
      local function enroll(...)
        server:answer(est.csrattrs(), 1)
        server:answer(http(403))
        local result = lest("enroll", "--subject", "CN=x", "--passphrase-file", path "phrase", ...)
        assert.equal(7, result.code, result.err)
      end
      enroll("--csr-key", path "c.key")
      for _ = 1, 2 do enroll("--new-key", "ec:P-256", "--key-out", path "n.key") end
      assert.equal("key_passphrase", select(2, core.key.load(path "n.key")).code)
      assert(core.key.load(path "n.key", { passphrase = "secret" }))
    end)

    it("names the request of a refusal, and with --json tells all there is", function()
      local plain = { ["X-Request-Id"] = "0f3c9a" }
      local basic = { ["X-Request-Id"] = "0f3c9a", ["WWW-Authenticate"] = 'Basic realm="x"' }
      local later = { ["X-Request-Id"] = "0f3c9a", ["Retry-After"] = "30" }
      for status, case in pairs { [401] = { basic, "unauthenticated" },
        [403] = { plain, "refused" }, [202] = { later, "pending" },
        [503] = { later, "unavailable" }, [500] = { plain, "http" } } do
        server:answer(est.csrattrs())
        server:answer(http(status, case[1]))
        local result = lest("enroll", "--json", device())
        assert.matches(" (request 0f3c9a)\n", result.err, 1, true)
        local told = cjson.decode(result.out)
        assert.same({ case[2], status, "0f3c9a", case[1]["Retry-After"] and 30 },
          { told.code, told.status, told.request_id, told.retry_after })
        assert.matches("^simpleenroll: ", told.error)
      end
    end)

    it("names a request once, where the server's sentence does so", function()
      server:answer(est.csrattrs())
      server:answer(http(500, { ["X-Request-Id"] = "0f3c9a",
        ["X-Reason"] = "request 0f3c9a failed" }))
      local result = lest("enroll", device())
      assert.equal(1, select(2, result.err:gsub("0f3c9a", "")))
      assert.equal("", result.out)
    end)

    it("7030-4.2.3-v 7030-4.2.3-o saves a new key before it is sent, and uses it again", function()
      local function enroll()
        return lest("enroll", "--subject", "CN=new", "--new-key", "ec:P-256", "--key-out",
          path "new.key", "--out", path "new.pem")
      end
      server:answer(est.csrattrs(), 1)
      server:answer(http(202, { ["Retry-After"] = "30", ["X-Reason"] = "ask Bob" }))
      local result = enroll()
      assert.equal(5, result.code)
      assert.matches("^lest enroll: simpleenroll: the request is pending: ask Bob", result.err)
      assert.equal("600", mode "new.key")
      assert.is_false(core.system.exists(path "new.pem"))
      local before = read "new.key"
      server:answer(est.csrattrs(), 1)
      server:answer(http(403))
      assert.equal(7, enroll().code)
      assert.equal(before, read "new.key")
      local requests = server:requests()
      local key = assert(core.key.load(path "new.key"))
      assert.equal(key:public_der(), est.csr_of(requests[2]).public_key.der)
      assert.equal(key:public_der(), est.csr_of(requests[4]).public_key.der)
      result = lest("enroll", "--subject", "CN=new", "--new-key", "ed25519", "--key-out",
        path "new.key")
      assert.equal(1, result.code)
      assert.matches("has a key of type ec:P-256 already, not ed25519", result.err, 1, true)
    end)

    it("sends a finished CSR from standard input", function()
      server:answer(est.issued { world.device.cert })
      local csr = assert(core.csr.build { key = world.key, subject = "CN=device" })
      local result = shell.run(("%s enroll %s --trust %s --csr - --out %s"):format(shell.binary,
        server.url, world.root.path, path "d.pem"), csr:pem())
      assert.equal(0, result.code, result.err)
      assert.equal(csr, est.csr_of(server:requests()[1]))
      result = shell.run(shell.line("enroll", server.url, "--trust", world.root.path, "--csr", "-",
        "--username", "u", "--password-file", "-"), csr:pem())
      assert.equal(2, result.code)
      assert.matches("--csr and --password-file cannot both be standard input", result.err, 1, true)
    end)

    it("names the file of a request that is none", function()
      local result = lest("enroll", "--csr", temporary.file(folder, "x.csr", "no request"))
      assert.equal(2, result.code)
      assert.matches("lest enroll: " .. path "x.csr" .. ": ", result.err, 1, true)
      assert.equal(2, lest("enroll", "--csr", path "none.csr").code)
    end)

    it("takes SANs, a password from a file, and the key of --key", function()
      server:answer(http(401, { ["WWW-Authenticate"] = 'Basic realm="x"' }))
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      temporary.file(folder, "password", "secret\n")
      local result = lest("enroll", "--key", world.device.key, "--san", "DNS:a", "--san", "IP:::1",
        "--username", "u", "--password-file", path "password", "--out", path "d.pem")
      assert.equal(0, result.code, result.err)
      local request = server:requests()[3]
      assert.equal("Basic " .. core.base64.encode "u:secret", request.headers.authorization)
      local csr = est.csr_of(request)
      assert.same({ "DNS:a", "IP:::1" }, csr.san)
      assert.equal("", tostring(csr.subject))
      assert.equal(world.key:public_der(), csr.public_key.der)
    end)

    it("exits with 4 when there is no password, and 6 when there is no server", function()
      server:answer(http(401, { ["WWW-Authenticate"] = 'Basic realm="x"' }))
      assert.equal(4, lest("enroll", device()).code)
      assert.equal(6, shell.lest("enroll", "https://127.0.0.1:1", "--trust", world.root.path,
        device()).code)
    end)

    it("7030-4.2.3-l waits, and says so", function()
      server:answer(est.csrattrs())
      server:answer(http(503, { ["Retry-After"] = "1" }))
      server:answer(est.issued { world.device.cert })
      local result = lest("enroll", "--wait", "10s", "--out", path "d.pem", device())
      assert.equal(0, result.code)
      assert.matches("not available now; trying again in 1 s", result.err, 1, true)
    end)

    it("says for how long the server wants to be left alone", function()
      server:answer(est.csrattrs())
      server:answer(http(503, { ["Retry-After"] = "120" }))
      local result = lest("enroll", "--out", path "d.pem", device())
      assert.equal(5, result.code)
      assert.matches("\nlest enroll: the server asks for a pause of 2m\n", result.err)
    end)

    it("exits with 2 for mistakes on its line, before any traffic", function()
      for _, words in ipairs {
        { "--subject", "CN=x" }, { "--new-key", "ec:P-256", "--subject", "CN=x" },
        { "--csr-key", "a", "--csr", "b" }, { "--csr", "b", "--subject", "CN=x" },
        { "--csr-key", "a" }, { "--csr-key", "a", "--subject", "CN=x", "--username", "u" },
        { "--csr-key", "a", "--subject", "CN=x", "--wait", "soon" },
      } do
        local result = lest("enroll", table.unpack(words))
        assert.equal(2, result.code, table.concat(words, " ") .. result.err)
      end
      for option, words in pairs {
        ["--subject"] = { "--csr-key", world.device.key, "--subject", "nonsense" },
        ["--san"] = { "--csr-key", world.device.key, "--subject", "CN=x", "--san", "DSN:x" },
        ["--new-key"] = { "--new-key", "ec:P-1", "--key-out", path "no.key", "--subject", "CN=x" },
      } do
        local wrong = lest("enroll", table.unpack(words))
        assert.equal(2, wrong.code)
        assert.matches("lest enroll: " .. option .. ": ", wrong.err, 1, true)
      end
      assert.equal(0, #server:wait("tls", 0))
    end)
  end)

  describe("reenroll", function()
    before_each(function()
      shell.run(("cp %s %s"):format(world.device.path, path "device.pem"))
      shell.run(("cp -p %s %s"):format(world.device.key, path "device.key"))
    end)

    local function reenroll(...)
      return lest("reenroll", "--cert", path "device.pem", "--key", path "device.key", "--out",
        path "device.pem", ...)
    end

    it("renews with the same key", function()
      local again = world.pki:issue("again", { by = world.root, same_key = world.device,
        subject = "/CN=device" })
      server:answer(est.csrattrs())
      server:answer(est.issued { again.cert })
      local result = reenroll()
      assert.equal(0, result.code, result.err)
      assert.equal(again.cert, core.cert.load(path "device.pem"))
    end)

    it("renews with a key that is there already", function()
      local other = world.pki:issue("other", { by = world.root, subject = "/CN=device" })
      server:answer(est.csrattrs())
      server:answer(est.issued { other.cert })
      local result = reenroll("--csr-key", other.key)
      assert.equal(0, result.code, result.err)
      assert.equal(other.cert, core.cert.load(path "device.pem"))
      assert.equal(2, reenroll("--csr-key", other.key, "--new-key", "ec:P-256", "--key-out",
        path "x.key").code)
      assert.equal(2, reenroll("--csr-key", path "none.key").code)
    end)

    it("7030-4.2.3-v keeps the old pair until the new one is complete", function()
      local old_key, old_cert = read "device.key", read "device.pem"
      local function try()
        return reenroll("--new-key", "ec:P-256", "--key-out", path "device.key")
      end
      server:answer(est.csrattrs())
      server:answer(http(503, { ["Retry-After"] = "9" }))
      assert.equal(5, try().code)
      assert.same({ old_key, old_cert }, { read "device.key", read "device.pem" })
      local waiting = assert(core.key.load(path "device.key.new"))
      assert.equal("600", mode "device.key.new")
      -- The server answers for the key that is waiting.
      local entity = world.pki:path "waiting"
      assert(core.file.write(entity .. ".key", read "device.key.new"))
      local fresh = world.pki:issue("fresh", { by = world.root, subject = "/CN=device",
        same_key = { key = entity .. ".key" } })
      server:answer(est.csrattrs())
      server:answer(est.issued { fresh.cert })
      local result = try()
      assert.equal(0, result.code, result.err)
      assert.equal(fresh.cert, core.cert.load(path "device.pem"))
      assert.equal(waiting, core.key.load(path "device.key"))
      assert.is_false(core.system.exists(path "device.key.new"))
    end)

    it("finishes what a kill between certificate and key left", function()
      local fresh = world.pki:issue("half", { by = world.root, subject = "/CN=device" })
      shell.run(("cp %s %s"):format(fresh.key, path "device.key.new"))
      shell.run(("cp %s %s"):format(fresh.path, path "device.pem"))
      server:answer(est.csrattrs())
      server:answer(http(403))
      assert.equal(7, reenroll("--new-key", "ec:P-256", "--key-out", path "device.key").code)
      assert.equal(core.key.load(fresh.key), core.key.load(path "device.key"))
    end)

    it("writes over no key", function()
      local old_key = read "device.key"
      for option, words in pairs {
        ["--out and --key"] = { "--out", path "device.key" },
        ["--out and --key-out"] = { "--new-key", "ec:P-256", "--key-out", path "n", "--out",
          path "n" },
        ["--out is the file"] = { "--new-key", "ec:P-256", "--key-out", path "device.key", "--out",
          path "device.key.new" },
        ["--key-out and --cert"] = { "--new-key", "ec:P-256", "--key-out", path "device.pem" },
      } do
        local result = lest("reenroll", "--cert", path "device.pem", "--key", path "device.key",
          table.unpack(words))
        assert.equal(2, result.code, option .. result.err)
        assert.matches(option, result.err, 1, true)
      end
      assert.equal(old_key, read "device.key")
      assert.is_false(core.system.exists(path "device.key.new"))
      assert.equal(0, #server:wait("tls", 0))
    end)

    it("replaces what links lead to, and keeps them", function()
      shell.run(("cd %s && mkdir real && mv device.* real && ln -s real/* ."):format(folder))
      local fresh = world.pki:issue("linked", { by = world.root, subject = "/CN=device" })
      shell.run(("cp %s %s"):format(fresh.key, path "real/device.key.new"))
      server:answer(est.csrattrs())
      server:answer(est.issued { fresh.cert })
      local result = reenroll("--new-key", "ec:P-256", "--key-out", path "device.key")
      assert.equal(0, result.code, result.err)
      assert.equal("real/device.key", shell.capture("readlink " .. path "device.key"))
      assert.equal("real/device.pem", shell.capture("readlink " .. path "device.pem"))
      assert.equal(core.key.load(fresh.key), core.key.load(path "real/device.key"))
      assert.equal(fresh.cert, core.cert.load(path "real/device.pem"))
    end)

    it("wants a certificate and its key, before any traffic", function()
      assert.equal(2, lest("reenroll").code)
      assert.equal(2, lest("reenroll", "--cert", path "device.pem").code)
      assert.equal(0, #server:wait("tls", 0))
    end)
  end)

  it("sends a password at once with --preemptive", function()
    server:answer(est.csrattrs(), 2)
    process.write(path "secret", "p")
    for _, flag in ipairs { "", "--preemptive" } do
      local result = lest("csrattrs", "--username", "u", "--password-file", path "secret",
        flag ~= "" and flag or nil)
      assert.equal(0, result.code, result.err)
    end
    local requests = server:requests()
    assert.is_nil(requests[1].headers.authorization)
    assert.equal("Basic " .. core.base64.encode "u:p", requests[2].headers.authorization)
    assert.equal(2, lest("csrattrs", "--preemptive").code)
  end)

  describe("behind a proxy", function()
    local function ask(proxy)
      local line = shell.line("cacerts", "https://est.example.com", "--trust", world.root.path)
      return shell.run("https_proxy=http://me:secret@127.0.0.1:" .. proxy .. " " .. line)
    end

    it("names it where it does not let the connection through", function()
      for status, words in pairs { [407] = "407 Proxy Authentication Required",
        [403] = "403 Forbidden" } do
        server:on_connect { http(status, {}, ""), "close" }
        local result = ask(server.port)
        assert.equal(6, result.code)
        assert.equal(("lest cacerts: cacerts: est.example.com:443: the proxy 127.0.0.1:%d does not "
          .. "let the connection through: %s\n"):format(server.port, words), result.err)
      end
    end)

    it("names it where it is not there", function()
      local result = ask "1"
      assert.equal(6, result.code)
      assert.equal("lest cacerts: cacerts: est.example.com:443: the proxy 127.0.0.1:1 cannot be "
        .. "reached\n", result.err)
    end)
  end)

  it("has help with an example", function()
    for _, name in ipairs { "cacerts", "csrattrs", "enroll", "reenroll" } do
      local result = shell.lest(name, "--help")
      assert.equal(0, result.code)
      assert.matches("Example:\n  lest " .. name .. " https://", result.out, 1, true)
    end
  end)
end)
