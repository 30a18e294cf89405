--- Who names themselves in a handshake without certificates: their secrets are the authority's,
--- which is asked for the one of the handshake under way. That stands still meanwhile, and the loop
--- turns.
local lines = require "lest.server.wire.lines"
local task = require "lest.task"

local M = {}

local refused <const> = lines.new "identity refused"

---@param link lest.worker.link
---@return fun(identity: lest.identity) on_identity of core.server
function M.asker(link)
  return function(identity)
    task.start({ quiet = true }, function()
      local found, problem = link:seek(identity)
      local srp = found and found.srp
      if srp then
        return identity:answer { verifier = srp.verifier, salt = srp.salt, group = srp.group,
          grant = found.grant }
      elseif found then
        return identity:answer { key = found.key, grant = found.grant }
      end
      refused:write("warning", { "kind", identity.kind, "name", lines.short(identity.name),
        "address", identity.address, "reason", problem })
      identity:refuse()
    end)
  end
end

--- Tell the authority that a handshake has succeeded: it was no guess.
---@param link lest.worker.link
---@param exchange lest.exchange
function M.tell(link, exchange)
  local identity = exchange.peer_identity
  if identity then link:tell_proven(identity.grant) end
end

return M
