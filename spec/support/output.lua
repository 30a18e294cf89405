-- busted output: a line for each file, the failures, and "N passed, N failed[, N skipped]" as the
-- last line.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function show(kind, item)
    io.write("\n", kind, ": ", handler.getFullName(item.element or item), "\n")
    local trace = item.trace or {}
    io.write("  ", (trace.short_src or "?"), ":", tostring(trace.currentline or "?"), "\n")
    local message = item.message
    if type(message) ~= "string" then message = tostring(message or "") end
    io.write((("  " .. message):gsub("\n", "\n  ")), "\n")
    if options.verbose and trace.traceback then io.write(trace.traceback, "\n") end
  end

  local started
  busted.subscribe({ "file", "start" }, function(file)
    started = os.clock()
    io.write(file.name, " ")
    io.flush()
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(_, _, status)
    io.write(status == "success" and "." or status == "pending" and "s" or "F")
    io.flush()
    return nil, true
  end)
  busted.subscribe({ "file", "end" }, function()
    io.write((" %.1f s cpu\n"):format(os.clock() - started))
    return nil, true
  end)
  busted.subscribe({ "suite", "end" }, function()
    for _, item in ipairs(handler.failures) do show("FAILED", item) end
    for _, item in ipairs(handler.errors) do show("ERROR", item) end
    local skipped = handler.pendingsCount
    for _, item in ipairs(handler.pendings) do show("SKIPPED", item) end
    local failed = handler.failuresCount + handler.errorsCount
    io.write(("%d passed, %d failed"):format(handler.successesCount, failed))
    io.write(skipped > 0 and (", %d skipped\n"):format(skipped) or "\n")
    io.flush()
    return nil, true
  end)
  return handler
end
