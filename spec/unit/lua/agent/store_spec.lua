-- What an identity has on disk is whole at every instant, and a death's rest is tidied up.
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local store = require "lest.agent.store"
local temporary = require "support.temporary"

describe("an identity's place", function()
  local ca, root, folder, place

  setup(function()
    ca = pki.new()
    root = ca:root "root"
  end)
  teardown(temporary.clean)
  before_each(function()
    folder = temporary.folder()
    place = store.new(folder .. "/dev9")
    assert(place:tidy())
  end)

  local serial = 0

  --- A certificate for a new key, which waits.
  local function pair()
    serial = serial + 1
    local it = ca:issue("leaf" .. serial, { by = root })
    local key = assert(core.key.load(it.key))
    return key, it.cert:with_chain { root.cert }
  end

  local function issue()
    local key, cert = pair()
    assert(place:begin(key, { way = "bootstrap" }))
    return assert(place:finish(cert, 3)), cert, key
  end

  local function path(name)
    return folder .. "/dev9/" .. name
  end

  --- The identity as somebody finds it who knows the three names.
  local function check(cert, key)
    assert.equal(cert, assert(core.cert.load(path "cert.pem")))
    assert.equal(key, assert(core.key.load(path "key.pem")))
    assert.equal(1, #core.cert.load_all(path "chain.pem"))
  end

  it("has nothing at first", function()
    assert.is_nil(place:current())
    assert.is_nil(place:pending())
    assert.is_nil(place:memory())
    assert.is_nil(place:anchors())
  end)

  it("keeps a key before anything is sent, and finds it again", function()
    local key = pair()
    assert(place:begin(key, { way = "renew", subject = "CN=a" }))
    assert.same({ true, 448 }, { core.system.exists(path "next") })
    assert.same({ true, 384 }, { core.system.exists(path "next/key.pem") })
    local again, request = store.new(path ""):pending()
    assert.equal(key, again)
    assert.same({ way = "renew", subject = "CN=a" }, request)
    assert(place:forget())
    assert.is_nil(place:pending())
    assert.is_false(core.system.exists(path "next"))
  end)

  it("has the newest in use, the key 0600, and keeps some of the old", function()
    for i = 1, 5 do
      local number, cert, key = issue()
      assert.equal(i, number)
      check(cert, key)
    end
    assert.same({ true, 384 }, { core.system.exists(path "current/key.pem") })
    local names = core.system.entries(path "generations")
    table.sort(names)
    assert.same({ "3/", "4/", "5/" }, names)
  end)

  it("finishes what has its certificate, wherever its writer died", function()
    local _, cert, key = issue()
    local new_key, new_cert = pair()
    local new_pem = new_cert:pem() .. root.cert:pem()
    assert(place:begin(new_key, { way = "renew" }))
    -- In the middle of the certificate.
    process.write(path "next/cert.pem.lest-a1b2c3", new_pem:sub(1, 100))
    assert(place:tidy())
    check(cert, key)
    assert.equal(new_key, (place:pending()))
    -- Once it is there.
    process.write(path "next/chain.pem", root.cert:pem())
    process.write(path "next/cert.pem", new_pem)
    assert(place:tidy())
    check(new_cert, new_key)
    -- Between the move and the switch.
    assert(core.file.link("generations/1", path "current"))
    assert(place:tidy())
    check(new_cert, new_key)
    assert.equal(2, select(2, place:current()))
  end)

  it("takes half of a request, or of a generation, for nothing", function()
    local _, cert, key = issue()
    assert(core.folder.make(path "next"))
    process.write(path "next/request.json", "{}")
    assert(core.folder.make(path "generations/7.old"))
    process.write(path "generations/7.old/key.pem", "")
    assert(core.folder.make(path "generations/9"))
    process.write(path "generations/9/cert.pem", "")
    process.write(path "state.json.lest-a1b2c3", "{")
    process.must { "ln", "-s", "generations/9", path "current.lest-new" }
    assert(place:tidy())
    check(cert, key)
    for _, name in ipairs { "next", "generations/7.old", "state.json.lest-a1b2c3",
      "current.lest-new" } do
      assert.is_false(core.system.exists(path(name)), name)
    end
    local number = issue()
    assert.equal(10, number)
  end)

  it("goes back to the one before where the newest is broken", function()
    local _, cert, key = issue()
    issue()
    process.write(path "generations/2/key.pem", "")
    assert(place:tidy())
    check(cert, key)
  end)

  it("goes back to the one before where the newest has the key of another", function()
    local _, cert, key = issue()
    issue()
    process.write(path "generations/2/key.pem", process.read(path "generations/1/key.pem"))
    assert(place:tidy())
    check(cert, key)
  end)

  it("is none where another account may write", function()
    process.must { "chmod", "770", folder .. "/dev9" }
    local none, err = place:tidy()
    assert.is_nil(none)
    assert.equal("usage", err.code)
    assert.matches("others may write in the folder ", err.message)
    process.must { "chmod", "755", folder .. "/dev9" }
    assert(place:tidy())
    if core.process.uid ~= 0 then return end
    process.must { "chown", "nobody", folder .. "/dev9" }
    assert.matches("belongs to another account", select(2, place:tidy()).message)
  end)

  it("remembers, and takes what cannot be read for nothing", function()
    assert(place:remember { failures = 3 })
    assert.same({ failures = 3 }, place:memory())
    process.write(path "state.json", "{")
    assert.is_nil(place:memory())
    process.write(path "state.json", "7")
    assert.is_nil(place:memory())
  end)

  it("remembers of what another version has written what this one would write", function()
    local whole = { place = 0.5, failures = 3, issued = 1930367167, clock_offset = -400,
      operator = "none", current = "x", trust = "y", way = "renew",
      retry = { set = 1, at = 2, asked = 3, offline = true }, pending = { since = 1 },
      error = { at = 1, code = "tls", message = "x", exit_code = 6 }, failing_since = 1,
      anchors = { at = 1, ends = 2 }, window = { from = 0.5, to = 0.75 },
      carried = { at = 1, way = "renew", refused = { bootstrap = true } },
      deploy = { newest = 2, applied = 1, former = 1, done = { ["file a"] = true }, failures = 1,
        retry_at = 7, problem = "x" } }
    assert(place:remember(whole))
    assert.same(whole, place:memory())
    local wrong = { place = "x", failures = {}, issued = "k", clock_offset = "x", operator = 1,
      current = 7, trust = true, way = {}, retry = { at = 1e300, set = 1 }, pending = 7,
      error = "x", failing_since = -1, anchors = { at = 1, more = 2 },
      window = { from = 1, to = 0 }, carried = { at = "x" },
      deploy = { newest = "a", applied = 7 }, unknown = 1 }
    for name, value in pairs(wrong) do
      local memory = name == "failures" and { place = 0.5 } or { failures = 3 }
      local expected = name == "failures" and { place = 0.5 } or { failures = 3 }
      memory[name] = value
      assert(place:remember(memory))
      assert.same(expected, place:memory(), name)
    end
    process.write(path "state.json", "[1, 2]")
    assert.is_nil(place:memory())
  end)

  it("keeps anchors, until there are none", function()
    assert(place:keep_anchors { root.cert })
    assert.same({ root.cert }, place:anchors())
    assert(place:keep_anchors {})
    assert.is_nil(place:anchors())
  end)

  it("leaves the one in use where the next cannot be written", function()
    local _, cert, key = issue()
    local new_key, new_cert = pair()
    assert(place:begin(new_key, {}))
    -- A folder stands where the certificate would, also for root.
    assert(core.folder.make(path "next/cert.pem"))
    local number, err = place:finish(new_cert, 3)
    assert.is_nil(number)
    assert.equal("io", err.code)
    check(cert, key)
  end)
end)
