--- What a policy sees: read-only, and closed. A field that does not exist raises and names the
--- nearest; a known one that is absent is nil.
local kinds = require "lest.server.wire.kinds"
local schema = require "lest.base.schema"

local M = {}

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return names
end

local FIELDS <const> = {
  request = set("id", "time", "operation", "label", "csr", "principal", "auth", "tls", "address",
    "headers", "previous", "approvals"),
  principal = set("kind", "name", "anchors", "certificate", "claims", "credential"),
  auth = set(),
  tls = set("version", "cipher", "channel_bound"),
  previous = set("certificate", "facts"),
  approval = set("operator", "comment", "time"),
}

-- What was proven, by kind.
local PROVEN <const> = {}
for _, kind in ipairs(kinds.list) do
  FIELDS.auth[kind.name] = true
  PROVEN[kind.name] = set(table.unpack(kind.facts))
end

--- A read-only view of a table. With `known`, a field outside of it raises.
---@param what string the name for messages, as "request.tls"
---@param values table
---@param known? table<string, boolean>
---@return table
function M.view(what, values, known)
  return setmetatable({}, {
    __name = "lest." .. what,
    __metatable = false,
    __index = function(_, key)
      local value = values[key]
      if value == nil and known and not known[key] then
        error(("%s has no field '%s'%s"):format(what, tostring(key), schema.hint(key, known)), 2)
      end
      return value
    end,
    __newindex = function(_, key)
      error(("%s is read-only: '%s' cannot be set"):format(what, tostring(key)), 2)
    end,
    __len = function() return #values end,
    __pairs = function() return pairs(values) end,
  })
end

local function list(what, values, known)
  local views = {}
  for i, value in ipairs(values) do views[i] = M.view(what, value, known) end
  return M.view(what .. "s", views)
end

--- Headers by name in any case; nil for one that was not sent or is not shown to policies.
local function headers(values)
  return setmetatable({}, {
    __name = "lest.request.headers",
    __metatable = false,
    __index = function(_, key) return values[tostring(key):lower()] end,
    __newindex = function() error("request.headers is read-only", 2) end,
  })
end

--- Everything that was proven, by kind; nil for a kind that was not.
local function proofs(auth)
  local views = {}
  for kind, facts in pairs(auth or {}) do
    views[kind] = M.view("request.auth." .. kind, facts, PROVEN[kind])
  end
  return M.view("request.auth", views, FIELDS.auth)
end

-- What makes a field's view from its facts.
local PARTS <const> = {
  principal = function(principal)
    return principal and M.view("request.principal", {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      certificate = principal.certificate,
      claims = M.view("request.principal.claims", principal.claims or {}),
      credential = M.view("request.principal.credential", principal.credential or {}),
    }, FIELDS.principal)
  end,
  auth = proofs,
  tls = function(tls) return M.view("request.tls", tls, FIELDS.tls) end,
  headers = function(values) return headers(values or {}) end,
  previous = function(previous)
    return previous and M.view("request.previous", {
      certificate = previous.certificate,
      facts = M.view("request.previous.facts", previous.facts or {}),
    }, FIELDS.previous)
  end,
  approvals = function(approvals)
    return list("request.approval", approvals or {}, FIELDS.approval)
  end,
}

--- Build the request that a hook is called with. Its parts are built when a hook looks at them:
--- most look at one or two.
---@param facts table plain tables by the names above; certificate fields are lest.cert objects
---@return table
function M.new(facts)
  local values = {
    id = facts.id, time = facts.time, operation = facts.operation, label = facts.label,
    csr = facts.csr, address = facts.address,
  }
  local function part(_, key)
    local make = PARTS[key]
    if not make then return nil end
    local value = make(facts[key])
    values[key] = value
    return value
  end
  local function all()
    for key in pairs(PARTS) do local _ = values[key] end
    return next, values, nil
  end
  return M.view("request", setmetatable(values, { __index = part, __pairs = all }), FIELDS.request)
end

return M
