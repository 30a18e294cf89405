--- The way to a server by a gateway that sends on (`lest forward --listen`): what others carry by
--- hand, over a connection that proves nothing. Who answers there may be anybody: what the server
--- has not signed is a failure of the network, and nothing that it says puts a device off.
local answer = require "lest.client.answer"
local carried = require "lest.client.carried"
local carried_text = require "lest.client.carried_text"
local carrying = require "lest.agent.carrying"
local core = require "lest.core"
local fail = require "lest.base.fail"
local http = require "lest.http"
local options_of = require "lest.client.options"

local M = {}

local ANSWER_MAX <const> = 4 * 1024 * 1024
local CMC <const> = "application/pkcs7-mime; smime-type=CMC-request"

local function exchange(identity, trust, path, body)
  local each = identity.options
  local response, err = http.request { url = each.gateway .. path,
    method = body and "POST" or "GET",
    headers = body and { ["Content-Type"] = CMC } or nil, body = body, trust = trust.store,
    timeout = each.timeout or "60s", max_body = ANSWER_MAX }
  if not response then return nil, err end
  return response
end

-- What a gateway says by itself.
local function away(response)
  return fail("network", ("the gateway has no answer of the server: %s"):format(
    tostring(answer.error(response))))
end

---@class lest.agent.gateway
---@field trust lest.client.trust
local Opened = {}
Opened.__index = Opened

Opened.close = function() end -- as a client, whose place it takes
Opened.__close = Opened.close

-- The folder of the operations at the server.
local function path_of(identity)
  local each = identity.options
  local base, err = options_of.base { url = each.url, label = each.label }
  if not base then return nil, err end
  return base.path
end

--- See whether the gateway reaches a server, by its CA certificates, and learn from these as far as
--- the identity's anchors vouch for them.
---@param identity lest.agent.identity
---@return lest.agent.gateway?
---@return lest.error? err
function M.open(identity)
  local trust, path, response, ok, err
  trust, err = carrying.trust(identity)
  if not trust then return nil, err end
  path, err = path_of(identity)
  if not path then return nil, err end
  response, err = exchange(identity, trust, path .. "/cacerts")
  if not response then return nil, err end
  local certs = response.status == 200 and answer.certificates(response, "cacerts")
  if not certs then return away(response) end
  ok, err = carrying.learn(identity, trust, certs, identity.world.clock())
  if not ok then return nil, err end
  return setmetatable({ trust = trust }, Opened)
end

--- Ask for a certificate.
---@param identity lest.agent.identity
---@param way string
---@param opened lest.agent.gateway
---@return lest.cert? cert verified, with its chain
---@return string[]|lest.error changed what the server changed of the names; or the error
function M.ask(identity, way, opened)
  if not carrying.holds(identity, way) then return carrying.no_way() end
  local text, path, entries, response, err
  text, path = carrying.request(identity, way, identity.world.clock())
  if not text then return nil, path end
  entries, err = carried_text.requests(text)
  if not entries then return nil, err end
  local sent = entries[1].message
  response, err = exchange(identity, opened.trust, path .. "/fullcmc",
    core.est.body_encode(sent:der(), 64))
  if not response then return nil, err end
  local der = answer.pki_message(response)
  local message = der and core.cmc.parse(der)
  if not message then return away(response) end
  return carried.take(opened.trust, sent, message)
end

return M
