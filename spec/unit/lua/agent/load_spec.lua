-- AGENT.lua: a closed schema, and mistakes with their line.
local load = require "lest.agent.load"
local temporary = require "support.temporary"

describe("AGENT.lua", function()
  local folder

  setup(function() folder = temporary.folder() end)
  teardown(temporary.clean)

  local function read(text)
    return load.file(temporary.file(folder, "agent.lua", text))
  end

  --- One with these lines in its identity.
  local function with(lines)
    return read(([[return { state = "state", identities = { dev9 = {
      url = "https://est.example.com",
      trust = "ca.pem",
      subject = "CN=dev9",
      %s
    } } }]]):format(lines))
  end

  local function problem(lines)
    local config, err = with(lines)
    assert.is_nil(config)
    assert.equal("config", err.code)
    return (err.message:gsub("^" .. folder:gsub("%p", "%%%0") .. "/", ""))
  end

  it("of ten lines is a working one, with absolute paths and every default", function()
    local config = assert(with 'username = "dev9", password_file = "secret",')
    assert.equal(folder .. "/state", config.state)
    local each = config.identities.dev9
    assert.equal(folder .. "/ca.pem", each.trust)
    assert.equal(folder .. "/secret", each.password_file)
    assert.equal("ec:P-256", each.key)
    assert.is_true(each.rekey)
    assert.equal(2 / 3, each.renew_at)
    assert.same({ "expired", "bootstrap", "operator" }, each.fallbacks)
    assert.equal(86400, each.anchors_every)
  end)

  it("names the line of a mistake, and the nearest right word", function()
    assert.equal("agent.lua:5: identities.dev9.renew: unknown, did you mean 'rekey'?",
      problem "renew = 1,")
    assert.equal("agent.lua:5: identities.dev9.key: 'ec:P-25' is no kind of key here, did you mean "
      .. "'ec:P-256'?", problem 'key = "ec:P-25",')
    assert.matches("identities.dev9.subject: name: TYPE=VALUE", problem 'subject = "nobody",')
    assert.matches("^agent.lua:5: identities.dev9.san: .", problem 'san = { "host" },')
  end)

  it("knows an address that no server of EST has", function()
    local function refused(url, more)
      local config, err = read(([[return { state = "state", identities = { dev9 = {
        url = %q, trust = "ca.pem", subject = "CN=dev9", %s } } }]]):format(url, more or ""))
      assert.is_nil(config, url)
      return err.message
    end
    assert.matches("agent.lua:2: identities.dev9.url: EST is never spoken over http://",
      refused "http://est.example.com", 1, true)
    assert.matches("identities.dev9.url: .", refused "https://est.example.com:99999")
    assert.matches("identities.dev9.url: .", refused "https://")
    assert.matches("identities.dev9.url: the path of an EST", refused "https://host/somewhere")
    assert.matches("identities.dev9.url: the URL has the label 'a'",
      refused("https://host/.well-known/est/a", 'label = "b"'))
    assert.matches("identities.dev9.renewal.url: EST is never spoken",
      refused("https://host", 'renewal = { url = "http://host" }'))
  end)

  it("takes a share of the lifetime or a time for a renewal, and nothing that makes no sense",
    function()
      assert.equal(30 * 86400, with('renew_at = "30d",').identities.dev9.renew_at)
      assert.equal(0.5, with("renew_at = 1 / 2,").identities.dev9.renew_at)
      for _, wrong in ipairs { "0", "1", "2", "-1", "0/0", "'soon'", "{}" } do
        assert.matches("identities.dev9.renew_at", problem(("renew_at = %s,"):format(wrong)))
      end
    end)

  it("wants to know by what the server is known, and for which name", function()
    local _, err = read [[return { state = "s", identities = { a = { url = "https://h" } } }]]
    assert.matches("identities.a.subject: is missing", err.message)
    assert.matches("identities.a.trust: is missing", err.message)
    assert(read [[return { state = "s", identities = { a = { url = "https://h",
      psk_identity = "a", psk_file = "k", server_names = true } } }]])
  end)

  it("takes a secret once, and nobody without one", function()
    assert.matches("identities.dev9.password_file: stands beside 'password'",
      problem 'username = "a", password = "b", password_file = "c",')
    assert.matches("identities.dev9.username: needs password_file", problem 'username = "a",')
    assert.matches("cert and cert_key go together", problem 'cert = "c.pem",')
    assert.matches("fingerprint: stands beside 'trust'", problem 'fingerprint = "ab",')
    assert.matches("renewal.credential: is for the server and the label of the first",
      problem 'renewal = { credential = true, label = "other" },')
  end)

  it("tries nothing after an operator was called", function()
    assert.matches("fallbacks: 'operator' is the last",
      problem 'fallbacks = { "operator", "bootstrap" },')
    assert.matches("fallbacks%[1%]: 'expires' is not one of", problem 'fallbacks = { "expires" },')
  end)

  it("has identities whose names are those of folders", function()
    for _, name in ipairs { "..", ".a", "a/b", "", ("a"):rep(65) } do
      local _, err = read(([[return { state = "s", identities = { [%q] = { url = "https://h",
        trust = "t", subject = "CN=a" } } }]]):format(name))
      assert.matches("is no name", err.message)
    end
    for _, name in ipairs { "lock", "try" } do
      local _, err = read(([[return { state = "s", identities = { [%q] = { url = "https://h",
        trust = "t", subject = "CN=a" } } }]]):format(name))
      assert.matches("is the name of a file of the agent's", err.message)
    end
    assert.matches("identities: has none", select(2, read [[return { state = "s",
      identities = {} }]]).message)
  end)

  it("ends where a file does not, or makes a global", function()
    assert.matches("agent.lua:1: 'a' is assigned as a global", select(2, read "a = 1").message)
    assert.matches("waits for something", select(2, read "coroutine.yield()").message)
    assert.matches("must return a table", select(2, read "return 1").message)
    assert.matches("cannot be read", select(2, load.file(folder .. "/none")).message)
  end)

  it("takes ten thousand identities", function()
    local config = assert(read [[
      local identities = {}
      for i = 1, 10000 do
        identities["dev" .. i] = { url = "https://h", trust = "ca.pem", subject = "CN=dev" .. i }
      end
      return { state = "state", identities = identities }]])
    assert.equal("CN=dev777", config.identities.dev777.subject)
  end)
end)
