--- What a policy sees: read-only, and closed. A field that does not exist raises and names the
--- nearest; a known one that is absent is nil.
local closed = require "lest.policy.closed"
local journal = require "lest.policy.journal"
local kinds = require "lest.server.wire.kinds"
local stop = require "lest.policy.stop"

local M = {}

-- Locals: a policy may put something else into a module.
local outside <const>, stop_decision <const> = journal.outside, stop.raise
local view <const> = closed.view

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return names
end

-- Where the values of a request keep the facts that its parts are made from.
local FACTS <const> = {}

local function class(what, known)
  return closed.class("lest." .. what, what, known)
end

local ABOUT <const> = set("principal", "device", "subject", "key")
local STATES <const> = set("issued", "active", "expired", "revoked", "renewed", "refused",
  "pending")

local CLASS <const> = {
  request = class("request", set("id", "time", "operation", "label", "csr", "principal", "device",
    "auth", "tls", "address", "headers", "cmc", "previous", "approvals", "history", "rate")),
  cmc = class("request.cmc", set "reg_info"),
  principal = class("request.principal", set("kind", "name", "anchors", "is_own", "certificate",
    "claims", "credential")),
  claims = class "request.principal.claims",
  credential = class "request.principal.credential",
  tls = class("request.tls", set("version", "cipher", "channel_bound")),
  previous = class("request.previous", set("certificate", "facts", "expired_for")),
  facts = class "request.previous.facts",
  approvals = class "request.approvals",
  approval = class("request.approval", set("operator", "note", "time")),
  history = class("request.history", ABOUT),
  known = class("request.known", STATES),
  event = class("event", set("id", "kind", "time", "try", "label", "certificate", "principal",
    "device", "operation", "profile", "request_id", "renews", "facts", "reason", "by")),
  event_principal = class("event.principal", set("kind", "name")),
  event_facts = class "event.facts",
  tally = class("request.tally", set("count", "more", "last", "reason")),
}

-- What was proven, by kind.
local PROVEN <const> = {}
local auth_fields <const> = {}
for _, kind in ipairs(kinds.list) do
  auth_fields[kind.name] = true
  PROVEN[kind.name] = class("request.auth." .. kind.name, set(table.unpack(kind.facts)))
end
CLASS.auth = class("request.auth", auth_fields)

--- Headers by name in any case; nil for one that was not sent or is not shown to policies.
local HEADERS <const> = closed.class_by("lest.request.headers", "request.headers", function(key)
  return tostring(key):lower()
end)

--- A decision that wants what cannot be told now is for later.
local function unanswered(what, problem)
  stop_decision("unavailable", "the request cannot be decided now",
    ("%s: %s"):format(what, tostring(problem)))
end

local NONE <const> = { count = 0, more = false }

--- What the answer to a question about a history is to a policy. A spec may state a part of one.
local function known_view(answer)
  local views = {}
  for state in pairs(STATES) do views[state] = view(CLASS.tally, answer[state] or NONE) end
  return view(CLASS.known, views)
end

--- The history of a request: each part is asked for when a hook looks at it, once.
local function history_view(ask)
  return view(CLASS.history, setmetatable({}, { __index = function(parts, about)
    if not ABOUT[about] then return nil end
    local answer, problem = outside("history", about, function() return ask(about) end)
    if problem ~= nil then unanswered("request.history." .. about, problem) end
    local made = answer and known_view(answer)
    rawset(parts, about, made)
    return made
  end }))
end

--- What counts a request. The question is told without its line, which a policy that is edited has
--- elsewhere.
local function rate_function(ask)
  return function(question)
    local told = ("%s%d in %d s per %s"):format(question.name and question.name .. ": " or "",
      question.most, question.every, table.concat(question.per, "+"))
    local answer, problem = outside("rate", told, function() return ask(question) end)
    if not answer then unanswered("policy.rate", problem) end
    return answer
  end
end

-- Claims are JSON: their tables are read-only, too.
local function claims_view(value)
  if type(value) ~= "table" then return value end
  local values = {}
  for key, each in pairs(value) do values[key] = claims_view(each) end
  return view(CLASS.claims, values)
end

-- What makes a field's view from its facts.
local PARTS <const> = {
  principal = function(principal)
    return principal and view(CLASS.principal, {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      is_own = principal.is_own or false,
      certificate = principal.certificate, claims = claims_view(principal.claims or {}),
      credential = view(CLASS.credential, principal.credential or {}),
    })
  end,
  auth = function(auth)
    local views = {}
    for kind, facts in pairs(auth or {}) do
      if kind == "bearer" then
        facts = { name = facts.name, claims = claims_view(facts.claims or {}) }
      end
      views[kind] = view(PROVEN[kind], facts)
    end
    return view(CLASS.auth, views)
  end,
  tls = function(tls) return view(CLASS.tls, tls) end,
  cmc = function(said) return said and view(CLASS.cmc, said) end,
  headers = function(values) return view(HEADERS, values or {}) end,
  previous = function(previous)
    return previous and view(CLASS.previous, {
      certificate = previous.certificate, facts = view(CLASS.facts, previous.facts or {}),
      expired_for = previous.expired_for,
    })
  end,
  approvals = function(approvals)
    local views = {}
    for i, value in ipairs(approvals or {}) do views[i] = view(CLASS.approval, value) end
    return view(CLASS.approvals, views)
  end,
  history = function(ask) return ask and history_view(ask) end,
  rate = function(ask) return ask and rate_function(ask) end,
}

-- The values of a request: its parts are made when a hook looks at them; most look at one or two.
local Values <const> = {}
function Values:__index(key)
  local make = PARTS[key]
  if not make then return nil end
  local value = make(self[FACTS][key])
  rawset(self, key, value)
  return value
end
function Values:__pairs()
  for key in pairs(PARTS) do local _ = self[key] end
  return function(_, key)
    local value
    repeat key, value = next(self, key) until key ~= FACTS
    return key, value
  end, self, nil
end

--- Build the request that a hook is called with.
---@param facts table plain tables by the names above; certificate fields are lest.cert objects;
--- history and rate are functions that ask: each gives an answer, or nil and a problem
---@return table
function M.new(facts)
  return view(CLASS.request, setmetatable({
    [FACTS] = facts, id = facts.id, time = facts.time, operation = facts.operation,
    label = facts.label, device = facts.device, csr = facts.csr, address = facts.address,
  }, Values))
end

--- Build the event that a hook is called with.
---@param facts table plain values by the names above; the certificate is a lest.cert
---@return table
function M.event(facts)
  local values = {}
  for key, value in pairs(facts) do values[key] = value end
  values.principal = view(CLASS.event_principal, facts.principal)
  values.facts = view(CLASS.event_facts, facts.facts or {})
  return view(CLASS.event, values)
end

return M
