--- The Authorization header (RFC 9110 11.6.2), which several kinds of proof may be offered in.
local kinds = require "lest.server.wire.kinds"

local M = {}

-- The bytes that the log shows of a name that is claimed and not proven.
local CLAIMED_MAX <const> = 64

--- The header, for a kind of proof to read; nil where there is none, or where its scheme is that of
--- another kind that the label takes.
---@param exchange lest.exchange
---@param request lest.worker.request
---@param name string of the kind
---@return string?
function M.of(exchange, request, name)
  local value = exchange:header "authorization"
  if not value then return nil end
  local scheme = value:match "^[^ ,]*":lower()
  for _, kind in ipairs(kinds.list) do
    local is_its = kind.scheme and kind.scheme:lower() == scheme
    if is_its and kind.name ~= name and request.label.accepts[kind.name] then return nil end
  end
  return value
end

--- Note whom the client says that it is, for the log.
---@param request lest.worker.request whose `claimed` is set
---@param username string?
function M.claim(request, username)
  request.claimed = username and username:sub(1, CLAIMED_MAX)
end

return M
