-- Questions to the ledger at the control socket: closed, bounded, and read-only.
local core = require "lest.core"
local json = require "lest.json"
local operator = require "lest.server.ledger.operator"
local query = require "lest.server.control.query"
local temporary = require "support.temporary"

describe("a question to the ledger", function()
  local config

  setup(function()
    config = { ledger = temporary.folder() .. "/ledger.db", labels = {} }
    local ledger <close> = assert(core.ledger.open(config.ledger, { create = true }))
    for i = 1, 30 do
      assert(operator.run(ledger, "credential_add", { name = ("device%02d"):format(i) }))
    end
  end)
  teardown(temporary.clean)

  it("gets the newest rows, as many as it asks for", function()
    assert.equal(20, #assert(query.ask(config, "credential", {})))
    local rows = assert(query.ask(config, "credential", { limit = 2 }))
    assert.same({ "device30", "device29" }, { rows[1].name, rows[2].name })
    assert.equal("device07", assert(query.ask(config, "credential", { name = "device07" }))[1].name)
    for _, what in ipairs { "cert", "request", "refusal", "pending" } do
      assert.same({}, query.ask(config, what, {}))
    end
  end)

  it("gets no secret, nor what a secret is known by", function()
    local text = json.line(query.ask(config, "credential", {}))
    for _, word in ipairs { "hash", "secret", "salt", "verifier" } do
      assert.is_nil(text:find('"' .. word .. '"', 1, true), word)
    end
  end)

  it("is refused where it is none", function()
    for _, wrong in ipairs { { "certs", {} }, { {}, {} }, { "cert", 5 },
      { "cert", { limit = 101 } },
      { "cert", { limit = 0 } }, { "cert", { labl = "x" } }, { "cert", { label = 5 } },
      { "request", { verdict = "no" } }, { "cert", { since = "x" } } } do
      local rows, err = query.ask(config, wrong[1], wrong[2])
      assert.is_nil(rows)
      assert.equal("usage", err.code)
    end
  end)
end)
