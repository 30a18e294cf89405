--- Where the exchanges of a client are shown whose trace is `true`. Only who has a person at a
--- terminal sets `show`: the commands, `lest run` and the REPL.

---@class lest.client.screen
---@field show? fun(event: lest.client.event)
local M = {}

return M
