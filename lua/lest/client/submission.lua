--- One CSR on its way to a certificate: sent, answered, and verified.
local answer = require "lest.client.answer"
local core = require "lest.core"
local issued = require "lest.client.issued"
local linking = require "lest.client.linking"
local renewal_window = require "lest.base.renewal_window"
local session = require "lest.client.session"
local wait = require "lest.client.wait"

local M = {}

-- 201 is what some servers answer with a certificate.
local ISSUED <const> = { [200] = true, [201] = true }

--- Send a CSR, and take what is issued. make() gives the CSR of each attempt, or a draft of one
--- that its connection completes; the key stays the same, so the server knows it again.
---@param self lest.client
---@param operation string "simpleenroll", "simplereenroll" or "serverkeygen"
---@param deadline? integer until when to persist, see lest.client.wait
---@param make fun(): lest.csr?|lest.client.draft?, lest.error?
---@param read? fun(response: lest.http.response): lest.cert[]?, lest.key|lest.error of an answer
--- with a key, which the certificate is for in place of the CSR's
---@return lest.cert?
---@return string[]|lest.error changed
---@return lest.key? key of `read`
function M.submit(self, operation, deadline, make, read)
  return wait.persist(self.notify, deadline, function()
    local request, err = make()
    if not request then return nil, err end
    local is_draft = type(request) == "table"
    local response, certs, cert, key
    response, err = session.perform(self, operation, is_draft and linking.body(request)
      or core.est.body_encode(request:der()))
    if not response then return nil, wait.note_lost(err, read ~= nil) end
    if not ISSUED[response.status] then
      return session.error(operation, answer.error(response))
    end
    certs, err = (read or answer.certificates)(response, operation)
    if not certs then return session.error(operation, err) end
    if read then key = err end
    cert, err = issued.take(certs, is_draft and request.csr or request, self.trust, function()
      return session.fetch_cacerts(self)
    end, key)
    if not cert then return session.error(operation, err) end
    self.renewal_window = renewal_window.read(response:header(renewal_window.HEADER))
    for _, sentence in ipairs(err) do self.notify("warning", sentence) end
    return cert, err, key
  end)
end

return M
