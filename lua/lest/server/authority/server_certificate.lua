--- The server's own certificate for TLS, where it renews itself (`tls = { auto = ... }`): issued by
--- one of the server's CAs, recorded in the ledger, kept with its key beside that for the next
--- start, and given to the workers, which present it from then on.
---
---   local own = server_certificate.new(authority)
---   own:start()                        -- there is one then
---   socket:send(own:packet())          -- to a worker, before `hello`
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local fail = require "lest.base.fail"
local host = require "lest.base.host"
local message = require "lest.server.wire.message"
local own_issue = require "lest.server.authority.own_issue"
local public = require "lest.server.config.public"
local wiping = require "lest.server.wire.wiping"

local M = {}

--- The file beside the ledger.
M.FILE = "tls-auto.pem"
local FILE_MAX <const> = 256 * 1024
local MODE <const> = 384 -- 0600

local BACKDATE_S <const> = 60 -- for a device whose clock is a little late
-- How often it is looked at whether it is due: the clock may be set.
local LOOK_S <const> = 60
-- What failed is tried again after so long, or sooner where little time is left.
local RETRY_S <const> = 3600

---@class lest.authority.server_certificate
---@field authority lest.authority
---@field auto table `tls.auto`
---@field current? { cert: lest.cert, key: lest.key, issuer: table }
---@field due integer seconds since 1970: when to renew, or to try again
---@field is_renewing? boolean
---@field problem? any why the last try failed
---@field on_change fun() there is another one
local Own = {}
Own.__index = Own

---@param authority lest.authority before its loop
---@return lest.authority.server_certificate
function M.new(authority)
  local auto = authority.config.tls.auto
  local names = {}
  for i, name in ipairs(auto.names) do names[i] = assert(host.san(name)) end
  local folder = (authority.ledger_path or authority.config.ledger):match "^(.*/)[^/]*$" or ""
  return setmetatable({ authority = authority, auto = auto, names = names, due = 0,
    path = folder .. M.FILE, pool = core.pool.new { threads = 1, queue = 1 },
    on_change = function() end }, Own)
end

--- The generation of the CA that issues. While a CA's key changes that is the older one: clients
--- that were away know it, and need no link, which some cannot follow.
local function issuer_of(self, now)
  local best = self.authority.issuers[self.auto.ca]
  for _, each in ipairs(best.siblings) do
    if each.issuer and each.cert.not_before < best.cert.not_before
      and each.cert.not_after - now >= self.auto.lifetime then
      best = each
    end
  end
  return best
end

--- What is sent after the certificate: of the CA's certificates those that no client need have. The
--- link to its issuer's key lets those follow that have another generation of the CA alone. One of
--- the issuer's key is always there, the root's own for want of another: what verifies a staple
--- with OpenSSL, as curl does, looks for it there and nowhere else.
local function chain_of(issuer, ca)
  local list, has_issuer = {}, false
  -- Some clients count a link, which is no use before the other generation has signed.
  local next_one = issuer == ca and ca.siblings[1]
  local is_early = next_one and issuer.cert.path_len == 0
    and next_one.cert.not_before > issuer.cert.not_before
  for _, cert in ipairs(issuer.bag) do
    local is_ours = core.name.equal(cert.subject_der, issuer.cert.subject_der)
    local is_its = cert.public_key.der == issuer.cert.public_key.der
    local is_unwanted = cert.self_signed or is_ours and (not is_its or is_early)
    if not is_unwanted or cert == issuer.cert and not cert.self_signed then
      table.insert(list, cert)
      has_issuer = has_issuer or is_ours and is_its
    end
  end
  if not has_issuer then table.insert(list, 1, issuer.cert) end
  return list
end

-- After two thirds of its life.
local function due_of(cert)
  return cert.not_after - (cert.not_after - cert.not_before - BACKDATE_S) // 3
end

--- The issuer of a certificate that is as the configuration wants it; nil: it is to be another one.
local function issuer_of_good(self, cert, key, now)
  if key:public_der() ~= cert.public_key.der or cert.public_key.type ~= self.auto.key
    or now < cert.not_before or now >= cert.not_after
    or cert.not_after - cert.not_before > self.auto.lifetime + BACKDATE_S
    or not core.san.equal(cert.san_der, assert(core.san.encode(self.names))) then
    return nil
  end
  local first = self.authority.issuers[self.auto.ca]
  for _, each in ipairs { first, table.unpack(first.siblings) } do
    if cert.issuer_der == each.cert.subject_der and cert.aki == each.cert.ski then
      local rows = self.authority.ledger:rows("certificate_get",
        { serial = cert.serial, issuer = each.id })
      return rows and rows[1] and not rows[1].revoked_at and each or nil
    end
  end
end

