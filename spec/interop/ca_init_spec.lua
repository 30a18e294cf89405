-- `lest ca init` makes a CA that openssl verifies and a server that runs, and replaces nothing.
local ca = require "lest.tool.ca"
local core = require "lest.core"
local hosts = require "lest.base.host"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("lest ca init", function()
  local folder
  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function init(...)
    return shell.lest("ca", "init", folder .. "/pki", ...)
  end

  local function inside(command)
    return shell.run("cd " .. shell.quote(folder .. "/pki") .. " && " .. command)
  end

  local function verify(options)
    return inside("openssl verify -x509_strict " .. options .. " -CAfile ca.pem server.pem").code
  end

  it("writes what openssl verifies, keys for their owner alone, and nothing else", function()
    local result = init("--name", "Test CA", "--host", "est.example.com", "--host", "192.0.2.7",
      "--host", "[2001:db8::1]", "--tls-files")
    assert.equal("", result.err)
    assert.equal(0, result.code)
    assert.equal("ca.key 600\nca.pem 644\ncmc.key 600\ncmc.pem 644\n"
      .. "ledger 700\npolicy.lua 644\nserver.key 600\nserver.lua 644\nserver.pem 644\n",
      inside("stat -c '%n %a' * | LC_ALL=C sort").out)
    assert.equal(0, verify "-purpose sslserver -verify_hostname est.example.com")
    assert.equal(0, verify "-verify_ip 2001:db8::1")
    assert.equal(0, verify "-verify_ip 192.0.2.7")
    assert.not_equal(0, verify "-verify_hostname localhost")
    for _, name in ipairs { "ca", "server", "cmc" } do
      assert.equal(inside("openssl pkey -pubout -in " .. name .. ".key").out,
        inside("openssl x509 -noout -pubkey -in " .. name .. ".pem").out)
    end
    local root = inside("openssl x509 -noout -text -in ca.pem").out
    assert.matches("Subject: CN ?= ?Test CA\n", root)
    assert.matches("CA:TRUE, pathlen:1", root)
    assert.matches("Certificate Sign, CRL Sign", root)
    assert.matches("NIST CURVE: P%-256", root)
    local server = inside("openssl x509 -noout -text -in server.pem").out
    assert.matches("CA:FALSE", server)
    assert.matches("TLS Web Server Authentication\n", server)
    assert.not_matches("TLS Web Client Authentication", server)
  end)

  it("6402-2.9-a makes who answers messages of CMC, by the name of the CA", function()
    init("--name", "Test CA")
    local cmc = inside("openssl x509 -noout -text -in cmc.pem").out
    assert.matches("Subject: CN ?= ?Test CA\n", cmc)
    assert.matches("X509v3 Extended Key Usage: *\n *CMC Certificate Authority\n", cmc)
    assert.matches("CA:FALSE", cmc)
    assert.matches("X509v3 Key Usage: critical\n *Digital Signature\n", cmc)
    assert.matches("cmc.pem: OK", inside("openssl verify -CAfile ca.pem cmc.pem").out)
  end)

  it("lets the CA live ten years and the server's certificate in files one", function()
    assert.equal(0, init("--tls-files").code)
    local now = os.time()
    for name, years in pairs { ca = 10, server = 1 } do
      local cert = assert(core.cert.load(folder .. "/pki/" .. name .. ".pem"))
      assert.is_true(math.abs(cert.not_after - now - years * 365.25 * 86400) < 3 * 86400)
      assert.is_true(cert.not_before <= now)
    end
  end)

  it("names this machine unless told otherwise, in the certificate that the server renews",
    function()
      assert.equal(0, init().code)
      local config = assert(require("lest.server.config.load").load(folder .. "/pki/server.lua"))
      local names = " " .. table.concat(config.tls.auto.names, " ") .. " "
      for _, name in ipairs { " localhost ", " 127.0.0.1 ", " ::1 " } do
        assert.is_truthy(names:find(name, 1, true), name)
      end
      local own = core.system.host_name()
      assert.is_truthy(hosts.san(own) == nil or names:find(" " .. own .. " ", 1, true))
      assert.equal("ca.key\nca.pem\ncmc.key\ncmc.pem\nledger\npolicy.lua\nserver.lua\n",
        inside("ls").out)
    end)

  it("prints the CA's fingerprint and the next commands", function()
    local result = init("--host", "est.example.com")
    local printed = result.out:match "fingerprint: (%x[%x:]+)"
    local expected = inside("openssl x509 -noout -fingerprint -sha256 -in ca.pem").out
    assert.equal(expected:match "=(%x[%x:]+)", printed)
    assert.is_truthy(result.out:find("lest serve " .. folder .. "/pki/server.lua", 1, true))
    assert.is_truthy(result.out:find("lest enroll https://est.example.com:8443 --trust", 1, true))
  end)

  it("prints JSON when asked", function()
    local value = require("cjson").decode(init("--json").out)
    assert.equal(core.cert.load(folder .. "/pki/ca.pem").fingerprint, value.fingerprint)
  end)

  it("replaces nothing: all or nothing", function()
    os.execute("mkdir " .. folder .. "/pki")
    for _, name in ipairs { "ca.key", "server.lua", "ledger" } do
      temporary.file(folder .. "/pki", name, "mine")
      local result = init()
      assert.equal(1, result.code)
      assert.is_truthy(result.err:find("has " .. name .. " already; nothing was written", 1, true))
      assert.equal(name .. "\n", inside("ls").out)
      assert.equal("mine", core.file.read(folder .. "/pki/" .. name))
      os.remove(folder .. "/pki/" .. name)
    end
    assert.equal(0, init().code)
    local before = inside("sha256sum *.*").out
    assert.equal(1, init().code)
    assert.equal(before, inside("sha256sum *.*").out)
  end)

  it("leaves nothing behind where it cannot write", function()
    -- SIGXFSZ is ignored, so that a write gives EFBIG.
    local line = shell.line("ca", "init", folder .. "/a/b")
    local result = shell.run("(trap '' XFSZ; ulimit -f 0; " .. line .. ") 2>&1 | cat")
    assert.matches("nothing was written", result.out)
    assert.equal("", shell.run("ls -A " .. folder).out)
  end)

  it("says what is wrong with a name", function()
    for _, host in ipairs { "est example", "-", "a..b", "1.2.3", "1.2.3.400", "[::zz]", "a/b" } do
      local result = init("--host=" .. host)
      assert.equal(2, result.code, host)
      assert.matches("is neither a host name nor an address", result.err)
    end
    for _, name in ipairs { "", ("x"):rep(65) } do
      local result = init("--name", name)
      assert.equal(2, result.code)
      assert.matches("^lest ca init: name: the value of CN has %d+ characters", result.err)
    end
    assert.equal("", shell.run("ls -A " .. folder).out)
  end)

  it("makes the folders that are missing, and quotes odd names", function()
    local odd = folder .. "/a b/it's"
    local result = shell.lest("ca", "init", odd .. "/")
    assert.equal(0, result.code)
    assert.is_truthy(result.out:find("'" .. folder .. "/a b/it'\\''s/server.lua'", 1, true))
    assert.is_true(core.system.exists(odd .. "/server.lua"))
  end)

  it("writes a configuration and a policy that are accepted", function()
    assert.equal(0, init().code)
    local config = assert(require("lest.server.config.load").load(folder .. "/pki/server.lua"))
    assert.equal(folder .. "/pki/ledger/ledger.db", config.ledger)
    assert.equal("principal", config.profiles.device.names)
    local policy = assert(require("lest.server.worker.hooks").load(config.labels.default.policy))
    assert.is_function(policy.hooks.enroll)
    assert.is_function(policy.hooks.reenroll)
  end)

  it("writes the same for a server that is not started as root, but for the accounts", function()
    local made = assert(ca.init(folder .. "/pki", { hosts = { "localhost" } }))
    assert.equal(64, #made.fingerprint)
    local config = assert(require("lest.server.config.load").load(folder .. "/pki/server.lua"))
    assert.is_nil(config.user)
    assert.is_nil(config.authority_user)
  end)

  it("prefers accounts that are nobody else's", function()
    assert.same({ user = "lest", authority_user = "lest-ca" }, ca.accounts(function(name)
      return name == "lest" or name == "lest-ca"
    end))
    for _, only in ipairs { "lest", "lest-ca" } do
      local accounts = ca.accounts(function(name) return name == only end)
      assert.is_true(accounts.shared)
      for _, role in ipairs { "user", "authority_user" } do
        assert.is_true(core.system.has_account(accounts[role]))
      end
    end
    assert.is_false(core.system.has_account "no-such-account")
  end)

  it("writes what `lest serve` finds in its folder without being told", function()
    assert.equal(0, init("--host", "localhost").code)
    for _, words in ipairs { "serve --check", "serve --config server.lua --check" } do
      local check = inside(shell.binary .. " " .. words)
      assert.equal("", check.err)
      assert.equal("ok\n", check.out)
    end
    assert.equal(2, inside(shell.binary .. " serve server.lua --config server.lua --check").code)
  end)

  it("is not touched by `lest serve --check`", function()
    assert.equal(0, init("--host", "localhost").code)
    local list = "find . -printf '%p %u %m %s %T@\\n' | sort"
    local before = inside(list).out
    assert.equal("ok\n", inside(shell.binary .. " serve --check").out)
    assert.equal(before, inside(list).out)
    inside "rm -r ledger"
    local check = inside(shell.binary .. " serve --check")
    assert.equal(2, check.code)
    assert.matches("^lest serve: ledger: [^\n]*there is no ledger[^\n]*lest ledger init[^\n]*\n$",
      check.err)
    assert.equal("", inside("ls -d ledger 2>/dev/null").out)
    inside "sed 's#ledger/ledger.db#no/such/ledger.db#' server.lua > wrong.lua"
    check = inside(shell.binary .. " serve wrong.lua --check")
    assert.equal(2, check.code)
    assert.matches("^lest serve: ledger: [^\n]*no/such[^\n]*there is no ledger[^\n]*\n$",
      check.err)
  end)

  it("has files of which `lest serve --check` names the key that is wrong", function()
    assert.equal(0, init("--host", "localhost", "--tls-files").code)
    for key, edit in pairs {
      ["anchors.own"] = 's/own = "ca.pem"/own = "ca.key"/', ["ca.key"] = 's/"ca.key"/"x.key"/',
      ["tls.cert"] = 's/"server.pem"/"x.pem"/', ["labels.default.policy"] = 's/policy.lua/x.lua/',
    } do
      inside("sed '" .. edit .. "' server.lua > wrong.lua")
      local check = inside(shell.binary .. " serve wrong.lua --check")
      assert.equal(2, check.code)
      assert.matches("^lest serve: " .. key .. ": [^\n]*\n$", check.err)
    end
    inside "echo 'return {' > policy.lua"
    local check = inside(shell.binary .. " serve --check")
    assert.equal(2, check.code)
    assert.matches("^lest serve: labels.default.policy: [^\n]*policy.lua:2: [^\n]*\n$", check.err)
  end)

  if core.system.user_id() == 0 then
    it("as root, makes what serves also where others cannot enter", function()
      assert.equal(0, init("--host", "localhost").code)
      os.execute("chmod 700 " .. folder .. " " .. folder .. "/pki")
      local config = folder .. "/pki/server.lua"
      assert.equal(0, shell.lest("credential", "add", "device001", "--config", config).code)
      local check = shell.lest("serve", "--check", config)
      assert.equal("", check.err)
      assert.equal(0, check.code)
      local list = shell.lest("credential", "list", "--config", config)
      assert.matches("device001", list.out)
    end)

    it("as root, says how to have accounts of one's own where it uses others'", function()
      local result = init()
      local config = assert(require("lest.server.config.load").load(folder .. "/pki/server.lua"))
      local accounts = ca.accounts()
      assert.same({ accounts.user, accounts.authority_user },
        { config.user, config.authority_user })
      assert.equal(accounts.shared, result.out:find("adduser --system", 1, true) and true)
    end)

    it("as root, gives the ledger's folder to the account that the authority becomes", function()
      assert.equal(0, init().code)
      local config = assert(require("lest.server.config.load").load(folder .. "/pki/server.lua"))
      assert.equal(config.authority_user, inside("stat -c %U ledger").out:match "%S+")
      assert.not_equal(config.user, config.authority_user)
      assert.equal("root\n", inside("stat -c %U ca.key").out)
    end)
  end
end)

describe("lest ca server-cert", function()
  local folder, pki, old, old_key

  local function cert() return assert(core.cert.load(pki .. "/server.pem")) end
  local function key(passphrase)
    return assert(core.key.load(pki .. "/server.key", { passphrase = passphrase }))
  end

  before_each(function()
    folder = temporary.folder()
    pki = folder .. "/pki"
    assert.equal(0, shell.lest("ca", "init", pki, "--host", "est.example.com", "--host",
      "192.0.2.7", "--tls-files").code)
    old, old_key = cert(), key()
  end)
  after_each(temporary.clean)

  local function renew(...)
    return shell.lest("ca", "server-cert", pki, ...)
  end

  local function mode(name) return shell.run("stat -c %a " .. pki .. "/" .. name).out end

  it("makes one for the same hosts and key, which openssl verifies", function()
    local result = renew()
    assert.equal("", result.err)
    assert.matches("^Server certificate for: est.example.com, 192.0.2.7, until ", result.out)
    assert.matches("SIGHUP", result.out)
    local new = cert()
    assert.not_equal(old.serial, new.serial)
    assert.same({ old.san, old.subject_der, old.public_key.der }, { new.san, new.subject_der,
      new.public_key.der })
    assert.equal(old_key, key())
    assert.equal(0, shell.run(("cd %s && openssl verify -x509_strict -purpose sslserver -CAfile "
      .. "ca.pem -verify_hostname est.example.com server.pem"):format(pki)).code)
    assert.equal("644\n", mode "server.pem")
  end)

  it("makes one for other hosts, or with a new key, where asked", function()
    assert.equal(0, renew("--host", "[::1]", "--new-key", "ec:P-384").code)
    assert.same({ "IP:::1" }, cert().san)
    assert.equal(key():public_der(), cert().public_key.der)
    assert.equal("ec:P-384", key().type)
    assert.equal("600\n", mode "server.key")
    assert.is_false(core.system.exists(pki .. "/server.key.new"))
    local told = require("cjson").decode(renew("--json").out)
    assert.same({ cert().serial, "ec:P-384", { "::1" } }, { told.serial, told.key_type,
      told.hosts })
  end)

  it("finishes what a run that was stopped between certificate and key has left", function()
    os.rename(pki .. "/server.key", pki .. "/old.key")
    assert.equal(0, shell.run(("cp %s/old.key %s/server.key"):format(pki, pki)).code)
    assert.equal(0, renew("--new-key", "ec:P-256").code)
    local new = key()
    os.rename(pki .. "/server.key", pki .. "/server.key.new")
    os.rename(pki .. "/old.key", pki .. "/server.key")
    assert.equal(0, renew().code)
    assert.equal(new, key())
    assert.equal(new:public_der(), cert().public_key.der)
    assert.is_false(core.system.exists(pki .. "/server.key.new"))
  end)

  it("changes nothing where anything is wrong, and says what", function()
    local before = shell.run("cd " .. pki .. " && sha256sum *.*").out
    local function refused(problem, ...)
      local result = renew(...)
      assert.not_equal(0, result.code)
      assert.matches(problem, result.err, 1, true)
    end
    refused("'a b' is neither a host name nor an address", "--host", "a b")
    refused("--new-key: no kind of key is called 'P-256', did you mean 'ec:P-256'?", "--new-key",
      "P-256")
    shell.run(("ln -s /dev/full %s/server.key.new"):format(pki))
    refused("server.key.new: ", "--new-key", "ec:P-256")
    os.remove(pki .. "/server.key.new")
    assert.equal(before, shell.run("cd " .. pki .. " && sha256sum *.*").out)
    assert(key():save(pki .. "/server.key", { passphrase = "secret" }))
    refused("server.key: the key is encrypted and needs a passphrase: --passphrase-file FILE")
    local phrase = temporary.file(folder, "phrase", "secret\n")
    assert.equal(0, renew("--passphrase-file", phrase, "--new-key", "ec:P-256").code)
    assert.equal(cert().public_key.der, key "secret":public_der())
    assert.equal(0, shell.lest("ca", "init", folder .. "/other", "--tls-files").code)
    assert.equal(0, shell.lest("ca", "init", folder .. "/third", "--name", "Third",
      "--tls-files").code)
    shell.run(("cp %s/third/server.* %s/other"):format(folder, folder))
    pki = folder .. "/other"
    refused("server.pem is not of this CA, but of CN=Third")
  end)

  it("is of the key that signs while that of the CA changes, and has the link along", function()
    shell.run(("cp %s/ca.pem %s/old.pem"):format(pki, folder))
    for _, step in ipairs { "begin", "switch" } do
      local result = shell.lest("ca", "rollover", pki, step, step == "switch" and "--now" or nil)
      assert.equal(0, result.code, result.err)
    end
    assert.equal(0, renew().code)
    assert.equal(assert(core.cert.load(pki .. "/ca.pem")).ski, cert().aki)
    assert.equal(1, #cert().chain)
    shell.run(("openssl x509 -in %s/ca.pem -out %s/new.pem"):format(pki, folder))
    for _, root in ipairs { "old", "new" } do
      assert.equal(0, shell.run(("openssl verify -x509_strict -CAfile %s/%s.pem -untrusted "
        .. "%s/server.pem %s/server.pem"):format(folder, root, pki, pki)).code)
    end
  end)
end)
