--- Modules as the build has compiled them, so that a command does not spend a quarter of its time
--- on reading Lua. What counts is the module's own file: as soon as it has another size or time
--- than when it was compiled, it is read itself. Line numbers are kept, but for those of argparse,
--- which is half as large without them and tells of mistakes in words.
---
---   require "lest.tool.compiled".install()
---
--- A compiled file begins with the line "SIZE TIME" of the module's file; string.dump made the
--- rest.
local core = require "lest.core"

local M = {}

-- Beside the modules in C: no folder that is searched later is trusted with what cannot be read.
local WHERE <const> = package.cpath:gsub("%?%.so", "lest/compiled/?.luac")

local function head_of(path)
  local size, time = core.system.stamp(path)
  return size and ("%d %d\n"):format(size, time)
end

local function search(name)
  local compiled = package.searchpath(name, WHERE, "")
  local path = compiled and package.searchpath(name, package.path)
  if not path then return nil end
  local bytes, head = core.file.read(compiled), head_of(path)
  if not bytes or not head or bytes:sub(1, #head) ~= head then return nil end
  local chunk = load(bytes:sub(#head + 1), name, "b") -- nil for another Lua's
  if chunk then return chunk, path end
end

--- Let require find compiled modules from now on.
function M.install()
  table.insert(package.searchers, 2, search)
end

--- Compile modules into a folder, as the build does.
---@param folder string
---@param names string[]
function M.write(folder, names)
  for _, name in ipairs(names) do
    local path = assert(package.searchpath(name, package.path))
    -- What messages show: the place where lest was built is of no use to their readers.
    local inside = name:gsub("%.", "/")
    local shown = "@" .. inside .. (path:find("/init%.lua$") and "/init.lua" or ".lua")
    local chunk = assert(load(assert(core.file.read(path)), shown, "t"))
    local file <close> = assert(io.open(("%s/%s.luac"):format(folder, name), "wb"))
    assert(file:write(head_of(path), string.dump(chunk, name == "argparse")))
  end
end

return M
