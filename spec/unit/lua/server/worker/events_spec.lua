-- How a hook hears of an event: what counts as heard, what it sees, and its bounds.
local core = require "lest.core"
local events = require "lest.server.worker.events"

describe("a hook for what happened", function()
  local cert = assert(core.issuer.root { key = assert(core.key.generate "ec:P-256"),
    subject = "CN=x", not_before = 1000, not_after = 2000000000 })

  local function call(hook, bounds)
    bounds = bounds or {}
    bounds.seconds, bounds.memory = bounds.seconds or 5, bounds.memory or 1 << 22
    return events.call(hook, { id = "issued-01", kind = "issued", time = 1, try = 1,
      label = "default", certificate = cert, principal = { kind = "basic", name = "a" },
      operation = "simpleenroll", profile = "device", request_id = "r1", facts = { site = "b" },
    }, bounds)
  end

  it("has heard, whatever it returns", function()
    for _, value in ipairs { true, false, 1, "no", {} } do
      assert.is_true(call(function() return value end), tostring(value))
    end
    assert.is_true(call(function() end))
    assert.is_true(call(function() return true, "why" end))
  end)

  it("is called again where it raises, or returns nil and a reason", function()
    local err = core.error.new { code = "network", message = "away" }
    for _, case in ipairs {
      { function() error "no" end, "no" }, { function() return nil, "later" end, "later" },
      { function() return false, err end, "away" }, { function() return nil, { 1 } end, "%[1%]" },
      { function() return nil, setmetatable({}, { __tostring = error }) end, "a table" },
      { function() return nil, print end, "a function" }, { function() error() end, "error" },
      { function(event) return event.nam end, "event has no field 'nam'" },
    } do
      local heard, problem = call(case[1])
      assert.is_false(heard)
      assert.matches(case[2], problem)
      assert.matches("events_spec.lua", problem)
    end
  end)

  it("sees the event, and changes nothing of it", function()
    assert.is_true(call(function(event)
      assert(event.id == "issued-01" and event.certificate == cert and event.facts.site == "b")
      assert(event.principal.name == "a" and event.device == nil and event.reason == nil)
      for _, change in ipairs { function() event.id = "x" end,
        function() event.principal.name = "x" end, function() event.facts.site = "x" end } do
        assert(not pcall(change))
      end
      assert(next(event) == nil and getmetatable(event) == false)
    end))
  end)

  it("has a time and a memory", function()
    local heard, problem = call(function() while true do end end, { seconds = 1 })
    assert.is_false(heard)
    assert.matches("too long", problem)
    heard, problem = call(function() return ("x"):rep(1 << 23) end)
    assert.is_false(heard)
    assert.matches("memory", problem)
  end)
end)
