-- Refusals before a policy are kept for operators, and no stranger can fill the ledger with them.
local core = require "lest.core"
local early_module = require "lest.server.authority.early"
local task = require "lest.task"
local temporary = require "support.temporary"
local turn_module = require "lest.server.authority.turn"

describe("refusals before a policy", function()
  local ledger, turn, early

  before_each(function()
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    turn = turn_module.new { sync = function(_, callback) callback(true) return true end }
    for _, name in ipairs { "begin", "savepoint", "release", "rollback", "rollback_to", "run" } do
      turn.ledger[name] = function(_, ...) return ledger[name](ledger, ...) end
    end
    turn.ledger.commit = function(_, callback)
      local ok, err = ledger:commit()
      if ok then callback(true) end
      return ok, err
    end
    turn.savepoint.ledger = turn.ledger
    early = early_module.new(turn)
    turn.before_commit = function() early:flush() end
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function request(id, address, fields)
    local begin = { address = address or "192.0.2.1", operation = "simpleenroll",
      label = "default" }
    for key, value in pairs(fields or {}) do begin[key] = value end
    return { id = id, begin = begin, who = function() end, about = function() end }
  end

  local function note(id, ...)
    early:note(request(id, ...), { status = 401, reason = "the credentials are not accepted" },
      "a detail")
  end

  local function rows()
    return assert(ledger:rows("refusal_list", { limit = 100000 }))
  end

  it("are written with what is written anyway, and once", function()
    note "a-1"
    assert.same({}, rows())
    turn:unit(function() end)
    turn:settle()
    turn:unit(function() end)
    turn:settle()
    local row = rows()[1]
    assert.same({ 1, "a-1", 401, "the credentials are not accepted", "a detail", 0 },
      { #rows(), row.id, row.status, row.reason, row.detail, row.left_out })
  end)

  it("are written by themselves where nothing else is", function()
    note "a-1"
    task.run(function()
      repeat
        task.sleep(0.05)
        turn:settle()
      until rows()[1]
    end)
    assert.equal("a-1", rows()[1].id)
  end)

  it("say who claimed to ask, in short texts that no terminal obeys", function()
    note("a-1", nil, { basic = { username = "de\27[2Jvice\xff" .. ("x"):rep(5000),
      password = "a secret" } })
    early:flush()
    turn:settle()
    local row = rows()[1]
    assert.is_nil(row.claimed:find "[%c\x80-\xff]")
    assert.is_true(#row.claimed < 220)
    for _, value in pairs(row) do assert.is_nil(tostring(value):find("a secret", 1, true)) end
  end)

  it("are few of one network and few of all, and the others are counted", function()
    for i = 1, 50 do note("a-" .. i, "2001:db8::" .. i) end
    note("b-1", "192.0.2.7")
    early:flush()
    turn:settle()
    assert.equal(31, #rows())
    assert.same({ "b-1", 20 }, { rows()[1].id, rows()[1].left_out })
    for i = 1, 1000 do note("c-" .. i, ("10.0.%d.%d"):format(i // 256, i % 256)) end
    early:flush()
    turn:settle()
    assert.equal(300, #rows())
    assert.equal(731, early.left_out)
  end)

  it("make room for newer ones", function()
    assert(ledger:begin())
    for i = 1, 10003 do
      assert(ledger:run("refusal_add", { id = "a-" .. i, time_us = 1, operation = "o",
        label = "l", address = "a", status = 401, left_out = 0 }))
    end
    assert(ledger:commit())
    note "b-1"
    early:flush()
    turn:settle()
    local left = rows()
    assert.same({ 10000, "b-1", "a-5" }, { #left, left[1].id, left[10000].id })
  end)

  it("are counted and hold nobody where the ledger cannot be written", function()
    note "a-1"
    turn.hung = core.error.new { code = "ledger", message = "the disk does not answer" }
    early:flush()
    assert.same({ 1, 0 }, { early.left_out, #early.kept })
    turn.hung = nil
    note "a-2"
    early:flush()
    turn:settle()
    assert.same({ "a-2", 1 }, { rows()[1].id, rows()[1].left_out })
  end)

  it("cost a batch nothing but themselves where they cannot be written", function()
    note "a-1"
    early.kept[1].id = "\xff"
    turn:unit(function()
      assert(ledger:run("refusal_add", { id = "good", time_us = 1, operation = "o", label = "l",
        address = "a", status = 401, left_out = 0 }))
    end)
    turn:settle()
    assert.same({ "good" }, { rows()[1].id, rows()[2] })
  end)
end)
