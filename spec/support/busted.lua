-- Runs busted inside this interpreter:
--   lest run spec/support/busted.lua [--collect] [BUSTED OPTION...] [PATH...]
-- With --collect a line hook collects before each line of a spec, so that what C forgot to anchor
-- is gone by then (in Lua 5.4 no setting of the collector gets there).
package.path = "spec/?.lua;" .. package.path

local function collect_always()
  -- Lines of busted make no objects of ours, and a whole collection takes a millisecond.
  local ours = setmetatable({}, { __index = function(ours, source)
    local spec = source:find "^@spec/" ~= nil and not source:find "^@spec/support/busted"
    ours[source] = spec
    return spec
  end })
  local function on_line()
    if ours[debug.getinfo(2, "S").source] then collectgarbage() end
  end
  local function hooked(...)
    debug.sethook(on_line, "l")
    return ...
  end
  -- A coroutine has a hook of its own.
  local create, wrap = coroutine.create, coroutine.wrap
  local function body(fn)
    return function(...) return fn(hooked(...)) end
  end
  coroutine.create = function(fn) return create(body(fn)) end
  coroutine.wrap = function(fn) return wrap(body(fn)) end
  hooked()
end

if arg[1] == "--collect" then
  -- Those need the one hook of a coroutine themselves.
  table.remove(arg, 1)
  table.insert(arg, 1, "--exclude-tags=hook")
  collect_always()
end
require "busted.runner" { standalone = false }
