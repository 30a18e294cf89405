--- Modules that a worker may need and mostly does not: read before it gives up its rights, since
--- lest may be where `user` cannot read, and run by the `require` that first asks for them.
---
--- They are the server's own code whenever that is: they have the globals that it has, not the
--- closed ones of a policy (globals.lua).
local core = require "lest.core"

local M = {}

local FILE_MAX <const> = 1024 * 1024

-- What lest and its client name, and no policy has a use for.
local LEFT_OUT <const> = { ["lest.agent"] = true, ["lest.probe"] = true }

local own <const> = _ENV

--- Keep a module, and what its text requires by name, unless it is there already.
---@param name string
function M.keep(name)
  if package.loaded[name] or package.preload[name] then return end
  local path = package.searchpath(name, package.path)
  local text = assert(core.file.read(assert(path, name), FILE_MAX))
  local compiled = string.dump(assert(load(text, "@" .. path, "t")))
  package.preload[name] = function()
    local module = assert(load(compiled, name, "b", own))(name, path)
    package.preload[name] = nil
    return module
  end
  for other in text:gmatch 'require[ (]"(lest[%w_.]*)"' do
    if not LEFT_OUT[other] then M.keep(other) end
  end
end

return M
