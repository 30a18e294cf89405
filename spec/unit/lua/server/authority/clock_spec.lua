-- The authority says what is odd about its clock, and what is not odd it does not mention.
local clock = require "lest.server.authority.clock"
local core = require "lest.core"

describe("the authority's clock", function()
  local wall_us, write = core.clock.wall_us, core.log.write
  local logged, shift

  before_each(function()
    logged, shift = {}, 0
    core.clock.wall_us = function() return wall_us() + shift * 1000000 end -- luacheck: ignore 122
    core.log.write = function(level, event, fields) -- luacheck: ignore 122
      table.insert(logged, ("%s %s: %s"):format(level, event, fields[2]))
    end
  end)
  after_each(function()
    core.clock.wall_us, core.log.write = wall_us, write -- luacheck: ignore 122
  end)

  local function authority(not_before, rows)
    return { clock = function() return 1000000 end,
      issuers = { [""] = { cert = { subject = "CN=CA", not_before = not_before } } },
      ledger = { rows = function() return rows end } }
  end

  it("is behind when it is before the CA's certificate, or long before the ledger's end", function()
    assert(clock.check(authority(1000000, {})))
    assert(clock.check(authority(1000000, { { time_us = (1000000 + clock.SLACK_S) * 1000000 } })))
    assert.same({}, logged)
    assert(clock.check(authority(1000001, { { time_us = (1000001 + clock.SLACK_S) * 1000000 } })))
    assert.same({
      "warning clock: it is 1970-01-12T13:46:40Z, and the certificate of CN=CA begins at "
        .. "1970-01-12T13:46:41Z: nothing is issued before",
      "warning clock: it is 1970-01-12T13:46:40Z, and the ledger has what was decided at "
        .. "1970-01-12T13:51:41Z: it is behind, or was ahead" }, logged)
  end)

  it("that is set while the server runs is told of once a step", function()
    local watch = clock.watcher()
    watch()
    for _, seconds in ipairs { 10, 10, -3600, -3600, 0 } do
      shift = seconds
      watch()
    end
    assert.equal(2, #logged)
    assert.matches("set back by 36%d%d s", logged[1])
    assert.matches("set forward by 3[56]%d%d s", logged[2])
  end)
end)
