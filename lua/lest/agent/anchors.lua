--- Whom an identity trusts: the configuration's anchors at first, then those that were learnt from
--- /cacerts, as far as the old ones vouch for them (lest.client.trust), which are kept.
---
---   local trust = anchors.of(identity)       -- for lest.client
---   anchors.keep(identity, client)           -- after a cacerts that was verified
local core = require "lest.core"

local M = {}

local FILE_MAX <const> = 4 * 1024 * 1024

-- What the configuration says of trust, as a text to compare: another file, or another text in it,
-- is an operator's word, which counts more than what was learnt.
local function word_of(options)
  if options.fingerprint then return "fingerprint " .. options.fingerprint:lower() end
  if not options.trust then return "handshake" end
  if options.trust == "system" then return "system" end
  local text = core.file.read(options.trust, FILE_MAX)
  return text and core.secret.sha256(text)
end

--- The options of lest.client that say how the server is known.
---@param identity lest.agent.identity
---@return table
function M.of(identity)
  local options, memory = identity.options, identity.memory
  local word = word_of(options)
  -- A file that cannot be read now is no new word.
  if word and memory.trust ~= word then
    if memory.trust then identity:say("info", "trust anchors changed", {}) end
    identity.place:keep_anchors {}
    memory.trust, memory.anchors = word, nil
  end
  local kept = options.trust ~= "system" and identity.place:anchors()
  if kept then return { trust = kept } end
  return { trust = options.trust, fingerprint = options.fingerprint,
    trust_cacerts = options.trust_cacerts }
end

-- Those that have ended vouch for nothing.
local function alive(certs, now)
  local found, last = {}, 0
  for _, cert in ipairs(certs) do
    if cert.not_after > now then
      found[#found + 1] = cert
      last = math.max(last, cert.not_after)
    end
  end
  return found, last
end

local function fingerprints(certs)
  local all = {}
  for i, cert in ipairs(certs or {}) do all[i] = cert.fingerprint end
  table.sort(all)
  return table.concat(all, " ")
end

--- Keep what a client has learnt, and when the anchors end. When the server wants its certificates
--- renewed, it says with its anchors.
---@param identity lest.agent.identity
---@param client lest.client
---@param now integer
---@return true?
---@return lest.error? err
function M.keep(identity, client, now)
  local memory = identity.memory
  local known, last = alive(client.trust:anchors(), now)
  memory.anchors = { at = now, ends = #known > 0 and last or nil }
  memory.window = client.renewal_window
  if identity.options.trust == "system" or #known == 0 then return true end
  if fingerprints(known) == fingerprints(identity.place:anchors()) then return true end
  local ok, err = identity.place:keep_anchors(known)
  if not ok then return nil, err end
  identity:say("info", "trust anchors kept", { "count", #known })
  return true
end

--- When the anchors are to be asked for again; nil: with the next renewal, the first of all.
---@param identity lest.agent.identity
---@param now integer
---@return integer|nil at
function M.due(identity, now)
  local memory = identity.memory
  if not memory.anchors then return nil end
  if memory.anchors.at > now then return now end -- by a clock that was ahead
  local every = identity.options.anchors_every
  -- Stable for a device, spread over all: a tenth of the time later or earlier.
  return memory.anchors.at + every - math.floor(every * memory.place / 10)
end

--- The days that are left, where they are fewer than an operator wants to hear of.
---@param identity lest.agent.identity
---@param now integer
---@return integer|nil seconds
function M.ends_in(identity, now)
  local ends = identity.memory.anchors and identity.memory.anchors.ends
  if ends and ends - now < identity.options.anchors_warning then return ends - now end
end

return M
