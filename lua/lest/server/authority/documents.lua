--- What the authority gives the workers for anybody who asks them: each worker has all of it from
--- the beginning, and what is new at once. The bytes are in sealed files, which go with a message;
--- a worker gives the authority none.
local core = require "lest.core"
local message = require "lest.server.wire.message"
local public = require "lest.server.config.public"

local M = {}

-- A worker that has no room for a packet is given all once more, so much later.
local AGAIN_MS <const> = 1000

---@class lest.authority.document
---@field path string
---@field media_type string
---@field etag string
---@field modified integer seconds since 1970
---@field expires? integer by then there is another one
---@field sealed lest.sealed

---@class lest.authority.documents
---@field channels lest.authority.channels
---@field at table<string, { packet: string, sealed: lest.sealed }> by path
---@field behind table<lest.authority.channel, boolean> those that had no room
local Documents = {}
Documents.__index = Documents

---@param channels lest.authority.channels
---@return lest.authority.documents
function M.new(channels)
  return setmetatable({ channels = channels, at = {}, behind = {} }, Documents)
end

local function give(self, channel, document)
  if channel.closed or channel.socket:send(document.packet, document.sealed) then return end
  self.behind[channel] = true
  self.again = self.again or core.loop.timer(AGAIN_MS, function()
    local behind = self.behind
    self.again, self.behind = nil, {}
    for each in pairs(behind) do self:greet(each) end
  end)
end

--- Give a worker all that there is.
---@param channel lest.authority.channel
function Documents:greet(channel)
  for _, document in pairs(self.at) do give(self, channel, document) end
end

--- Give every worker a document, in place of the one before at its path.
---@param document lest.authority.document its bytes may be at other paths, too
function Documents:publish(document)
  local sealed, before = document.sealed, self.at[document.path]
  local packet = assert(message.encode { type = "document", path = document.path,
    media_type = document.media_type, etag = document.etag, modified = document.modified,
    expires = document.expires })
  self.at[document.path] = { packet = packet, sealed = sealed }
  -- Not left to the collector; messages that wait keep it.
  if before then before.sealed:close() end
  for _, channel in pairs(self.channels.of_worker) do
    give(self, channel, self.at[document.path])
  end
end

--- Say that there is to be a document at a path, and none can be given yet: no bytes stand for it.
--- A worker that has one of before goes on with that.
---@param path string
---@param media_type string
function Documents:announce(path, media_type)
  self:publish { path = path, media_type = media_type, etag = "none", modified = 0,
    sealed = assert(core.sealed.new "") }
end

--- The CAs' own certificates (RFC 5280 4.2.2.1).
---@param issuers table<string, table> those that sign, by name
---@param by_id table<string, table> all, by their keys
function Documents:publish_cas(issuers, by_id)
  for _, issuer in pairs(by_id) do
    local der = issuer.cert:der()
    local sealed = assert(core.sealed.new(der))
    local paths = { public.path_of_key("ca", issuer.id) }
    if issuers[issuer.name] == issuer then
      table.insert(paths, public.path_of("ca", issuer.name))
    end
    for _, path in ipairs(paths) do
      self:publish { path = path, media_type = "application/pkix-cert",
        etag = core.secret.sha256(der):sub(1, 32), modified = math.max(issuer.cert.not_before, 0),
        sealed = sealed }
    end
  end
end

return M
