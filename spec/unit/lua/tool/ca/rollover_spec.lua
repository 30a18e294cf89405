-- The steps of `lest ca rollover`, stopped before each of their writes: what is in the folder is a
-- CA that can be served, and the step can be run again.
local ca = require "lest.tool.ca"
local core = require "lest.core"
local generations = require "lest.tool.ca.generations"
local pki = require "support.pki"
local process = require "support.process"
local rollover = require "lest.tool.ca.rollover"
local temporary = require "support.temporary"

local DAY <const> = 86400

describe("a rollover", function()
  local folder
  before_each(function()
    folder = temporary.folder() .. "/pki"
    assert(ca.init(folder, { hosts = { "localhost" }, name = "Rolling" }))
  end)
  after_each(temporary.clean)

  local function read() return assert(generations.read(folder)) end

  -- Everything by which the first certificate of ca.pem is one that signs with a key of ca.key.
  local function is_whole()
    local state = read()
    local issuer <close> = assert(core.issuer.new(state.signing))
    return issuer ~= nil and state
  end

  --- Run a step that is killed before its n-th write; whether it was.
  local function killed_before(n, step, options)
    local write, count = core.file.write, 0
    core.file.write = function(...)
      count = count + 1
      if count == n then error("killed", 0) end
      return write(...)
    end
    local ok, result, err = pcall(rollover[step], folder, options or {})
    core.file.write = write
    if ok then assert(result, err) end
    return not ok
  end

  it("survives its end before each write, and is finished by the same step again", function()
    -- What is done already is not written again: the second end of `finish` is before its third.
    for _, case in ipairs { { "begin", { { 1, "none" }, { 2, "asked" } }, "begun" },
      { "switch", { { 1, "begun" } }, "switched" },
      { "finish", { { 1, "switched" }, { 2, "switched" }, { 2, "finishing" } }, "none" } } do
      local step, stops, last = table.unpack(case)
      for _, stop in ipairs(stops) do
        assert.is_true(killed_before(stop[1], step), step .. stop[1])
        assert.equal(stop[2], is_whole().step, step .. stop[1])
      end
      assert.is_false(killed_before(9, step))
      assert.equal(last, is_whole().step)
    end
  end)

  it("takes back each step but the last, also where it was stopped", function()
    local before = read().signing
    assert.is_true(killed_before(2, "begin"))
    assert.equal("none", assert(rollover.abort(folder, {})).step)
    assert(rollover.begin(folder, {}))
    assert(rollover.switch(folder, {}))
    assert.is_true(killed_before(1, "abort"))
    assert.equal("switched", is_whole().step)
    assert.equal("begun", assert(rollover.abort(folder, {})).step)
    assert.is_true(killed_before(2, "abort"))
    assert.equal("asked", is_whole().step)
    assert.equal("none", assert(rollover.abort(folder, {})).step)
    assert.is_true(read().signing.cert == before.cert and read().signing.key == before.key)
    assert.equal(1, #assert(core.cert.load_all(folder .. "/ca.pem")))
    assert(rollover.begin(folder, {}))
    assert(rollover.switch(folder, {}))
    assert.is_true(killed_before(3, "finish"))
    local state, err = rollover.abort(folder, {})
    assert.is_nil(state)
    assert.matches("cannot be taken back", err.message)
    assert.equal("none", assert(rollover.finish(folder, {})).step)
  end)

  it("makes a root of the same name and links, and retires the old key everywhere", function()
    local old = read().signing
    local state = assert(rollover.begin(folder, { kind = "ec:P-384", lifetime = 100 * DAY }))
    assert.equal(old.cert.subject_der, state.new.cert.subject_der)
    assert.equal("ec:P-384", state.new.key.type)
    assert.equal(1, state.new.cert.path_len)
    assert.is_true(math.abs(state.new.cert.not_after - os.time() - 100 * DAY) < 300)
    assert.equal(2, #state.links)
    assert.same({}, require("lest.base.rollover").missing(assert(core.cert.load_all(folder
      .. "/ca.pem"))))
    for _, cert in ipairs(state.links) do
      assert.is_nil(require("lest.base.rollover").fault(cert, assert(core.cert.load_all(folder
        .. "/ca.pem"))))
    end
    assert(rollover.switch(folder, {}))
    state = assert(rollover.finish(folder, {}))
    assert.equal(1, #assert(core.key.load_all(folder .. "/ca.key")))
    assert.is_true(state.signing.key ~= old.key)
    local certs = assert(core.cert.load_all(folder .. "/ca.pem"))
    assert.equal(2, #certs)
    for _, cert in ipairs(certs) do
      assert.equal(state.signing.cert.public_key.der, cert.public_key.der)
    end
    assert.equal(state.signing.cert.ski, assert(core.cert.load(folder .. "/cmc.pem")).aki)
    assert.matches("^600", pki.sh("stat -c %a " .. folder .. "/ca.key"))
  end)

  it("refuses what comes too early or too late, and what certificates still need", function()
    local function refused(step, options, words)
      local state, err = rollover[step](folder, options)
      assert.is_nil(state)
      assert.matches(words, err.message)
    end
    local function live(of)
      return { live = function(issuer)
        local hash = core.secret.sha256(of:public_der())
        if issuer == hash then return 3, os.time() + DAY end
        return 0
      end }
    end
    for _, step in ipairs { "switch", "finish", "abort" } do
      refused(step, {}, "no rollover has begun")
    end
    refused("begin", { cert = "x.pem" }, "a root signs itself")
    local begun = assert(rollover.begin(folder, {}))
    refused("begin", {}, "a rollover has begun")
    refused("finish", {}, "comes after `switch`")
    refused("abort", live(begun.new.key), "the new key has 3 certificates still good")
    assert(rollover.switch(folder, {}))
    refused("switch", {}, "the new key signs already")
    refused("finish", live(begun.old.key), "the old key has 3 certificates still good")
    assert.equal("switched", read().step)
    local options = live(begun.old.key)
    options.force = true
    assert.equal("none", assert(rollover.finish(folder, options)).step)
  end)

  it("is not finished where nobody knows what certificates still need", function()
    assert(os.remove(folder .. "/server.lua"))
    assert(rollover.begin(folder, {}))
    assert(rollover.switch(folder, {}))
    for _, step in ipairs { "finish", "abort" } do
      if step == "abort" then assert(rollover.abort(folder, {})) end
      local code, _, err = process.run { process.lest, "ca", "rollover", folder, step }
      assert.equal(2, code)
      assert.matches("is not known without %-%-config", err)
    end
    assert.equal("begun", is_whole().step)
  end)

  it("leaves no key in what a death has left of a write", function()
    assert(rollover.begin(folder, {}))
    for _, name in ipairs { "ca.key.lest-a1b2c3", "ca.pem.lest-a1b2c3" } do
      process.must { "cp", folder .. "/ca.key", folder .. "/" .. name }
    end
    assert(rollover.abort(folder, {}))
    for _, name in ipairs(core.system.entries(folder)) do
      assert.is_nil(name:find(".lest-", 1, true), name)
    end
  end)

  it("is made by one at a time", function()
    local words = { process.lest, "ca", "rollover", folder }
    local function run(step) return process.run(table.move({ step, "--now" }, 1, 2, 5, words)) end
    do
      local lock <close> = assert(core.folder.lock(folder .. "/" .. rollover.LOCK))
      assert.is_not_nil(lock)
      for _, step in ipairs { "begin", "switch", "finish", "abort" } do
        local code, _, err = run(step)
        assert.equal(5, code)
        assert.matches("another `lest ca rollover` works there", err)
      end
      assert.equal(0, run "status")
    end
    assert.matches("^600 ", pki.sh("stat -c '%a %n' " .. folder .. "/" .. rollover.LOCK))
    for _, step in ipairs { "begin", "switch", "abort", "abort" } do
      local codes = pki.sh(([[for i in 1 2 3 4; do (%s ca rollover %s %s --now --force \
        >/dev/null 2>&1; echo $?) & done; wait]]):format(process.lest, folder, step))
      local _, good = codes:gsub("%f[%d]0%f[%D]", "")
      -- Of `abort` two may follow each other.
      assert.is_true(good == 1 or step == "abort" and good <= 2, step .. codes)
      assert.is_not_nil(is_whole())
      if good == 2 then break end
    end
  end)

  it("keeps the text of keys, and takes none that signs already", function()
    local key = pki.read(folder .. "/ca.key")
    local traditional = pki.sh("openssl ec -aes128 -passout pass:secret -in " .. folder
      .. "/ca.key"):match "%-%-%-.*"
    assert.matches("Proc%-Type: 4,ENCRYPTED\n.-\n\n", traditional)
    temporary.file(folder, "ca.key", "# of 2026\n" .. traditional)
    for _, step in ipairs { "begin", "abort" } do
      assert(rollover[step](folder, { passphrase = "secret" }))
      assert.equal(traditional, pki.read(folder .. "/ca.key"):sub(1, #traditional))
    end
    temporary.file(folder, "ca.key", key)
    local function refused(words, ...)
      local code, _, err = process.run { process.lest, "ca", "rollover", folder, "begin", ... }
      assert.equal(2, code)
      assert.matches(words, err, 1, true)
    end
    refused("is the URI of a key in hardware", "--next-key", folder .. "/ca.key")
    refused("not in the URI", "--next-key", "pkcs11:object=x;pin-value=1234")
    refused("for a key that is made", "--next-key", "pkcs11:object=x", "--new-key", "ed25519")
    assert.equal(key, pki.read(folder .. "/ca.key"))
  end)

  it("keeps keys that are encrypted so", function()
    local key = assert(core.key.load(folder .. "/ca.key"))
    assert(key:save(folder .. "/ca.key", { passphrase = "secret" }))
    local _, err = rollover.begin(folder, {})
    assert.equal("key_passphrase", err.code)
    for _, step in ipairs { "begin", "switch", "finish" } do
      assert(rollover[step](folder, { passphrase = "secret" }))
      local text = pki.read(folder .. "/ca.key")
      assert.is_nil(text:find("BEGIN PRIVATE", 1, true))
    end
    assert.is_true(assert(core.key.load(folder .. "/ca.key", { passphrase = "secret" })) ~= key)
  end)

  it("asks the CA above for the next one, and checks the answer", function()
    local above <close> = pki.new()
    local root = above:root "root"
    local first = above:sub("first", { by = root, subject = "/CN=Issuing" })
    pki.sh(("cat %s %s >%s/ca.pem; cp %s %s/ca.key"):format(first.path, root.path, folder,
      first.key, folder))
    local state = assert(rollover.begin(folder, {}))
    assert.equal("asked", state.step)
    assert.equal("asked", assert(rollover.begin(folder, {})).step)
    local function answer(name, by, how)
      local path = above:path(name .. ".answer")
      pki.write(above:path "ext", how and how.ext or "basicConstraints = critical,CA:TRUE\n")
      pki.sh(("openssl x509 -req -in %s -CA %s -CAkey %s -CAcreateserial -days 30 -extfile %s -out "
        .. "%s %s"):format(folder .. "/ca.csr", by.path, by.key, above:path "ext", path,
        how and how.options or ""))
      return path
    end
    local function refused(path, words)
      local result, err = rollover.begin(folder, { cert = path })
      assert.is_nil(result)
      assert.matches(words, tostring(err))
      assert.equal("asked", read().step)
    end
    refused(first.path, "no certificate of the key in")
    refused(answer("stranger", above:root "stranger"), "no CA that is known here vouches for it")
    refused(answer("leaf", root, { ext = "basicConstraints = critical,CA:FALSE\n" }), "not a CA")
    state = assert(rollover.begin(folder, { cert = answer("good", root) }))
    assert.equal("begun", state.step)
    assert.same({}, state.links)
    assert.is_false(core.system.exists(folder .. "/ca.csr"))
    assert.equal("switched", assert(rollover.switch(folder, {})).step)
    state = assert(rollover.finish(folder, {}))
    assert.equal(2, #assert(core.cert.load_all(folder .. "/ca.pem")))
    assert.is_true(state.rest[1] == root.cert)
  end)
end)
