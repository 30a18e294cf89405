--- What happened, in a spec: a certificate was issued or revoked. It becomes real once the time of
--- the test is known, since certificates are of a time.
local principals = require "lest.testing.principal"
local schema = require "lest.base.schema"
local shapes = require "lest.testing.shapes"

local M = {}

---@class lest.testing.event
local Event = { __name = "lest.testing.event" }
Event.__index = Event
M.class = Event

local s <const> = schema
local principal_shape = shapes.object(principals.class,
  "a principal, as testing.basic \"device001\" makes one")
local text = s.optional(shapes.text)
shapes.define("event", {
  certificate = s.optional(principal_shape), principal = s.optional(principal_shape),
  time = s.optional(shapes.time), try = s.optional(s.integer { min = 1 }), label = text,
  device = text, operation = text, profile = text, request_id = text, renews = text,
  facts = s.optional(shapes.any_table), reason = text, by = text,
})

local CALLER <const> = 3

--- As lest.testing.event.
function M.new(options)
  local self = shapes.check("event", options, CALLER)
  self.certificate = self.certificate or principals.cert { age = 0 }
  if self.certificate.kind ~= "certificate" then
    error("testing.event: certificate: must be one, as testing.cert {} makes it", CALLER - 1)
  end
  self.principal = self.principal or principals.basic "device001"
  return setmetatable(self, Event)
end

local REVOKED <const> = { reason = "unspecified", by = "alice" }

--- The facts of an event at a time.
---@param kind "issued"|"revoked"
---@param now integer
---@return table facts as lest.server.worker.view takes them
function Event:facts(kind, now)
  local cert, err = self.certificate:certificate_at(now)
  if not cert then error("testing.event: certificate: " .. tostring(err), 0) end
  local who
  who, err = self.principal:facts(now)
  if not who then error("testing.event: principal: " .. tostring(err), 0) end
  local facts = { id = ("%s-%s"):format(kind, cert.serial), kind = kind, certificate = cert,
    principal = { kind = who.principal.kind, name = who.principal.name },
    device = self.device or who.device,
    time = self.time or now, try = self.try or 1, label = self.label or "default",
    operation = self.operation or "simpleenroll", profile = self.profile or "device",
    request_id = self.request_id or "test", renews = self.renews, facts = self.facts or {} }
  for field, value in pairs(kind == "revoked" and REVOKED or {}) do
    facts[field] = self[field] or value
  end
  return facts
end

return M
