--- A CA behind Lua: a file of the user's that returns a function, or a table with `issue` and
--- perhaps `revoke`, `cacerts` and `status`. It is loaded as `backend_user`, with `lest` at hand.
---
---   local lest = require "lest"
---   return function(request)
---     local res, err = lest.http.post("https://ca.example/sign", request.csr:pem())
---     if not res then return nil, err.unknown and "unknown" or "away", err end
---     if res.status == 403 then return nil, "refused", res.body end
---     return res.body
---   end
---
--- What it returns is a certificate (PEM, DER or a lest.cert), or nil, what came of it ("away",
--- "later", "refused", "failed" or "unknown") and, for operators, why. What it raises is "unknown":
--- it may have asked already.
local core = require "lest.core"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"
local schema = require "lest.base.schema"

local M = {}

local OUTCOMES <const> = { away = true, later = true, refused = true, failed = true,
  unknown = true }
local KNOWN <const> = { issue = true, revoke = true, cacerts = true, status = true }
local LATER_S <const> = 60

local Backend = {}
Backend.__index = Backend

---@param where string the key in the configuration
---@param options table what stands there
---@param config table with the texts of files
function M.new(where, options, config)
  return setmetatable({ where = where, file = options.file, options = options.options,
    text = config.files[options.file] }, Backend)
end

--- A global that nobody declared is a mistake.
local function environment()
  return setmetatable({}, {
    __index = function(_, key)
      local value = _G[key]
      if value == nil then error(("undeclared global '%s'"):format(tostring(key)), 2) end
      return value
    end,
    __newindex = function(_, key)
      error(("global '%s' is assigned: put 'local' before it"):format(tostring(key)), 2)
    end,
  })
end

--- Run the file, as the account that the backend has become.
---@return boolean|nil ok
---@return lest.error|nil err
function Backend:start()
  local function wrong(problem)
    return fail("config", ("%s.file: %s"):format(self.where, problem), { exit_code = 2 })
  end
  local chunk, problem = load(mark.strip(self.text), "@" .. self.file, "t", environment())
  if not chunk then return wrong(problem) end
  local ok, made = pcall(chunk, self.options)
  if not ok then return wrong(tostring(made)) end
  if type(made) == "function" then made = { issue = made } end
  if type(made) ~= "table" or type(made.issue) ~= "function" then
    return wrong(self.file .. ": must return a function, or a table with `issue`")
  end
  for key, value in pairs(made) do
    if not KNOWN[key] or type(value) ~= "function" then
      return wrong(("%s: `%s` is none of issue, revoke, cacerts and status%s"):format(self.file,
        tostring(key), schema.hint(key, KNOWN)))
    end
  end
  self.made = made
  return true
end

--- What is no success.
local function failure_of(outcome, detail)
  if not OUTCOMES[outcome or false] then
    return { outcome = "unknown", detail = "the file has returned neither a certificate nor what "
      .. "came of it" }
  end
  return { outcome = outcome, detail = detail and tostring(detail),
    retry_after = outcome == "later" and LATER_S or nil }
end

function Backend:issue(request)
  local given, outcome, detail = self.made.issue(request)
  if not given then return failure_of(outcome, detail) end
  local cert, err = given, nil
  if type(given) == "string" then cert, err = core.cert.parse(given) end
  local ok, der = pcall(function() return cert:der() end)
  if ok then return { outcome = "issued", certificate = der } end
  return { outcome = "failed", detail = "the file has returned no certificate"
    .. (err and ": " .. err.message or "") }
end

function Backend:revoke(request)
  if not self.made.revoke then
    return { outcome = "failed", detail = "the file has no `revoke`: revoke it at the CA" }
  end
  local done, outcome, detail = self.made.revoke(request)
  return done and { outcome = "revoked" } or failure_of(outcome, detail)
end

function Backend:status()
  if not self.made.status then return nil end
  local up, why = self.made.status()
  return up and true or false, why
end

function Backend:cacerts()
  if not self.made.cacerts then return nil end
  return self.made.cacerts()
end

return M
