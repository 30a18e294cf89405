--- Is what the server issued what was asked for? (RFC 7030 4.2.3)
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

local function failure(message, cause)
  return fail("trust", message, { cause = cause })
end

-- Among extra certificates the one for the key that was sent; of several the newest.
local function pick(certs, spki)
  local leaf, others = nil, {}
  for _, cert in ipairs(certs) do
    if cert.public_key.der == spki and (not leaf or cert.not_before > leaf.not_before) then
      leaf = cert
    end
  end
  for _, cert in ipairs(certs) do
    if cert ~= leaf then others[#others + 1] = cert end
  end
  return leaf, others
end

local function list(san)
  return #san > 0 and table.concat(san, ", ") or "none"
end

--- What the server has changed of the names that were asked for.
---@param cert lest.cert
---@param csr lest.csr
---@return string[] sentences
function M.changes(cert, csr)
  local sentences = {}
  local wanted, subject_der, san_der = csr, csr.subject_der, csr.san_der
  if csr.change then
    wanted = csr.change
    subject_der = core.name.encode(wanted.subject)
    san_der = #wanted.san > 0 and core.san.encode(wanted.san) or nil
  end
  if not subject_der or not core.name.equal(subject_der, cert.subject_der) then
    sentences[1] = ("the subject is %s, not %s"):format(cert.subject, wanted.subject)
  end
  if not core.san.equal(san_der, cert.san_der) then
    local text = ("the alternative names are %s, not %s"):format(list(cert.san), list(wanted.san))
    sentences[#sentences + 1] = text
  end
  return sentences
end

-- The server has issued it all the same: who mends the anchors asks again with the same key.
local function not_accepted(leaf, trust, key)
  local message = "the issued certificate is not accepted"
  if trust.take_root then return message end
  return ("%s: put the certificate of its CA, %s, among the anchors (--trust), or take the "
    .. "server's (--trust-cacerts), and ask again%s"):format(message, leaf.issuer,
    key and "" or " with the same key")
end

--- The certificate for a CSR out of those in the answer, verified, with its chain.
---@param certs lest.cert[]
---@param csr lest.csr
---@param trust lest.client.trust
---@param fetch_cacerts fun(): any, lest.error? makes trust learn what the chain needs
---@param key? lest.key that the server has made, in place of the CSR's
---@return lest.cert?
---@return string[]|lest.error what the server changed, or the error
function M.take(certs, csr, trust, fetch_cacerts, key)
  local leaf, others = pick(certs, key and key:public_der() or csr.public_key.der)
  if not leaf then
    return failure(#certs == 0 and "the server's answer has no certificate"
      or "the server's certificate is for another key")
  end
  local chain, result = trust:verify(leaf, others)
  if not chain and #trust.bag == 0 then
    local learnt, problem = fetch_cacerts()
    chain, result = trust:verify(leaf, others)
    if not chain and not learnt then result = problem end
  end
  if not chain then return failure(not_accepted(leaf, trust, key), result) end
  -- Peers have their own copy of a root. Only the last of a chain can be one.
  local rest = table.move(chain, 2, #chain - (result and 1 or 0), 1, {})
  return leaf:with_chain(rest), M.changes(leaf, csr)
end

return M
