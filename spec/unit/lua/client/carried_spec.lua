-- What a request that is carried must be, and what is read of the file that carries it.
local carried = require "lest.client.carried"
local carried_text = require "lest.client.carried_text"
local core = require "lest.core"
local lest = require "lest"

describe("a carried request", function()
  local client, message

  setup(function()
    client = lest.client { url = "https://192.0.2.1", trust = "system", notify = function() end }
    local key = core.key.generate "ec:P-256"
    message = assert(carried.make(client, { key = key, subject = "CN=x",
      identity = { name = "x", secret = "a secret of both sides" } }))
  end)

  local function entry(name)
    return carried_text.request({ identity = name, url = "https://192.0.2.1/fullcmc",
      message = message }, { { "Made", "now" } })
  end

  it("5272-3.2-d is proven by something: a key alone tells nobody who asks", function()
    local none, err = carried.make(client, { key = core.key.generate "ec:P-256",
      subject = "CN=x" })
    assert.is_nil(none)
    assert.equal("usage", err.code)
    assert.is_string(carried.transaction(message))
    assert.is_nil(message:der():find("a secret of both sides", 1, true))
  end)

  it("is one of several in a file, each with its name and address", function()
    local all = assert(carried_text.requests(entry "a" .. "\n" .. entry "b"))
    assert.same({ "a", "b", "https://192.0.2.1/fullcmc" }, { all[1].identity, all[2].identity,
      all[2].url })
    assert.equal(message:der(), all[2].message:der())
  end)

  it("is refused with its file where one cannot be read, or there are too many", function()
    local function refused(bytes, code, words)
      local none, err = carried_text.requests(bytes)
      assert.is_nil(none)
      assert.equal(code, err.code)
      assert.matches(words, err.message)
    end
    refused("", "malformed", "no message in it")
    refused(entry "a" .. entry("b"):sub(1, -30), "malformed", "^line %d+: .*END line")
    refused(entry "a" .. entry("b"):gsub("\nM", "\nN"), "malformed", "^line %d+:")
    refused(entry("a"):rep(carried_text.ENTRIES_MAX + 1), "too_large", "more than 1000 messages")
    refused(("x"):rep(carried_text.BYTES_MAX + 1), "too_large", "bytes")
    local none, err = carried_text.answers(entry "a")
    assert.is_nil(none)
    assert.matches("a request in it", err.message)
    none, err = carried_text.answers "\0\1"
    assert.is_nil(none)
    assert.is_string(err.code)
  end)

  it("names an address that is https, or none", function()
    local forwarding = require "lest.client.forwarding"
    local base = "https://a.example:8443/.well-known/est/x"
    assert.equal(base, forwarding.base_of(base .. "/fullcmc"))
    assert.equal("https://b.example:8443/.well-known/est/x",
      (forwarding.base_of(base .. "/fullcmc", "https://b.example:8443")):gsub(":443/", "/"))
    for _, text in ipairs { "http://a.example/fullcmc", base, "file:///fullcmc", "" } do
      assert.is_nil((forwarding.base_of(text)))
    end
    for _, origin in ipairs { "http://b", "https://b/x", "https://u@b" } do
      assert.is_nil((forwarding.base_of(base .. "/fullcmc", origin)))
    end
  end)
end)
