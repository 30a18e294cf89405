--- lest on a disk that forgets what was not synced (spec/support/powerloss.c).
---
---   server:run(powerloss.wrapper(server.folder, server.dir .. "/syncs-fail"))
local process = require "support.process"

local M = {}

local PRELOAD <const> = ("ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "
  .. "LD_PRELOAD=%s/fixture/powerloss.so"):format(LEST_PREFIX)

--- A program that is lest on that disk; its syncs fail while the file `failing` is there, and do
--- not end while `failing`.hang is.
---@param folder string where the program goes
---@param failing string
---@return string path
function M.wrapper(folder, failing)
  local path = folder .. "/lest-on-disk"
  process.write(path, ("#!/bin/sh\nPOWERLOSS_FAIL=%s POWERLOSS_HANG=%s.hang %s exec %s \"$@\"\n")
    :format(failing, failing, PRELOAD, process.lest))
  process.must { "chmod", "755", path }
  return path
end

return M
