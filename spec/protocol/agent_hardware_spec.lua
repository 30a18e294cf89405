-- An identity whose key is in hardware: it is bootstrapped, renewed and used there, and no file of
-- the agent holds it.
local agents = require "support.agent"
local core = require "lest.core"
local hardware = require "support.hardware"
local process = require "support.process"
local temporary = require "support.temporary"

-- What tokens' libraries leave at their end is a leak to a sanitizer, and not ours.
local LEAKS <const> = LEST_PREFIX:find "asan" and "needs a build without sanitizers"

describe("an agent with its key in hardware", function()
  local server
  setup(function() server = agents.server() end)
  teardown(function() server:stop() end)
  after_each(temporary.clean)

  local function must(agent, ...)
    local result = agent:once(...)
    assert.equal(0, result.code, result.err)
    return result
  end

  it("renews with the same key of a token (PKCS#11)", function()
    local token, missing = hardware.token "dev9"
    if not token or LEAKS then return pending(missing or LEAKS) end
    finally(function() token:stop() end)
    local agent = agents.new(server, { key = ("%q"):format(token.uri),
      key_pin_file = ("%q"):format(token.pin_file),
      hooks = '{ { command = { "./hook" } } }' })
    process.write(agent:file "hook",
      ('#!/bin/sh\n[ "$LEST_KEY$LEST_KEY_URI" = "%s" ]\n'):format(token.uri))
    process.must { "chmod", "755", agent:file "hook" }
    agent.environment = token.environment
    must(agent)
    local first = agent:cert()
    must(agent, "--renew")
    assert.same({ "ok", 2 }, { agent:status().state, agent:status().generation })
    assert.not_equal(first.serial, agent:cert().serial)
    assert.equal(first.public_key.der, agent:cert().public_key.der)
    assert.equal(token.uri .. "\n", process.read(agent:state "key.pem"))
    -- What is asked for the first time with a key is kept with it: nothing holds the PIN.
    assert.not_equal(0, (process.run { "grep", "-rF", "pin-", agent:file "state" }))
    process.write(token.pin_file, "9999\n")
    local result = agent:once "--renew"
    assert.not_equal(0, result.code)
    assert.matches("PIN", result.err)
    assert.not_matches("9999", result.err, 1, true)
  end)

  it("has its TPM make a new key at each renewal", function()
    local tpm, missing = hardware.tpm()
    if not tpm or LEAKS then return pending(missing or LEAKS) end
    finally(function() tpm:stop() end)
    local agent = agents.new(server, { key = '"tpm2:ec:P-256"' })
    agent.environment = tpm.environment
    must(agent)
    local first = agent:cert()
    must(agent, "--renew")
    must(agent)
    assert.same({ "ok", 2 }, { agent:status().state, agent:status().generation })
    assert.not_equal(first.public_key.der, agent:cert().public_key.der)
    assert.matches("^%-%-%-%-%-BEGIN TSS2 PRIVATE KEY", process.read(agent:state "key.pem"))
    local key, err = core.key.load(agent:state "key.pem")
    assert.is_nil(key)
    assert.matches("tpm2:FILE", err.message)
    -- Whoever has the folder, and not the TPM, has nothing; and while it is away, nothing is lost.
    process.kill(tpm.pid, "KILL")
    local second = agent:cert()
    local result = agent:once "--renew"
    assert.not_equal(0, result.code)
    assert.matches("state unusable.*provider tpm2", result.err)
    assert.equal(second, agent:cert())
  end)
end)
