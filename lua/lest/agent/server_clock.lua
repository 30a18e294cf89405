--- What the server's clock says (Date of an answer that is verified): a hint for people, who look
--- for the reason why something is "not yet valid". Nothing is judged by it.
local duration = require "lest.duration"

local M = {}

-- What differs by less is no news, from one line of the log to the next either.
local LEAST_S <const> = 300

--- Remember by how much the clocks differed when the server was last heard.
---@param identity lest.agent.identity
---@param offset integer|nil seconds that the server is ahead; nil: it has not said
function M.note(identity, offset)
  if not offset then return end
  local memory = identity.memory
  local before = memory.clock_offset or 0
  if math.abs(offset) < LEAST_S then offset = 0 end
  memory.clock_offset = offset ~= 0 and offset or nil
  if offset ~= 0 and math.abs(offset - before) >= LEAST_S then
    identity:say("warning", "clock differs", { "message", M.text(offset) })
  end
end

--- A sentence, nil where there is nothing to say.
---@param offset integer|nil of an identity's memory
---@return string|nil
function M.text(offset)
  if not offset then return nil end
  return ("this device's clock was %s the server's by %s when that last answered"):format(
    offset > 0 and "behind" or "ahead of", duration.format(math.abs(offset)))
end

return M
