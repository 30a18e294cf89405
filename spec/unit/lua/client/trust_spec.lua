-- Which root of /cacerts becomes an anchor: each condition by itself keeps a stranger's out
-- (RFC 7030 4.1.3, RFC 4210 4.4, RFC 8649).
local core = require "lest.core"
local pki = require "support.pki"
local temporary = require "support.temporary"
local trust = require "lest.client.trust"

describe("what a client learns from /cacerts", function()
  local made, old, new, link

  setup(function()
    made = pki.new()
    old = made:root("old", { subject = "/CN=Root" })
    new = made:root("new", { subject = "/CN=Root", days = 60 })
    link = made:sub("link", { by = old, subject = "/CN=Root", same_key = new })
  end)
  teardown(temporary.clean)

  local function open(take_root)
    return assert(trust.open({ old.cert }, take_root))
  end

  local function certs_of(entities)
    local certs = {}
    for i, entity in ipairs(entities) do certs[i] = entity.cert end
    return certs
  end

  local function learn(...)
    local found = assert(open():learn(certs_of { ... }))
    local untrusted = {}
    for _, each in ipairs(found.untrusted) do untrusted[each.cert.fingerprint] = true end
    return found, untrusted
  end

  --- The root is no anchor, and what it issues is not believed, whatever comes with it.
  local function refuses(root, ...)
    local found, untrusted = learn(old, root, ...)
    assert.equal(old.cert, found.root)
    assert.is_true(untrusted[root.cert.fingerprint])
  end

  it("7030-4.1.3-h is a new root, and what is issued under it, where the old one vouches for it",
    function()
    local found = learn(old, new, link)
    assert.equal(new.cert, found.root)
    assert.same({}, found.untrusted)
    local client = open()
    local leaf = made:issue("leaf-of-new", { by = new })
    assert.is_nil((client:verify(leaf.cert)))
    assert(client:learn(certs_of { old, new, link }))
    assert.is_table(client:verify(leaf.cert))
  end)

  it("is the newer one by its link, whatever the dates say", function()
    local short = made:root("short", { subject = "/CN=Root", days = 10 })
    local found = learn(old, short,
      made:sub("short-link", { by = old, subject = "/CN=Root", same_key = short, days = 9 }))
    assert.equal(short.cert, found.root)
  end)

  it("7030-4.1.3-o is none where nothing vouches", function()
    refuses(new)
  end)

  it("is none whose link is itself not vouched for", function()
    local stranger = made:root "stranger"
    refuses(new, made:sub("strange-link", { by = stranger, subject = "/CN=Root", same_key = new }),
      stranger)
    refuses(new, made:sub("late-link",
      { by = old, subject = "/CN=Root", same_key = new, days = -1 }))
  end)

  it("is none whose link is no CA: a device's key makes no root", function()
    local device = made:issue("device", { by = old, subject = "/CN=device" })
    refuses(made:root("of-device", { subject = "/CN=device", same_key = device }), device)
  end)

  it("is none with the name of the link alone, or the key of it alone", function()
    refuses(made:root("of-name", { subject = "/CN=Root" }), link)
    refuses(made:root("of-key", { subject = "/CN=Else", same_key = new }), link)
  end)

  it("is none that does not hold now", function()
    refuses(made:root("over", { subject = "/CN=Root", same_key = new, days = -1 }), link)
  end)

  it("is none that is no CA itself, or that another has signed", function()
    refuses(made:root("leaf", { subject = "/CN=Root", same_key = new,
      ext = "basicConstraints = critical,CA:FALSE\n" }), link)
    local stranger = made:root "elsewhere"
    refuses(made:sub("signed", { by = stranger, subject = "/CN=Root", same_key = new }), link)
  end)

  it("is none for the anchor's own key: that is a link to nothing", function()
    refuses(made:root("again", { subject = "/CN=Root", same_key = old, days = 90 }))
  end)

  describe("by the hash of its key", function()
    local FORMS <const> = { "302f300b0609608648016503040201" .. "0420",
      "3031300d06096086480165030402010500" .. "0420" }

    -- A root that announces the key of another.
    local function announcing(name, next, form, how)
      how = how or {}
      how.subject = how.subject or "/CN=" .. name
      how.more = ("1.3.6.1.4.1.51483.2.1 = DER:%s%s"):format(FORMS[form or 1],
        core.secret.sha256(next.cert.public_key.der))
      return made:root(name, how)
    end

    local function learn_from(anchor, ...)
      local client = assert(trust.open { anchor.cert })
      local found, err = client:learn(certs_of { ... })
      return found, err, client
    end

    it("8649-2-a is a root that the one before has announced, of whatever name", function()
      local second = made:root("second", { days = 60 })
      for form = 1, 2 do
        local first = announcing("first" .. form, second, form)
        local found, _, client = learn_from(first, second)
        assert.equal(second.cert, found.root)
        assert.same({}, found.untrusted)
        assert.is_table(client:verify(made:issue("of-second" .. form, { by = second }).cert))
      end
    end)

    it("8649-2-a is the one after that, too, in any order", function()
      local third = made:root("third", { days = 90 })
      local middle = announcing("middle", third, 1, { days = 60 })
      local first = announcing("first-of-three", middle)
      for _, bag in ipairs { { middle, third, first }, { third, first, middle } } do
        local found = learn_from(first, table.unpack(bag))
        assert.equal(third.cert, found.root)
        assert.equal(3, #found)
      end
    end)

    it("8649-2-a is none whose key is another, or that an anchor does not announce", function()
      local second, other = made:root "announced", made:root "not-announced"
      local first = announcing("announcer", second)
      local found = assert(learn_from(first, first, other))
      assert.equal(first.cert, found.root)
      assert.equal(other.cert, found.untrusted[1].cert)
      -- What a stranger announces is nothing.
      local stranger = announcing("strange-announcer", other)
      found = assert(learn_from(first, first, stranger, other))
      assert.equal(2, #found.untrusted)
    end)

    it("8649-2-a is none that is no root, or does not hold now, or an intermediate announces",
      function()
      local key = made:root "of-that-key"
      local first = announcing("announcing-all", key)
      for _, root in ipairs { made:root("over-now", { same_key = key, days = -1 }),
        made:root("no-ca", { same_key = key, ext = "basicConstraints = critical,CA:FALSE\n" }),
        made:sub("not-its-own", { by = made:root "elsewhere2", same_key = key }) } do
        local found = assert(learn_from(first, first, root))
        assert.equal(root.cert, found.untrusted[1].cert)
      end
      local above = made:root "above"
      local sub = made:sub("announcing-sub", { by = above,
        more = ("1.3.6.1.4.1.51483.2.1 = DER:%s%s"):format(FORMS[1],
          core.secret.sha256(key.cert.public_key.der)) })
      local found = assert(learn_from(above, above, sub, key))
      assert.equal(key.cert, found.untrusted[1].cert)
      found = assert(learn_from(sub, sub, key))
      assert.equal(key.cert, found.untrusted[1].cert)
    end)
  end)

  describe("on the connection's word", function()
    local late, later, sub

    setup(function()
      late, later = made:root("late", { days = 40 }), made:root("later", { days = 50 })
      sub = made:sub("sub", { by = later, days = 70 })
    end)

    it("7030-4.1.3-i is the newest root of the first bag, and only that", function()
      local leaf = made:root("no-ca", { days = 80, ext = "basicConstraints = critical,CA:FALSE\n" })
      for _, bag in ipairs { { late, later, sub, leaf }, { leaf, sub, later, late } } do
        local client = open(true)
        local found = assert(client:learn(certs_of(bag)))
        assert.equal(later.cert, found.root)
        assert.same({ 2, 2 }, { #found, #found.untrusted })
        assert.is_table(client:verify(sub.cert))
        assert.is_nil((client:verify(late.cert)))
      end
    end)

    it("is none of a later bag", function()
      local client = open(true)
      assert(client:learn(certs_of { old, late }))
      local found = assert(client:learn(certs_of { old, late, later }))
      assert.equal(1, #found.untrusted)
      assert.equal(later.cert, found.untrusted[1].cert)
      assert.is_nil((client:verify(later.cert)))
    end)

    it("is none unless that was asked for", function()
      local found = assert(open():learn(certs_of { old, later }))
      assert.equal(old.cert, found.root)
      assert.equal(1, #found.untrusted)
    end)

    it("is none that is over", function()
      local client = open(true)
      local over = made:root("newest-over", { days = -1 })
      local found, err = client:learn(certs_of { over })
      assert.is_nil(found)
      assert.equal("trust", err.code)
      assert.is_nil((client:verify(over.cert)))
    end)
  end)

  it("is nothing where none of it chains, and then stays as it was", function()
    local client = open()
    assert(client:learn(certs_of { old }))
    local found, err = client:learn(certs_of { made:root "alone" })
    assert.is_nil(found)
    assert.equal("trust", err.code)
    assert.same({ old.cert }, client.bag)
    assert.is_nil((client:learn {}))
    found, err = trust.open {}
    assert.is_nil(found)
    assert.equal("usage", err.code)
  end)

  it("7030-4.1.1-g is by fingerprint a root, and never a certificate below one", function()
    local certs = certs_of { link, new, old }
    assert.equal(old.cert, trust.by_fingerprint(certs, old.cert.fingerprint))
    for _, cert in ipairs { link.cert, made:root("single",
      { ext = "basicConstraints = critical,CA:FALSE\n" }).cert } do
      local found, err = trust.by_fingerprint({ cert, old.cert }, cert.fingerprint)
      assert.is_nil(found)
      assert.equal("trust", err.code)
    end
    assert.equal(("ab"):rep(32), trust.fingerprint("sha256:" .. ("AB:"):rep(32)))
    for _, text in ipairs { "", ("a"):rep(63), ("a"):rep(66), ("g"):rep(64),
      core.secret.sha256 "x" .. "0" } do
      assert.is_nil(trust.fingerprint(text))
    end
  end)
end)
