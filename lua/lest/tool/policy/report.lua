-- The output of `lest policy test`, as busted loads it: a line for each test, then each failure
-- with what the assertion says. What comes from a request reaches the terminal as text alone.
local specs = require "lest.tool.policy.specs"
local terminal = require "lest.base.terminal"

local WORDS <const> = { success = "ok", pending = "skipped" }

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function line(...)
    if specs.is_quiet then return end
    io.write(terminal.safe(table.concat { ... }), "\n")
  end

  local function show(kind, item)
    line()
    line(kind, "  ", handler.getFullName(item.element or item))
    local message = type(item.message) == "string" and item.message or tostring(item.message)
    if options.verbose and item.trace then message = message .. "\n" .. item.trace.traceback end
    for each in (message .. "\n"):gmatch "([^\n]*)\n" do line("  ", (each:gsub("\t", "  "))) end
  end

  busted.subscribe({ "file", "start" }, function(file)
    line(file.name)
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    line(("  %-8s"):format(WORDS[status] or "FAILED"), handler.getFullName(element))
    return nil, true
  end)
  busted.subscribe({ "suite", "end" }, function()
    for _, item in ipairs(handler.failures) do show("FAILED", item) end
    for _, item in ipairs(handler.errors) do show("ERROR", item) end
    line()
    local failed = handler.failuresCount + handler.errorsCount
    line(("%d passed, %d failed%s"):format(handler.successesCount, failed,
      handler.pendingsCount > 0 and (", %d skipped"):format(handler.pendingsCount) or ""))
    io.flush()
    specs.outcome = { passed = handler.successesCount, failed = failed,
      first = handler.failures[1] or handler.errors[1] }
    return nil, true
  end)
  return handler
end
