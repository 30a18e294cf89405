--- What an authority does whose ledger was taken away: removed, replaced or cut while it was open.
---
--- What is at the path now has not what was issued since it was written, and another authority
--- would be refused it (setup.lua). So this one stays, answers nothing, and says why, until
--- somebody has put the ledger in order and stops the server, or begins a new generation (SIGHUP).
local core = require "lest.core"

local M = {}

local AGAIN_MS <const> = 60000

--- Wait for the end of this process.
---@param err lest.error what became of the ledger
---@param is_stopping fun(): boolean
function M.wait(err, is_stopping)
  repeat
    core.log.write("error", "the ledger is lost", { "message", tostring(err) })
    local due = false
    local timer = core.loop.timer(AGAIN_MS, function() due = true end)
    while not (due or is_stopping()) do core.loop.turn() end
    timer:close()
  until is_stopping()
end

return M
