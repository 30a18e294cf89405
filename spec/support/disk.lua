--- A small disk under a ledger, which a spec fills and frees. Needs root, and a machine where it
--- may mount.
---
---   local disk <close> = disks.under(server)   -- of support.make, not started; nil and why not
---   server:run()
---   disk:fill()
---   disk:free()
local host = require "support.host"
local process = require "support.process"

local M = {}
M.__index = M

--- Mount one, with a ledger on it.
---@param server support.server
---@return table? disk
---@return string? why not
function M.under(server)
  if not host.is_root then return nil, "needs root, to mount a small disk" end
  local folder = server.dir .. "/ledger"
  local owner = process.must { "stat", "-c", "uid=%u,gid=%g", folder }:gsub("\n", "")
  if process.run { "mount", "-t", "tmpfs", "-o", "size=16m,mode=0700," .. owner, "tmpfs",
    folder } ~= 0 then
    return nil, "a disk cannot be mounted here"
  end
  process.must { server.lest, "ledger", "init", "--config", server.dir .. "/server.lua" }
  return setmetatable({ folder = folder }, M)
end

--- Leave no byte on it.
function M:fill()
  process.run(("head -c 17M /dev/zero >%s/filler"):format(self.folder))
end

function M:free()
  os.remove(self.folder .. "/filler")
end

function M:close()
  process.run { "umount", "-l", self.folder }
end
M.__close = M.close

return M
