--- Who asks, in a spec: somebody with a password, or with a certificate that is really made once
--- the time of the decision is known.
local core = require "lest.core"
local ledger_name = require "lest.server.ledger.principal"
local material = require "lest.testing.material"
local shapes = require "lest.testing.shapes"

local M = {}

---@class lest.testing.principal
---@field kind "basic"|"digest"|"bearer"|"challenge"|"psk"|"srp"|"certificate"
local Principal = { __name = "lest.testing.principal" }
Principal.__index = Principal
M.class = Principal

-- The caller of a function of lest.testing, as error() counts in what that calls.
local CALLER <const> = 3

local DAY <const> = 86400
local LIFETIME <const> = 90 * DAY

local function of_user(kind, name, credential, claims)
  local options = shapes.check(kind, { name = name, credential = credential, claims = claims },
    CALLER + 1)
  return setmetatable({ kind = kind, name = options.name, claims = options.claims,
    credential = options.credential or {} }, Principal)
end

--- As lest.testing.basic.
function M.basic(name, credential)
  local principal = of_user("basic", name, credential) -- no tail call: it would take a level away
  return principal
end

--- As lest.testing.digest.
function M.digest(name, credential)
  local principal = of_user("digest", name, credential)
  return principal
end

--- As lest.testing.bearer.
function M.bearer(who, credential)
  if type(who) ~= "table" then who = { name = who } end
  local options = shapes.check("bearer", who, CALLER)
  local principal = of_user("bearer", options.name, credential, options.claims)
  return principal
end

--- As lest.testing.challenge.
function M.challenge(name, credential)
  local principal = of_user("challenge", name, credential)
  return principal
end

--- As lest.testing.psk.
function M.psk(name, credential)
  local principal = of_user("psk", name, credential)
  return principal
end

--- As lest.testing.srp.
function M.srp(name, credential)
  local principal = of_user("srp", name, credential)
  return principal
end

local function of_certificate(options)
  options.kind = "certificate"
  return setmetatable(options, Principal)
end

--- As lest.testing.cert.
function M.cert(options)
  options = shapes.check("cert", options, CALLER)
  options.subject = options.subject or not options.san and { { "CN", "device001" } } or {}
  options.anchors = options.anchors or "own"
  if options.is_own == nil then options.is_own = options.anchors == "own" end
  return of_certificate(options)
end

--- As lest.testing.idevid.
function M.idevid(options)
  options = shapes.check("idevid", options, CALLER)
  if not options.subject then
    options.subject = {}
    for _, attribute in ipairs { "O", "CN", "serialNumber" } do
      local value = options[attribute] or attribute == "O" and "Maker" or nil
      if value then table.insert(options.subject, { attribute, value }) end
    end
  end
  options.anchors, options.is_own = options.anchors or "factory", options.is_own or false
  options.left = options.left or 20 * 365 * DAY
  options.age = options.age or 365 * DAY
  return of_certificate(options)
end

-- When it begins and ends: what is stated, and the rest of a lifetime around that.
local function validity(self, now)
  local ends = self.not_after or self.left and now + self.left
    or self.expired and now - self.expired
  local begins = self.not_before or self.age and now - self.age
  if not begins then begins = ends and math.min(ends - LIFETIME, now) or now - 60 * DAY end
  return begins, ends or begins + LIFETIME
end

--- The certificate as it is at a time.
---@param now integer
---@return lest.cert|nil
---@return lest.error|nil err
function Principal:certificate_at(now)
  if self.pem then return core.cert.parse(self.pem) end
  local key, err = material.key(self.key or "ec:P-256", "principal")
  if not key then return nil, err end
  local not_before, not_after = validity(self, now)
  return material.certificate(self.anchors, { subject = self.subject, san = self.san,
    eku = self.eku or { "clientAuth" }, key = key, not_before = not_before, not_after = not_after })
end

--- What a decision is made with.
---@param now integer
---@return table|nil facts principal, auth and device, as lest.server.worker.view takes them
---@return lest.error|nil err
function Principal:facts(now)
  if self.kind ~= "certificate" then
    local issuer = self.claims and self.claims.iss
    return { device = issuer and ledger_name.of_token(issuer, self.name) or self.name,
      auth = { [self.kind] = { name = self.name, claims = self.claims } },
      principal = { kind = self.kind, name = self.name, credential = self.credential,
        claims = self.claims } }
  end
  local cert, err = self:certificate_at(now)
  if not cert then return nil, err end
  local name = self.name or ledger_name.of_subject(cert)
  return { device = ledger_name.of_certificate(self.anchors, cert),
    auth = { certificate = { name = name, anchors = self.anchors } },
    principal = { kind = "certificate", name = name, anchors = self.anchors, certificate = cert,
      is_own = self.is_own } }
end

--- The private key of its certificate.
---@return lest.key|nil
---@return lest.error|nil err
function Principal:key_pair()
  if self.pem then error("testing.cert: of a certificate from PEM there is no key", 0) end
  return material.key(self.key or "ec:P-256", "principal")
end

function Principal:__tostring()
  if self.kind ~= "certificate" then return self.kind .. " " .. self.name end
  local name = core.name.decode(assert(core.name.encode(self.subject)))
  return ("certificate of '%s' %s"):format(self.anchors, #name > 0 and tostring(name)
    or table.concat(self.san or {}, " "))
end

return M
