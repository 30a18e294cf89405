--- Messages of CMC for specs: made, sent to a server, and its answers.
---
---   local said = cmc.post(server, cmc.request { key = key, cert = cert, csrs = { csr } })
---   said.status, said.message, said.statuses
local core = require "lest.core"
local helpers = require "lest.base.cmc"

local M = {}

M.NONCE = ("n"):rep(16)

--- A request as core.cmc.content takes it.
function M.body(id, csr)
  return { id = id, [csr.form == "crmf" and "crmf" or "csr"] = csr:der() }
end

--- A Full PKI Request. what: key and cert, or key and key_id, sign it; csrs: lest.csr, body parts 1
--- and so on; controls: as core.cmc.content takes them, ids from 101; requests, certificates in
--- place of those; contents: messages within.
function M.request(what)
  local requests, controls = what.requests or {}, {}
  for i, csr in ipairs(what.csrs or {}) do requests[i] = M.body(i, csr) end
  for i, control in ipairs(what.controls or {
    { name = "senderNonce", value = M.NONCE }, { name = "transactionId", value = "\x2a" },
  }) do
    control.id = control.id or 100 + i
    controls[i] = control
  end
  return assert(core.cmc.sign { kind = "request", key = what.key, cert = what.cert,
    key_id = what.key_id, certificates = what.certificates or { what.cert },
    content = assert(core.cmc.content { kind = "request", controls = controls,
      requests = requests, contents = what.contents }) })
end

--- POST a message; further words are curl's. status, headers, body; of a PKIResponse message, and
--- its statusInfoV2 as statuses.
function M.post(server, der, ...)
  local path = server:file("request.cmc", core.est.body_encode(der, 64))
  local said = {}
  said.status, said.body, said.headers = server:curl("/fullcmc", "-H",
    "Content-Type: application/pkcs7-mime; smime-type=CMC-request", "--data-binary", "@" .. path,
    ...)
  local bytes = core.base64.decode(said.body)
  said.message = bytes and core.cmc.parse(bytes)
  said.statuses = {}
  for _, control in ipairs(said.message and said.message.controls or {}) do
    if control.name == "statusInfoV2" then table.insert(said.statuses, control.value) end
  end
  return said
end

function M.find(message, name)
  return (helpers.find(message, name))
end

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

--- HMAC-SHA-256 under the hash of a secret.
function M.witness(secret, over)
  return assert(core.secret.hmac_sha256(unhex(core.secret.sha256(secret)), over))
end

--- The controls of an identity proof by a secret of a name over CSRs, and more controls.
function M.identity(name, secret, csrs, more)
  local requests = {}
  for i, csr in ipairs(csrs) do requests[i] = M.body(i, csr) end
  local controls = { { name = "identification", value = name }, { name = "identityProofV2",
    value = { witness = M.witness(secret .. name, assert(core.cmc.request_sequence(requests))) } } }
  for _, control in ipairs(more or {}) do controls[#controls + 1] = control end
  return controls
end

--- An attribute that links a CSR to an identity proof.
function M.link(secret, random)
  return { oid = "1.3.6.1.5.5.7.7.33",
    values = { assert(core.cmc.witness(M.witness(secret, random))) } }
end

--- A CSR that says what its key's identifier is, and that.
function M.csr_with_key_id(plan)
  local key_id = ("k"):rep(20)
  plan.extensions = { { oid = "2.5.29.14", value = "\4\20" .. key_id } }
  return assert(core.csr.build(plan)), key_id
end

return M
