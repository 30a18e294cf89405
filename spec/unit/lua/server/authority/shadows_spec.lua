-- What a shadow says is kept in bounds, for requests that were decided, once: a worker in an
-- attacker's hands cannot fill the ledger with it.
local core = require "lest.core"
local shadows_module = require "lest.server.authority.shadows"
local temporary = require "support.temporary"

describe("what shadows say", function()
  local ledger, shadows, refuses

  before_each(function()
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    refuses = false
    shadows = shadows_module.new { ledger = ledger, unit = function(_, step, ...)
      if refuses then error "the disk is full" end
      return step(...)
    end }
  end)
  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function expect(channel, id, label)
    shadows:expect(channel, { id = id, label = label or { shadow = {} },
      begin = { label = "default" } })
  end

  local function note(channel, id)
    shadows:note(channel, { id = id, verdict = "approve", subject = { { "CN", "a" } },
      rule = "r", policy_hash = "00" })
  end

  local function rows()
    shadows:flush()
    return assert(ledger:rows("shadow_list", { limit = 100000 }))
  end

  it("is kept with what it stated", function()
    local channel = { pid = 1 }
    expect(channel, "a-1")
    note(channel, "a-1")
    local row = rows()[1]
    assert.same({ "a-1", "default", "approve", "r", '{"subject":[["CN","a"]]}' },
      { row.request_id, row.label, row.verdict, row.rule, row.stated })
  end)

  it("is kept no longer than it came", function()
    local channel = { pid = 1 }
    for byte, is_kept in pairs { a = true, ["\1"] = false } do
      local id, san = "b-" .. byte:byte(), {}
      for i = 1, 128 do san[i] = byte:rep(1024) end
      expect(channel, id)
      shadows:note(channel, { id = id, verdict = "approve", san = san })
      assert.equal(is_kept, rows()[1].stated ~= nil)
    end
  end)

  it("is kept once, of a request of that worker, of a label that has a shadow", function()
    local one, other = { pid = 1 }, { pid = 2 }
    expect(one, "a-1")
    expect(one, "a-2", {})
    note(other, "a-1")
    note(one, "a-2")
    note(one, "a-3")
    assert.equal(0, #rows())
    note(one, "a-1")
    note(one, "a-1")
    assert.equal(1, #rows())
  end)

  it("that nobody waits for is in the log, but not each time", function()
    local told, write = 0, core.log.write
    core.log.write = function(_, event) told = told + (event == "bad shadow" and 1 or 0) end
    for i = 1, 1000 do note({ pid = 1 }, "a-" .. i) end
    core.log.write = write
    assert.is_true(told > 0 and told < 300, told)
  end)

  it("is expected of the last so many requests", function()
    local channel = { pid = 1 }
    for i = 1, 1000 do expect(channel, "a-" .. i) end
    note(channel, "a-1")
    assert.equal(0, #rows())
    for i = 1, 1000 do note(channel, "a-" .. i) end
    local count = #rows()
    assert.is_true(count > 200 and count <= 256, count)
    local left = 0
    for _ in pairs(channel.expected.labels) do left = left + 1 end
    assert.equal(0, left)
  end)

  it("is lost where the ledger takes none, and waits in bounds", function()
    local channel = { pid = 1 }
    refuses = true
    for i = 1, 2100 do
      expect(channel, "a-" .. i)
      note(channel, "a-" .. i)
    end
    assert.equal(2000, #shadows.kept)
    assert.equal(0, #rows())
    refuses = false
    expect(channel, "b-1")
    note(channel, "b-1")
    assert.equal(1, #rows())
  end)
end)
