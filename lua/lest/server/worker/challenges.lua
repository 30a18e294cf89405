--- What a 401 asks a client for: one challenge a header field (RFC 9110 11.6.1), for each kind of
--- proof that the label takes and that has a scheme of HTTP.
local core = require "lest.core"
local digests = require "lest.base.digest"
local kinds = require "lest.server.wire.kinds"
local list = require "lest.base.list"
local nonce = require "lest.server.wire.nonce"

local M = {}

local HAS_MD5 <const> = list.has(digests.ALGORITHMS, "MD5")

-- A Digest challenge; one without an algorithm is of MD5, and has nothing that RFC 2617 has not.
local function digest(realm, key, algorithm, stale)
  local made = nonce.make(key, realm, core.clock.monotonic_ms() // 1000)
  return ('Digest realm="%s", nonce="%s", qop="auth"%s%s'):format(realm, made,
    algorithm and (', algorithm=%s, charset="UTF-8"'):format(algorithm) or "",
    stale and ", stale=true" or "")
end

local makers <const> = {
  basic = function(options)
    return { ('Basic realm="%s", charset="UTF-8"'):format(options.realm) }
  end,
  -- RFC 7616 3.7: the best first. A client that reads only the first field, as Bouncy Castle, reads
  -- neither an algorithm without quotes.
  digest = function(options, key, stale)
    local order = digests.ALGORITHMS
    if options.digest_first and HAS_MD5 then order = { false, "SHA-256" } end
    local all = {}
    for i, algorithm in ipairs(order) do all[i] = digest(options.realm, key, algorithm, stale) end
    return all
  end,
  -- RFC 6750 3.1: no error where no token was sent.
  bearer = function(options, _, _, has_token)
    return { ('Bearer realm="%s"%s'):format(options.realm,
      has_token and ', error="invalid_token"' or "") }
  end,
}

--- The values of WWW-Authenticate.
---@param label lest.worker.label
---@param key string? of the authority's hello
---@param stale boolean? only the nonce that the client used was not good any more
---@param has_token boolean? a Bearer token was sent, and refused
---@return string[]? challenges nil where nonces cannot be made now
function M.of(label, key, stale, has_token)
  local options, all = label.options, {}
  if label.accepts.digest and not key then return nil end
  for _, kind in ipairs(kinds.list) do
    if kind.scheme and label.accepts[kind.name] then
      local made = makers[kind.name](options, key, stale, has_token)
      local at = kind.name == "digest" and options.digest_first and 1 or #all + 1
      for i, challenge in ipairs(made) do table.insert(all, at + i - 1, challenge) end
    end
  end
  return all
end

return M
