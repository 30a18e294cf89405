--- Where an issuer of JSON Web Tokens has its public keys: a JWK Set at an address (RFC 7517 5),
--- as OpenID Connect and Kubernetes have one. It is fetched now and then, and when the authority
--- misses a key. What comes is handed on as it is: the authority reads it.
local core = require "lest.core"
local fail = require "lest.base.fail"
local http = require "lest.http"
local message = require "lest.server.wire.message"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"

local M = {}

-- How long what was fetched may stand: as the address says (RFC 9111 5.2.2.1), within these.
local FRESH_S <const>, FRESH_LEAST_S <const>, FRESH_MOST_S <const> = 300, 60, 3600
local RETRY_MOST_S <const> = 60
local TIMEOUT <const> = "10s"
local TOKEN_MAX <const> = 16384

---@class lest.backend.key_source
---@field place integer in the configuration's list
---@field source lest.config.key_source
---@field trust "system"|lest.store
---@field set? string the text that was fetched
---@field seen_ms? integer monotonic: when it was there
---@field tag? string of the answer, to ask whether it is still that (RFC 9110 8.8.3)
---@field failures integer how often in a row it could not be had
---@field problem? string why
---@field on_change fun(source: lest.backend.key_source)
local KeySource = {}
KeySource.__index = KeySource

---@param place integer
---@param source lest.config.key_source
---@return lest.backend.key_source|nil
---@return lest.error|nil err
function M.new(place, source)
  local trust = source.trust
  if trust ~= "system" then
    local anchors, err = core.cert.load_all(trust)
    if not anchors then return start_failure.blame(source.where .. ".jwks_trust", err) end
    trust, err = core.store.new { anchors = anchors }
    if not trust then return start_failure.blame(source.where .. ".jwks_trust", err) end
  end
  return setmetatable({ place = place, source = source, trust = trust, failures = 0 }, KeySource)
end

--- The token that is shown there, as its file has it now: Kubernetes writes a new one before the
--- last is over.
local function token_of(self)
  if not self.source.token_file then return nil end
  local text, err = core.file.read(self.source.token_file, TOKEN_MAX)
  if not text then return nil, err end
  text = text:gsub("%s+$", "")
  -- RFC 6750 2.1; a line's end in it would be a header of its own.
  if not text:find "^[%w._~+/-]+=*$" then
    return fail("config", self.source.token_file .. ": it is no token")
  end
  return text
end

--- As the account that will read it from now on.
---@return boolean|nil ok
---@return lest.error|nil err
function KeySource:start()
  local _, err = token_of(self)
  if err then return start_failure.blame(self.source.where .. ".jwks_token_file", err) end
  return true
end

local function ask(self)
  local token, err = token_of(self)
  if err then return nil, err end
  return http.get(self.source.url, { trust = self.trust, timeout = TIMEOUT,
    max_body = message.JWKS_MAX, headers = {
      Accept = "application/jwk-set+json, application/json",
      Authorization = token and "Bearer " .. token or nil,
      ["If-None-Match"] = self.set and self.tag or nil } })
end

--- For how long an answer may stand; it must have been asked again while the authority keeps it.
local function fresh_s(response, keep)
  local control = (response:header "Cache-Control" or ""):lower()
  local age = tonumber(control:match "%f[%w-]max%-age%s*=%s*\"?(%d+)")
  if not age or control:find "no%-store" or control:find "no%-cache" then age = FRESH_S end
  age = math.tointeger(math.min(math.max(age, FRESH_LEAST_S), FRESH_MOST_S))
  return math.min(age, keep // 2)
end

local function failed(self, problem)
  self.failures = self.failures + 1
  if problem ~= self.problem then
    self.problem = problem
    core.log.write("warning", "jwks not fetched",
      { "key", self.source.where .. ".jwks", "url", self.source.url, "message", problem })
  end
  return math.min(1 << math.min(self.failures, 10), RETRY_MOST_S)
end

--- Fetch once; for how many seconds that is enough.
local function fetch(self)
  local response, err = ask(self)
  if not response then return failed(self, tostring(err)) end
  if response.status == 200 and response.body ~= "" then
    self.set, self.tag = response.body, response:header "ETag"
  elseif not (response.status == 304 and self.set) then
    return failed(self, ("it answers with %d"):format(response.status))
  end
  self.failures, self.problem, self.seen_ms = 0, nil, core.clock.monotonic_ms()
  return fresh_s(response, self.source.keep)
end

--- Fetch, unless that is being done, and again when what was fetched is no longer to stand.
function KeySource:refresh()
  if self.is_fetching then return end
  self.is_fetching = true
  if self.timer then self.timer:close() end
  task.start({ quiet = true }, function()
    local ok, wait = pcall(fetch, self)
    if not ok then wait = failed(self, tostring(wait)) end
    self.is_fetching, self.is_settled = false, true
    self.timer = core.loop.timer(wait * 1000, function() self:refresh() end)
    self.on_change(self)
  end)
end

--- What the authority is told.
---@return table message
function KeySource:keys()
  local age_ms = self.seen_ms and core.clock.monotonic_ms() - self.seen_ms or 0
  return { type = "keys", source = self.place, set = self.set, age_s = age_ms // 1000,
    problem = self.problem }
end

return M