--- What was kept, by this authority or by another one; nil where that is no good.
local function load(self, now)
  local text = core.file.read_plain(self.path, FILE_MAX)
  local key = text and core.key.parse(text)
  local cert = key and core.cert.parse_all(text)
  cert = cert and cert[1]
  local issuer = cert and issuer_of_good(self, cert, key, now)
  return issuer and { cert = cert, key = key, issuer = issuer }
end

local function take(self, found)
  self.current, self.due, self.problem = found, due_of(found.cert), nil
  found.cert = found.cert:with_chain(chain_of(found.issuer, self.authority.issuers[self.auto.ca]))
  core.meter.set(core.meter.names.tls_ends_s, found.cert.not_after)
  self.on_change()
  wiping.soon()
end

--- Why there is no new one: it is tried again, more often as the end comes nearer.
local function give_up(self, problem)
  local now = self.authority.clock()
  local left = self.current and self.current.cert.not_after - now or 0
  self.is_renewing, self.problem = false, problem
  self.due = now + math.max(1, math.min(RETRY_S, left // 20))
  if not self.current then return end
  local level = left < due_of(self.current.cert) - now and "error" or "warning"
  core.log.write(level, "server certificate not renewed",
    { "until", clock.text(self.current.cert.not_after), "message", tostring(problem) })
end

local function keep(self, cert, key)
  local ok, err = core.file.write(self.path, assert(key:pem()) .. cert:pem(), { mode = MODE })
  if ok then return end
  core.log.write("warning", "server certificate not kept",
    { "file", M.FILE, "message", tostring(err) })
end

local function sign(self, key)
  local authority, auto = self.authority, self.auto
  local now = authority.clock()
  local issuer = issuer_of(self, now)
  local ca, plan = issuer.cert, public.urls({}, authority.public_url, issuer)
  plan.public_key, plan.subject, plan.san = key:public_der(), host.subject(auto.names), self.names
  plan.not_before = math.max(now - BACKDATE_S, ca.not_before)
  plan.not_after = math.min(now + auto.lifetime, ca.not_after)
  plan.key_usage, plan.eku = { "digitalSignature" }, { "serverAuth" }
  local ok, cert = pcall(authority.turn.unit, authority.turn, own_issue.issue, authority, issuer,
    plan, "tls", auto.names[1])
  if not ok then return give_up(self, cert) end
  authority.turn:when_durable(function(durable)
    if not durable then return give_up(self, "the ledger cannot be written now") end
    keep(self, cert, key)
    self.is_renewing = false
    take(self, { cert = cert, key = key, issuer = issuer })
    core.log.write("info", "server certificate issued",
      { "serial", cert.serial, "until", clock.text(cert.not_after) })
  end)
end

--- Take another one: what another authority has kept meanwhile, or a new one with a new key.
local function renew(self)
  local now = self.authority.clock()
  local kept = load(self, now)
  if kept and now < due_of(kept.cert) then return take(self, kept) end
  self.is_renewing = true
  local queued, err = self.pool:generate(self.auto.key, function(key, problem)
    if not key then return give_up(self, problem) end
    sign(self, key)
  end)
  if not queued then give_up(self, err) end
end

local function is_revoked(self)
  local current = self.current
  local rows = self.authority.ledger:rows("certificate_get",
    { serial = current.cert.serial, issuer = current.issuer.id })
  return rows and rows[1] and rows[1].revoked_at ~= nil
end

-- A clock that was ahead, and is put right, leaves a certificate of the future, or a pause until
-- then: clients would trust the server no more. (By one that is before the CA there is no other.)
local function is_due(self, now)
  local current = self.current
  return now >= self.due or self.problem ~= nil and self.due > now + RETRY_S
    or now < current.cert.not_before and now >= current.issuer.cert.not_before
end

local function watch(self)
  local now = self.authority.clock()
  if not self.is_renewing and (is_due(self, now) or is_revoked(self)) then renew(self) end
  local wait = math.max(1, math.min(LOOK_S, self.due - self.authority.clock()))
  self.timer = core.loop.timer(clock.every_ms(wait * 1000), function() watch(self) end)
end

--- Have one: what was kept, or a new one. The loop turns meanwhile.
---@return boolean|nil ok
---@return lest.error|nil err there is none
function Own:start()
  local now = self.authority.clock()
  local kept = load(self, now)
  if kept then take(self, kept) end
  if now >= self.due then renew(self) end
  while self.is_renewing and not self.current do core.loop.turn() end
  if not self.current then
    return fail("config", "tls.auto: the server's certificate cannot be issued",
      { cause = self.problem })
  end
  watch(self)
  return true
end

--- No more of it.
function Own:stop()
  if self.timer then self.timer:close() end
  self.timer = nil
end

--- What a worker is to present.
---@return string packet
function Own:packet()
  local list = { self.current.cert:der() }
  for _, cert in ipairs(self.current.cert.chain) do table.insert(list, cert:der()) end
  local packet = assert(message.encode { type = "identity", chain = list,
    key = assert(self.current.key:der()) })
  wiping.soon()
  return packet
end

return M
