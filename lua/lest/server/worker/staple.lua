--- The OCSP response about this server's own certificate, which goes with it in handshakes whose
--- clients ask for one (RFC 6066 8), so that they need ask nobody else. There is one where a CA of
--- this server issued the certificate and its ledger has it; the authority says so. About one that
--- the server issues to itself it is fetched at the start. About one in files nobody is asked
--- before the first client has asked for one, which gets none: the ledger need not have that.
---
---   local staple = staple.new(worker, tls, cas)
---   staple:start()
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local list = require "lest.base.list"
local task = require "lest.task"

local M = {}

-- How often it is looked whether a client has asked, and whether it is to be renewed.
local LOOK_MS <const> = 1000
-- What the authority did not answer is asked again after so long.
local RETRY_S <const> = 10
-- What the ledger has not today it may have later.
local NONE_S <const> = 3600

---@class lest.worker.staple
---@field worker lest.worker
---@field context lest.tls that presents it
---@field cas lest.cert[]
---@field of? string DER of the certificate that the response is about
---@field asked? integer seconds since 1970: when it was asked for
---@field due integer seconds since 1970: when there is to be another response
---@field over integer seconds since 1970: when the one that there is, is over
---@field is_asking? boolean
---@field is_known boolean the ledger has the certificate: one is wanted before a client asks
local Staple = {}
Staple.__index = Staple

-- The CA that issued a certificate: of several generations the one whose key it names.
local function issuer_of(cert, cas)
  for _, ca in ipairs(cas) do
    if ca.subject_der == cert.issuer_der and ca.ski == cert.aki then return ca end
  end
end

--- Read the certificates of CAs among which the issuer is, as whoever started.
---@param config table
---@return lest.cert[]|nil
---@return lest.error|nil err
function M.load_cas(config)
  local cas = {}
  for _, each in ipairs(chain.cas(config)) do
    local certs, err = chain.load(each[1], each[2])
    if not certs then return nil, err end
    table.move(certs, 1, #certs, #cas + 1, cas)
  end
  return cas
end

---@param worker lest.worker with its link, and its health, which knows what is presented
---@param context lest.tls that presents it
---@param cas lest.cert[] of load_cas()
---@return lest.worker.staple
function M.new(worker, context, cas)
  local self = setmetatable({ worker = worker, context = context, cas = cas, due = 0, over = 0,
    is_known = worker.config.tls.auto ~= nil }, Staple)
  worker.authority:on_revoked(function(serials)
    local cert = worker.health.tls
    if cert and (not serials or list.has(serials, cert.serial)) then
      self.due = 0
      self:look()
    end
  end)
  return self
end

local function give(self, der)
  local ok, err = self.context:set_staple(der)
  if ok then return end
  core.log.write("error", "OCSP response not stapled", { "message", tostring(err) })
end

--- Take another response, or none: `revoked` is given as well, being the truth, but nothing of a
--- certificate that the ledger has not.
local function take(self, said, now)
  local response = core.ocsp.parse_response(said.response)
  local single = response and response.responses and response.responses[1]
  local is_known = single and single.state ~= "unknown" and said.next_update ~= nil
  if is_known then
    give(self, said.response)
    -- At half of its time: the other half is for an authority that is away.
    self.due, self.over = now + (said.next_update - now) // 2, said.next_update
  else
    give(self, nil)
    self.due = now + NONE_S
  end
end

local function renew(self, cert)
  local der, now = cert:der(), core.clock.wall_us() // 1000000
  if self.of ~= der then give(self, nil) end
  self.of, self.asked, self.is_asking = der, now, true
  local ca = issuer_of(cert, self.cas)
  local said = ca and self.worker.authority:check(assert(core.ocsp.request(ca, cert)), true)
  self.is_asking = false
  -- Another certificate is presented by now.
  if self.worker.health.tls:der() ~= der then return self:look() end
  if not ca then
    self.due = math.maxinteger
  elseif said then
    take(self, said, now)
  else
    self.due = now + RETRY_S
    if now >= self.over then give(self, nil) end
  end
end

-- A clock that was ahead, and is put right, leaves a response of the future.
local function is_due(self, cert, now)
  return self.of ~= cert:der() or now >= self.due or now < self.asked - 1
end

--- See whether another response is due.
function Staple:look()
  local cert, now = self.worker.health.tls, core.clock.wall_us() // 1000000
  local is_wanted = self.is_known or self.context:staple_is_wanted()
  if not cert or self.is_asking or not is_wanted or not is_due(self, cert, now) then return end
  task.start({ quiet = true }, function() renew(self, cert) end)
end

--- Look now, and then again and again.
function Staple:start()
  self:look()
  self.timer = core.loop.timer(LOOK_MS, function() self:start() end)
end

return M
