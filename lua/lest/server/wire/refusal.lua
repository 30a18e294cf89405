--- A refusal: what ends a request early, raised where it is found and caught where the request is
--- answered.
---
---   refusal.raise(403, "the subject is not that of the certificate being renewed")
local core = require "lest.core"

local M = {}

---@class lest.refusal
---@field status integer the HTTP status that the client gets
---@field reason string a sentence for the client
---@field retry_after? integer seconds
---@field stale? boolean of a 401: only the nonce of Digest was not good any more
---@field allow? string the Allow header of a 405
---@field detail? string for the log alone
---@field failure? string what RFC 5272 6.1.4 calls it, for an answer of CMC
---@field bodies? integer[] the body parts of the message that it is about
---@field status_word? string of RFC 5272 6.1.3, in place of "failed"
---@field verdict? string what the ledger says of the request, for the log
---@field who? string who was refused, for the log
---@field device? string whom the request is about, for the log
local Refusal = { __name = "lest.refusal" }
Refusal.__index = Refusal

function Refusal:__tostring()
  return ("%d %s"):format(self.status, self.reason or "")
end

--- Raise a refusal; does not return.
---@param status integer
---@param reason string
---@param options? table the other fields
function M.raise(status, reason, options)
  local refusal = options or {}
  refusal.status, refusal.reason = status, reason
  error(setmetatable(refusal, Refusal), 0)
end

--- Whether an error says that memory was short: Lua's own, or one of the core.
---@param problem any
---@return boolean
function M.is_of_memory(problem)
  if core.error.is(problem) then return problem.code == "no_memory" end
  return problem == "not enough memory"
end

--- Raise an error that says that memory was short, as Lua does: nobody else is to blame for it. Any
--- other is let pass.
---@param problem any
function M.raise_memory(problem)
  if M.is_of_memory(problem) then error("not enough memory", 0) end
end

--- Refuse for an error in what the client sent.
---@param status integer
---@param err lest.error
function M.raise_for(status, err)
  M.raise_memory(err)
  M.raise(status, err.message)
end

--- Where memory was short, nothing is promised any more: the role ends, and another one answers the
--- client's next try.
---@return lest.refusal
function M.out_of_memory()
  core.process.out_of_memory()
  return setmetatable({ status = 503, reason = "the server has no memory left", retry_after = 5 },
    Refusal)
end

--- Whether a caught value is a refusal.
---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Refusal
end

return M
