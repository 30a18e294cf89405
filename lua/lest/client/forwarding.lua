--- Requests that others have signed, sent on as they are (lest.client.carried): who sends them on
--- has no part in them, shows nothing of its own, and believes no answer. It may be anybody.
local answer = require "lest.client.answer"
local carried_text = require "lest.client.carried_text"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local fail = require "lest.base.fail"
local session = require "lest.client.session"
local url = require "lest.url"

local M = {}

--- The origin of a server, as a person has written it.
---@param text string
---@return string?
---@return lest.error? err code usage
function M.origin(text)
  local to, problem = url.parse(text)
  if to and to.scheme == "https" and to.path == "/" and not to.query then return to:origin() end
  return fail("usage", ("'%s' is no https://HOST[:PORT]%s"):format(text,
    problem and ": " .. problem or ""))
end

--- The base of the operations that a request is for, as lest.client takes it.
---@param address string? of the whole request
---@param origin? string "https://HOST[:PORT]" to go to in place of its own
---@return string? base
---@return lest.error? err code usage
function M.base_of(address, origin)
  local base = address and address:match "^(https://[%g]+)/fullcmc$"
  local target = base and url.parse(base)
  if not target then return fail("usage", "the file does not say where its requests go (URL)") end
  if not origin then return base end
  local to, err = M.origin(origin)
  if not to then return nil, err end
  return to .. target.path
end

local function say(message)
  local status = message.kind == "response" and cmc.worst(message)
  return status and answer.clean(cmc.text(status)) or "success"
end

--- Send a request, and get the server's answer to it, whatever that is.
---@param client lest.client
---@param request lest.client.carried_request
---@return string? text as a part of a file
---@return string|lest.error said what became of it, unverified, for people; or the error
function M.send(client, request)
  local response, err = session.perform(client, "fullcmc",
    core.est.body_encode(request.message:der()))
  if not response then return nil, err end
  local der = answer.pki_message(response)
  local message = der and core.cmc.parse(der)
  if not message then return session.error("fullcmc", answer.error(response)) end
  local said = say(message)
  return carried_text.answer(request.identity, said, der), said
end

--- The CA certificates of a client's server, as a part of a file: those who wait for the answer
--- judge them for themselves.
---@param client lest.client
---@param base string
---@return string? text
---@return lest.error? err
function M.certificates(client, base)
  local response, err = session.perform(client, "cacerts")
  if not response then return nil, err end
  if response.status ~= 200 then return session.error("cacerts", answer.error(response)) end
  local der
  der, err = answer.body(response, "cacerts")
  if not der then return session.error("cacerts", err) end
  return carried_text.certificates(base, der)
end

return M
