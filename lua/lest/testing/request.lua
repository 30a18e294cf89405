--- A request in a spec: what a client sends and who is proven to have sent it. It becomes real once
--- the time of the decision is known, since certificates are of a time.
local clock = require "lest.base.clock"
local core = require "lest.core"
local material = require "lest.testing.material"
local principals = require "lest.testing.principal"
local schema = require "lest.base.schema"
local shapes = require "lest.testing.shapes"

local M = {}

---@class lest.testing.request
local Request = { __name = "lest.testing.request" }
Request.__index = Request
M.class = Request

local s <const> = schema
local principal_shape = shapes.object(principals.class,
  "a principal, as testing.basic \"device001\" makes one")
shapes.define("request", {
  principal = s.optional(principal_shape),
  previous = s.optional(s.custom(principal_shape.wanted .. ", or false", function(value)
    if value == false then return value end
    return principal_shape.accept(value)
  end)),
  csr = s.optional(shapes.csr), time = s.optional(shapes.time),
  operation = s.optional(s.one_of { "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc" }),
  label = s.optional(shapes.text), device = s.optional(shapes.text),
  address = s.optional(shapes.text), id = s.optional(shapes.text),
  auth = s.optional(shapes.any_table), headers = s.optional(shapes.any_table),
  tls = s.optional(shapes.any_table), cmc = s.optional(shapes.any_table),
  approvals = s.optional(s.list(shapes.approval)),
})

local CALLER <const> = 3

--- As lest.testing.request.
function M.new(options)
  local self = shapes.check("request", options, CALLER)
  if type(self.csr) == "table" then self.csr = shapes.check("csr", self.csr, CALLER) end
  self.principal = self.principal or principals.basic("device001")
  self.operation = self.operation or self.previous and "simplereenroll" or "simpleenroll"
  if self.operation == "simplereenroll" and self.previous == nil
    and self.principal.kind == "certificate" and self.principal.is_own then
    self.previous = self.principal
  end
  self.address = self.address or "192.0.2.1"
  return setmetatable(self, Request)
end

-- What is asked for where nothing is stated: the names of the certificate that is renewed or shown,
-- or else the principal's own.
local function names_of(facts)
  local cert = facts.previous and facts.previous.certificate or facts.principal.certificate
  if cert then return cert.subject, cert.san end
  return { { "CN", facts.principal.name } }
end

-- A name for a plan, by which its request is found again.
local function name_of(plan, kind)
  local parts = { plan.subject_der or assert(core.name.encode(plan.subject or {})), kind,
    plan.digest or "", plan.challenge_password or "", plan.otp_challenge or "",
    plan.revocation_challenge or "", plan.identity_linking or "" }
  for _, list in ipairs { "san", "key_usage", "eku" } do
    parts[#parts + 1] = list .. "\n" .. table.concat(plan[list] or {}, "\n")
  end
  return table.concat(parts, "\0")
end

function Request:csr_of(facts)
  local given = self.csr or {}
  if type(given) == "userdata" then return given end
  if given.pem then return core.csr.parse(given.pem) end
  local plan, kind = {}, given.key or "ec:P-256"
  for field, value in pairs(given) do plan[field] = value end
  local has_names = plan.subject or plan.subject_der or plan.san
  if not has_names then plan.subject, plan.san = names_of(facts) end
  if plan.san and #plan.san == 0 then plan.san = nil end
  local err
  if kind == "same" then
    local owner = self.previous or self.principal
    if owner.kind ~= "certificate" then
      error("testing.request: csr.key = \"same\" is the key of a certificate, and there is none", 0)
    end
    plan.key, err = owner:key_pair()
  else
    plan.key, err = material.key(kind, "csr")
  end
  if not plan.key then return nil, err end
  if plan.extensions or plan.attributes or plan.change or type(kind) ~= "string" then
    local built
    built, err = core.csr.build(plan)
    if not built then return nil, err end
    return core.csr.parse(built:der())
  end
  return material.csr(plan, name_of(plan, kind == "same" and plan.key:public_der() or kind))
end

--- The facts of a decision at a time.
---@param now integer
---@return table facts as lest.server.worker.view takes them
function Request:facts(now)
  now = self.time or now
  local facts, err = self.principal:facts(now)
  if not facts then error("testing.request: principal: " .. tostring(err), 0) end
  if self.previous then
    local cert
    cert, err = self.previous:certificate_at(now)
    if not cert then error("testing.request: previous: " .. tostring(err), 0) end
    local late = now - cert.not_after
    facts.previous = { certificate = cert, facts = self.previous.facts or {},
      profile = self.previous.profile, expired_for = late > 0 and late or nil }
  end
  facts.csr, err = self:csr_of(facts)
  if not facts.csr then error("testing.request: csr: " .. tostring(err), 0) end
  facts.id, facts.time = self.id or "test", now
  facts.operation, facts.label, facts.address = self.operation, self.label, self.address
  facts.device = self.device or facts.device
  facts.cmc = self.cmc or self.operation == "fullcmc" and {} or nil
  facts.headers, facts.auth = self.headers, self.auth or facts.auth
  facts.tls = self.tls or { version = "TLSv1.3", cipher = "TLS_AES_256_GCM_SHA384",
    channel_bound = false }
  facts.approvals = {}
  for i, each in ipairs(self.approvals or {}) do
    facts.approvals[i] = { operator = each.operator, note = each.note, time = each.time or now }
  end
  return facts
end

--- The request as a line.
---@param facts table
---@return string
function M.text(facts)
  local csr = facts.csr
  local names = { tostring(csr.subject), table.unpack(csr.san) }
  return ("%s by %s %s from %s at %s, for %s with %s"):format(facts.operation, facts.principal.kind,
    facts.principal.name, facts.address, clock.text(facts.time), table.concat(names, " "),
    csr.key_type)
end

return M
