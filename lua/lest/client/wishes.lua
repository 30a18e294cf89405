--- What the server wants in a CSR (RFC 7030 4.5): the list, and as advice. `self` is a lest.client.
---
---   local found, err = wishes.fetch(self, true)
local answer = require "lest.client.answer"
local core = require "lest.core"
local session = require "lest.client.session"

local M = {}

--- The attributes as the server lists them, an empty list if it has none.
---@param self lest.client
---@return lest.csrattr[]?
---@return lest.error? err
function M.list(self)
  local response, err = session.perform(self, "csrattrs")
  if not response then return nil, err end
  local status = response.status
  if status == 204 or status == 404 or status == 501 then
    if status == 404 and self.label then
      self.notify("warning", "the server knows no CSR attributes for the label " .. self.label)
    end
    return {}
  end
  if status ~= 200 then return session.error("csrattrs", answer.error(response)) end
  if response.body == "" then
    self.notify("warning", "the server's answer to csrattrs is empty, as if it had no wishes")
    return {}
  end
  local der, list
  der, err = answer.body(response, "csrattrs")
  if not der then return session.error("csrattrs", err) end
  list, err = core.csrattrs.decode(der)
  if not list then return session.error("csrattrs", err) end
  return list
end

-- Whether an error of csrattrs is an answer that makes no sense, or none for now: RFC 7030 4.5, the
-- attributes are advice. What is wrong with the network, TLS, trust or the password stays an error.
local ODD <const> = { http = true, protocol = true, refused = true, unavailable = true,
  pending = true, csrattrs_malformed = true }

--- What the server wishes; none, with a warning, where it cannot say.
---@param self lest.client
---@param patient boolean a busy server is worth a pause: its error is returned
---@return lest.wishes?
---@return lest.error? err
function M.fetch(self, patient)
  local list, err = M.list(self)
  local wishes
  if list then
    wishes, err = core.csrattrs.wishes(list)
    -- RFC 9908 4: with a template, nothing else says what the server wants.
    if not wishes then return session.error("csrattrs", err) end
  end
  if wishes then return wishes end
  local busy = err.code == "unavailable" or err.code == "pending"
  local is_answer = err.status or err.code == "csrattrs_malformed"
  if not ODD[err.code] or not is_answer or busy and patient then return nil, err end
  self.notify("warning", "what the server wants in a request is not known: " .. tostring(err))
  return core.csrattrs.wishes {}
end

return M
