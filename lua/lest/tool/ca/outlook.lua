--- What a rollover means for clients: when the next step is safe, and what those see that have been
--- away since a time.
---
---   for _, each in ipairs(outlook.clients(state)) do print(each.who, each.sees) end
local clock = require "lest.base.clock"
local core = require "lest.core"
local generations = require "lest.tool.ca.generations"

local M = {}

--- The name in a configuration of the CA that has this file, and "" for `ca`; nil: none has.
---@param config table
---@param file string
---@return string|nil
function M.name_of(config, file)
  local path = core.file.resolve(file) or file
  local function has(ca) return (core.file.resolve(ca.cert) or ca.cert) == path end
  if has(config.ca) then return "" end
  for name, ca in pairs(config.cas) do
    if has(ca) then return name end
  end
end

--- The longest that a certificate of a CA is valid: by then each of its clients has been here
--- again.
---@param config table
---@param name string
---@return integer seconds
function M.longest(config, name)
  local longest = 0
  for _, label in pairs(config.labels) do
    for _, ca in ipairs(label.cas) do
      for _, profile in ipairs(ca == name and label.profiles or {}) do
        longest = math.max(longest, config.profiles[profile].lifetime)
      end
    end
  end
  return longest
end

--- When the new certificate was made: clients that came since have it.
---@param state lest.ca.state
---@return integer|nil seconds since 1970
function M.since(state)
  local cert = state.new and state.new.cert or #state.links > 0 and state.signing.cert
  return cert and cert.not_before + generations.BACKDATE_S or nil
end

-- Until when the link to the new generation holds.
local function link_end(state)
  local new = state.new and state.new.cert or state.signing.cert
  for _, cert in ipairs(state.links) do
    if cert.public_key.der == new.public_key.der then return cert.not_after end
  end
end

local SEES <const> = {
  begun = { "no difference: the old key signs the server's certificate and theirs",
    "both generations at /cacerts; the old key signs" },
  switched = { "the server's certificate under the old root; their next one is of the new key, and "
    .. "/cacerts has what links it to the root that they have, until %s",
    "certificates of the new key, under a root that they have" },
  none = { "the server's certificate with the link to the new root, which holds until %s; a "
    .. "certificate of the old key is not renewed any more",
    "certificates of the one key" },
}

-- A CA under a root that stays needs no link.
local UNDER <const> = {
  begun = SEES.begun[2], switched = "certificates of the new key, under the root that they have",
}

--- What clients see by when they were here last.
---@param state lest.ca.state
---@return { who: "old"|"both", until_s?: integer, since_s?: integer, sees: string }[]
function M.clients(state)
  local since = M.since(state)
  local sees, till = SEES[state.step], link_end(state)
  if not sees or not since then return {} end
  if not till then
    return { { who = "both", sees = UNDER[state.step] or SEES.none[2] } }
  end
  return { { who = "old", until_s = since, sees = sees[1]:format(clock.text(till)) },
    { who = "both", since_s = since, sees = sees[2] } }
end

return M
