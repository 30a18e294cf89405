--- The kinds of proof by which a client may authenticate. A kind is a row here, a file that
--- collects what a client offers (server/worker/proofs/KIND.lua), a file that proves it
--- (server/authority/proofs/KIND.lua) and a field of its name in the messages begin and answer.
---
---   label.auth     "certificate+basic" in the configuration: all of these; each entry is enough.
---                  Secrets that are joined, as by "psk+basic", are of one name
---   label.accepts  every kind that some entry names
local lines = require "lest.server.wire.lines"
local list = require "lest.base.list"
local refusal = require "lest.server.wire.refusal"
local schema = require "lest.base.schema"

local M = {}

local ignored <const> = lines.new "proof ignored"

--- In the order of the authority: the first kind that proves something names the principal.
---   name       as `auth` has it, and request.principal.kind
---   facts      what request.auth.KIND says besides
---   scheme     that of HTTP authentication (RFC 9110 11.1), where it is one
---   by_secret  by a credential of the ledger, which a request uses up: it has one, or those that
---              an entry joins
---   handshake  proven in TLS, at an address of `listen` that says so, without certificates
M.list = {
  { name = "certificate", facts = { "name", "anchors" } },
  { name = "basic", facts = { "name" }, scheme = "Basic", by_secret = true },
  { name = "digest", facts = { "name" }, scheme = "Digest", by_secret = true },
  { name = "bearer", facts = { "name", "claims" }, scheme = "Bearer", by_secret = true },
  { name = "challenge", facts = { "name" }, by_secret = true },
  { name = "psk", facts = { "name" }, by_secret = true, handshake = "a pre-shared key" },
  { name = "srp", facts = { "name" }, by_secret = true, handshake = "a password (SRP)" },
}

M.by_name = {}
local NAMES <const> = {}
for i, kind in ipairs(M.list) do
  M.by_name[kind.name] = kind
  NAMES[i] = kind.name
end

--- Read an entry of a label's `auth`.
---@param text string "certificate+basic"
---@return string[]|nil names
---@return string|nil problem
function M.parse(text)
  local names, seen, by_header, by_handshake = {}, {}, nil, nil
  for name in (text .. "+"):gmatch "([^+]*)%+" do
    if not M.by_name[name] then
      return nil, ("'%s' is no kind of proof%s: write one of %s, or several as %s"):format(
        name:sub(1, 60), schema.hint(name, M.by_name), table.concat(NAMES, ", "),
        NAMES[1] .. "+" .. NAMES[2])
    elseif seen[name] then
      return nil, ("'%s' is named twice"):format(name)
    end
    local kind = M.by_name[name]
    if kind.scheme and by_header then
      return nil, ("'%s' and '%s' are both in the Authorization header, and a request has one: "
        .. "write them as two entries"):format(by_header, name)
    elseif kind.handshake and by_handshake then
      return nil, ("'%s' and '%s' are both a handshake, and a connection has one: "
        .. "write them as two entries"):format(by_handshake, name)
    end
    by_header = kind.scheme and name or by_header
    by_handshake = kind.handshake and name or by_handshake
    seen[name] = true
    table.insert(names, name)
  end
  if seen.certificate and by_handshake then
    return nil, ("a client with %s shows no certificate: write 'certificate' and '%s' as two "
      .. "entries"):format(M.by_name[by_handshake].handshake, by_handshake)
  end
  return names
end

--- Whether what was proven is enough for a label.
---@param auth string[][] entries as parse() reads them
---@param proven table<string, any> by kind
---@return boolean
function M.are_enough(auth, proven)
  if next(proven) == nil then return false end
  for _, entry in ipairs(auth) do
    local all = true
    for _, name in ipairs(entry) do all = all and proven[name] ~= nil end
    if all then return true end
  end
  return false
end

-- Whether an entry names a kind, and of the other secrets that it joins each is among some.
local function joins(entry, name, has)
  local is_named = false
  for _, other in ipairs(entry) do
    is_named = is_named or other == name
    if other ~= name and M.by_name[other].by_secret and not has(other) then return false end
  end
  return is_named
end

--- Whether a secret may be judged: all that an entry joins with it is offered. Else who has one of
--- two could guess at the other without it.
---@param auth string[][] of the label
---@param offered table<string, any> by kind
---@param name string of a kind
---@return boolean
function M.is_whole(auth, offered, name)
  if not M.by_name[name].by_secret then return true end
  for _, entry in ipairs(auth) do
    if joins(entry, name, function(other) return offered[other] ~= nil end) then return true end
  end
  return false
end

--- Whether a secret may be taken beside those that are proven: an entry joins them all, and they
--- are not enough without it.
---@param auth string[][] of the label
---@param proven table<string, any> by kind
---@param name string of a kind
---@return boolean
function M.may_join(auth, proven, name)
  local secrets = {}
  for kind in pairs(proven) do
    if M.by_name[kind].by_secret then secrets[#secrets + 1] = kind end
  end
  if #secrets == 0 then return true end
  if M.are_enough(auth, proven) then return false end
  for _, entry in ipairs(auth) do
    local has_all = list.has(entry, name)
    for _, kind in ipairs(secrets) do has_all = has_all and list.has(entry, kind) end
    if has_all then return true end
  end
  return false
end

--- Run one kind's step, step(...). Its refusal is logged and passed over where the kinds before it
--- are enough alone: clients send a used-up secret, an empty user or another scheme beside a
--- certificate that is good. An error that is no refusal is raised.
---@param kind string
---@param request { id: string }
---@param auth string[][] of the label
---@param others table<string, any> what the kinds before it have given
---@param step function
---@return any result of the step; nil where its refusal was passed over
function M.try(kind, request, auth, others, step, ...)
  if not M.are_enough(auth, others) then return step(...) end
  local ok, result = pcall(step, ...)
  if ok then return result end
  if not refusal.is(result) then error(result, 0) end
  ignored:write("info", { "id", request.id, "kind", kind,
    "reason", lines.short(result.reason), "detail", lines.short(result.detail) })
end

--- What to answer a client that has not shown enough: 401 where credentials that it has not offered
--- would help, which they do not where only a certificate counts.
---@param accepts table<string, boolean>
---@param offered table<string, any> by kind
---@param wants_certificate boolean the operation renews a certificate, and none was shown
---@return integer status
---@return string reason
function M.missing(accepts, offered, wants_certificate)
  for _, kind in ipairs(M.list) do
    local name = kind.name
    if kind.scheme and accepts[name] and not offered[name] and not wants_certificate then
      return 401, "credentials are required"
    end
  end
  if accepts.challenge and not offered.challenge and not wants_certificate then
    return 403, "a challengePassword in the CSR is required"
      .. (accepts.certificate and ", or a TLS client certificate" or "")
  end
  for _, kind in ipairs(M.list) do
    if kind.handshake and accepts[kind.name] and not accepts.certificate then
      return 403, ("a TLS handshake with %s is required"):format(kind.handshake)
    end
  end
  return 403, accepts.certificate and "a TLS client certificate is required"
    or "renewal needs a TLS client certificate, and none is accepted here"
end

return M
