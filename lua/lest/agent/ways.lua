--- The ways to a certificate: what an identity shows to the server, and what it asks for. Each is
--- function(identity, key) -> certificate, changes | nil, err.
local anchors = require "lest.agent.anchors"
local client_options = require "lest.client.options"
local core = require "lest.core"
local lest_client = require "lest.client"
local server_clock = require "lest.agent.server_clock"
local shape = require "lest.agent.shape"

local M = {}

local SECRET_MAX <const> = 16384

-- Who somebody is: no part of what a client is given that shows a certificate.
local CREDENTIALS <const> = { "username", "password", "bearer", "bearer_file", "psk_identity",
  "psk", "psk_file", "srp_user", "srp_password", "srp_password_file", "challenge",
  "challenge_file", "preemptive", "digest" }

local function add_secrets(options, each, names)
  for _, name in ipairs(names) do
    local path = each[name .. "_file"]
    if path then
      local text, err = client_options.secret_of_file(path, SECRET_MAX)
      if not text then return nil, err end
      options[name] = text
    end
  end
  return true
end

-- The client for an identity: without credentials where it shows its certificate.
local function client_of(identity, how)
  local each, options = identity.options, {}
  for name in pairs(shape.client) do options[name] = each[name] end
  options.trust, options.fingerprint, options.trust_cacerts = nil, nil, nil
  for name, value in pairs(anchors.of(identity)) do options[name] = value end
  options.notify = function(kind, message) identity:heard(kind, message) end
  local ok, err = add_secrets(options, each, { "proxy_password" })
  if ok and how.credentials then ok, err = add_secrets(options, each, { "password" }) end
  if not ok then return nil, err end
  if not how.credentials then
    for _, name in ipairs(CREDENTIALS) do options[name] = nil end
    local renewal = each.renewal or {}
    options.url, options.label = renewal.url or options.url, renewal.label or options.label
  end
  options.cert, options.key = how.cert, how.key
  if how.passphrase_file then
    options.passphrase, err =
      client_options.secret_of_file(how.passphrase_file, SECRET_MAX)
    if not options.passphrase then return nil, err end
  end
  return lest_client(options)
end

-- The anchors first: what is learnt there may be needed for what comes next. A server that cannot
-- be reached, or is not trusted, shows here, before anything is asked for.
local function prepare(identity, client)
  local found, err = client:cacerts()
  if not found then return nil, err end
  return anchors.keep(identity, client, identity.world.clock())
end

local function by_certificate(identity)
  local cert, err = identity.place:current()
  if not cert then return nil, err end
  local key
  key, err = identity.place:key()
  if not key then return nil, err end
  return client_of(identity, { cert = cert, key = key })
end

local function by_credential(identity)
  local each = identity.options
  return client_of(identity, { credentials = true, cert = each.cert, key = each.cert_key,
    passphrase_file = each.cert_passphrase_file })
end

local function renew(client, each, key)
  return client:reenroll { key = key, csrattrs = each.csrattrs }
end

local function enroll(client, each, key)
  return client:enroll { key = key, subject = each.subject, san = each.san,
    key_usage = each.key_usage, eku = each.eku, csrattrs = each.csrattrs }
end

-- With a key that both know, or a password, there is no certificate to show; else where it is said.
local function renews_by_credential(each)
  local renewal = each.renewal or {}
  return renewal.credential or (each.psk_identity or each.srp_user) and not renewal.url
end

-- client: who asks. ask: what for.
local WAYS <const> = {
  renew = { client = by_certificate, ask = renew },
  expired = { client = by_certificate, ask = renew },
  bootstrap = { client = by_credential, ask = enroll },
}

--- A client with what a way shows, or signs with. Nothing is asked for yet.
---@param identity lest.agent.identity
---@param way string "renew", "expired" or "bootstrap"
---@return lest.client?
---@return lest.error? err
function M.client(identity, way)
  return WAYS[way].client(identity)
end

--- The client of a way, once /cacerts has been asked for.
---@param identity lest.agent.identity
---@param way string "renew", "expired" or "bootstrap"
---@return lest.client?
---@return lest.error? err
function M.open(identity, way)
  if way == "renew" and renews_by_credential(identity.options) then way = "bootstrap" end
  local client, err = WAYS[way].client(identity)
  if not client then return nil, err end
  local ok
  ok, err = prepare(identity, client)
  server_clock.note(identity, client.clock_offset)
  if ok then return client end
  client:close()
  return nil, err
end

--- Ask for a certificate.
---@param identity lest.agent.identity
---@param way string
---@param client lest.client
---@param key lest.key
---@return lest.cert? cert verified, with its chain
---@return string[]|lest.error changed what the server changed of the names; or the error
function M.ask(identity, way, client, key)
  if way == "renew" and renews_by_credential(identity.options) then way = "bootstrap" end
  return WAYS[way].ask(client, identity.options, key)
end

--- The files that a credential is read from, with what tells that they were replaced: a human who
--- is called for help answers with one of them.
---@param identity lest.agent.identity
---@return string
function M.stamp(identity)
  local each, parts = identity.options, {}
  for _, name in ipairs { "password_file", "bearer_file", "psk_file", "srp_password_file",
    "challenge_file", "cert", "trust" } do
    local path = each[name]
    if path and path ~= "system" then
      parts[#parts + 1] = ("%s %s"):format(name, core.file.version(path) or "none")
    end
  end
  return table.concat(parts, ", ")
end

return M
