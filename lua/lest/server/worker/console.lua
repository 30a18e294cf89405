--- The worker's end of the control socket: answers who asks there (server/wire/console).
local envelope = require "lest.server.wire.console"
local json = require "lest.json"

local M = {}

--- Answer what comes over a channel of the control role.
---@param worker lest.worker
---@param channel lest.channel
function M.serve(worker, channel) -- luacheck: ignore 212
  channel:on_message(function(packet)
    local connection, _, text = envelope.unpack(packet)
    local frame = connection and json.decode(text)
    if type(frame) ~= "table" then return end
    channel:send(envelope.pack(connection, 0, json.line { v = 1, id = frame.id, ["end"] = true,
      result = "pong" }))
  end)
end

return M
