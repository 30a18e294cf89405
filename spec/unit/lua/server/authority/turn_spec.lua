-- What depends on the ledger leaves when it is durable, and never when that cannot be known.
local core = require "lest.core"
local turn_module = require "lest.server.authority.turn"

describe("the ledger's work of a turn", function()
  local ledger, turn, told, callbacks
  local write = core.log.write

  before_each(function()
    told, callbacks = {}, {}
    ledger = { calls = {} }
    for _, name in ipairs { "begin", "savepoint", "release", "rollback_to", "rollback" } do
      ledger[name] = function()
        table.insert(ledger.calls, name)
        return true
      end
    end
    local function later(name)
      return function(_, callback)
        table.insert(ledger.calls, name)
        table.insert(callbacks, callback)
        return true
      end
    end
    ledger.commit, ledger.sync = later "commit", later "sync"
    turn = turn_module.new(ledger)
    core.log.write = function() end -- luacheck: ignore 122
  end)
  after_each(function() core.log.write = write end) -- luacheck: ignore 122

  local function tell(durable, name) told[name] = durable end

  it("lets go at once what read nothing that is not durable", function()
    turn:when_durable(tell, "a")
    assert.is_true(told.a)
    turn:begin()
    turn:when_durable(tell, "b")
    assert.is_true(told.b)
    turn:settle()
    assert.same({ "begin", "rollback" }, ledger.calls)
  end)

  it("keeps what was written until the disk has it, and gathers the next meanwhile", function()
    assert.equal(7, turn:unit(function() return 7 end))
    turn:when_durable(tell, "first")
    turn:settle()
    assert.is_nil(told.first)
    turn:when_durable(tell, "read meanwhile")
    assert.same({}, told)
    turn:unit(function() end)
    turn:when_durable(tell, "second")
    turn:settle()
    assert.equal(1, #callbacks)
    callbacks[1](true)
    assert.same({ first = true, ["read meanwhile"] = true }, told)
    turn:settle()
    callbacks[2](true)
    assert.is_true(told.second)
  end)

  it("syncs for what another authority may have committed", function()
    turn:when_synced(tell, "a")
    turn:settle()
    assert.same({ "sync" }, ledger.calls)
    callbacks[1](true)
    assert.is_true(told.a)
  end)

  it("undoes a unit that fails, alone", function()
    assert.has_error(function() turn:unit(function() error("no", 0) end) end, "no")
    assert.same({ "begin", "savepoint", "rollback_to", "release" }, ledger.calls)
  end)

  it("answers nothing that may be lost, and ends the process", function()
    turn:unit(function() end)
    turn:when_durable(tell, "a")
    turn:settle()
    callbacks[1](nil, "I/O error")
    assert.same({}, told)
    assert.is_true(turn.failed)
  end)

  it("fails too where the commit raises, and tells what was not kept", function()
    ledger.commit = function() error "out of memory" end
    turn:unit(function() end)
    turn:settle()
    assert.is_true(turn.failed)
    turn = turn_module.new(ledger)
    ledger.commit = function() return nil, "full" end
    turn:unit(function() end)
    turn:when_durable(function() error "one that raises" end)
    turn:when_durable(tell, "a")
    turn:settle()
    assert.is_false(told.a)
    assert.is_false(turn.failed)
  end)

  it("knows a ledger that was taken away from one that failed", function()
    local err = select(2, require "lest.base.fail"("ledger_lost", "it was removed"))
    turn:unit(function() end)
    turn:settle()
    callbacks[1](nil, err)
    assert.is_true(turn.failed)
    assert.equal(err, turn.lost)
    turn = turn_module.new(ledger)
    ledger.begin = function() return nil, err end
    assert.has_error(function() turn:unit(function() end) end)
    assert.equal(err, turn.lost)
  end)

  it("keeps nobody waiting for a disk that does not answer, until it does", function()
    turn = turn_module.new(ledger, 10)
    turn:unit(function() end)
    turn:when_durable(tell, "synced")
    turn:settle()
    turn:unit(function() end)
    turn:when_durable(tell, "in the next transaction")
    turn:when_synced(tell, "read")
    while not turn.hung do core.loop.turn() end
    assert.same({ synced = false, ["in the next transaction"] = false, read = false }, told)
    assert.equal("rollback", ledger.calls[#ledger.calls])
    told = {}
    local ok, problem = pcall(turn.unit, turn, function() end)
    assert.is_false(ok)
    assert.equal("ledger", problem.code)
    turn:when_durable(tell, "a")
    turn:when_synced(tell, "b")
    turn:settle()
    assert.same({ a = false, b = false }, told)
    assert.is_false(turn.failed)
    callbacks[1](true)
    told = {}
    turn:unit(function() end)
    turn:when_durable(tell, "after")
    turn:settle()
    callbacks[2](true)
    assert.same({ after = true }, told)
  end)
end)
