--- The server under probe, as the checks of several sections see it: each answer that more than one
--- looks at is asked for once.
local core = require "lest.core"
local rollover = require "lest.base.rollover"
local wire_module = require "lest.probe.wire"

local Target = { __name = "lest.probe.target" }
Target.__index = Target

local M = {}

---@class lest.probe.target
---@field wire table lest.probe.wire
---@field base lest.url of the operations
---@field label string?
---@field client lest.client
---@field options lest.probe.options

---@param wire table
---@param options lest.probe.options
---@return lest.probe.target
function M.new(wire, options)
  local client = wire.client
  return setmetatable({ wire = wire, client = client, base = client.base, label = client.label,
    options = options, kept = {} }, Target)
end

--- The results of make(), the same every time.
---@param name string
---@param make fun(): any
function Target:once(name, make)
  local kept = self.kept[name]
  if not kept then
    kept = table.pack(make())
    self.kept[name] = kept
  end
  return table.unpack(kept, 1, kept.n)
end

--- Whether the client has anything to show or to tell.
---@return boolean
function Target:has_credentials()
  local options = self.client.options
  return (options.username or options.password or options.bearer or self.client.cert) ~= nil
end

--- One request as nobody, or as `what.as`. See lest.probe.wire.
---@param what table
---@return lest.http.response?
---@return lest.error? err
function Target:ask(what)
  return self.wire:ask(what)
end

--- The head of a request, with its end; further lines as they are.
---@param method string
---@param operation string
---@param lines? string[]
---@param version? string "1.1"
---@return string
function Target:head(method, operation, lines, version)
  local all = { ("%s %s/%s HTTP/%s"):format(method, self.base.path, operation, version or "1.1"),
    "Host: " .. self.base:authority() }
  table.move(lines or {}, 1, #(lines or {}), 3, all)
  return table.concat(all, "\r\n") .. "\r\n\r\n"
end

--- The answer to GET of cacerts or csrattrs, as nobody.
---@param operation string
---@return lest.http.response?
---@return lest.error? err
function Target:get(operation)
  return self:once("get " .. operation, function() return self:ask { operation = operation } end)
end

--- What a 200 of cacerts or csrattrs holds.
---@param operation string
---@return string? der
---@return string|lest.http.response why not, for people; or the answer
function Target:body(operation)
  local response, err = self:get(operation)
  if not response then return nil, wire_module.shown(response, err) end
  if response.status ~= 200 then return nil, tostring(response.status) end
  local der = core.est.body_decode(response.body)
  if not der then return nil, "the body cannot be decoded" end
  return der, response
end

--- The certificates of cacerts.
---@return lest.cert[]? certs
---@return string? why not
function Target:cas()
  return self:once("cas", function()
    local der, why = self:body "cacerts"
    if not der then return nil, why end
    local certs, err = core.pkcs7.decode(der)
    return certs, not certs and tostring(err) or nil
  end)
end

--- The self-signed CA certificates among them.
---@return lest.cert[]? roots
---@return string? why not
function Target:roots()
  local certs, why = self:cas()
  if not certs then return nil, why end
  local roots = {}
  for _, cert in ipairs(certs) do
    if rollover.is_root(cert) then roots[#roots + 1] = cert end
  end
  return roots
end

-- The client's where it has one without a certificate, else a new one, of the kind that the server
-- wishes.
local function key_of(self)
  if self.client.key and not self.client.cert then return self.client.key end
  local der = self:body "csrattrs"
  local listed = der and core.csrattrs.decode(der)
  local wishes = listed and core.csrattrs.wishes(listed)
  return wishes and wishes.key and core.key.generate(wishes.key)
    or assert(core.key.generate "ec:P-256")
end

--- The key that requests are for.
---@return lest.key
function Target:key()
  return self:once("key", function() return key_of(self) end)
end

local function subject_of(self)
  if self.options.subject then return { subject = self.options.subject } end
  local cert = self.client.cert
  if cert then return { subject_der = cert.subject_der, san_der = cert.san_der } end
  local name = self.client.options.username
  return { subject = { { "CN", name and name ~= "" and name or "lest probe" } } }
end

--- A request in base64 for the names that the client may have. plan: further parts of it.
---@param plan? table
---@return string base64
---@return lest.csr|string csr
function Target:request(plan)
  local all = plan and plan.subject_der and {} or subject_of(self)
  all.key = self:key()
  for name, value in pairs(plan or {}) do all[name] = value end
  local csr = assert(core.csr.build(all))
  return core.est.body_encode(type(csr) == "string" and csr or csr:der()), csr
end

--- A request that every server refuses, whoever sends it: another key has signed it.
---@return string base64
function Target:refused_request()
  return self:once("refused", function()
    return (self:request { raw = { sign_with = assert(core.key.generate(self:key().type)) } })
  end)
end

--- The answer to a POST as nobody, of a request that is to be refused.
---@param operation string
---@return lest.http.response?
---@return lest.error? err
function Target:offer(operation)
  return self:once("offer " .. operation, function()
    return self:ask { operation = operation, body = self:refused_request() }
  end)
end

--- POST as the client.
---@param operation string
---@param body string
---@param headers? table<string, string|false>
---@return lest.http.response?
---@return lest.error? err
function Target:post(operation, body, headers)
  return self:ask { as = self.client, operation = operation, body = body, headers = headers }
end

--- The client's request for a certificate, and what came.
---@class lest.probe.enrolled
---@field response lest.http.response
---@field cert lest.cert? the one for the key
---@field certs lest.cert[]? all that came
---@field problem string? why there is no certificate

---@param response lest.http.response
---@param key lest.key
---@return lest.probe.enrolled
local function read_issued(response, key)
  local found = { response = response }
  if response.status ~= 200 then
    found.problem = response.status == 202 and "the request is pending"
      or "the server answered " .. response.status
    return found
  end
  local der = core.est.body_decode(response.body)
  found.certs = der and core.pkcs7.decode(der) or nil
  for _, cert in ipairs(found.certs or {}) do
    if cert.public_key.der == key:public_der() then found.cert = cert end
  end
  if not found.cert then found.problem = "the answer has no certificate for the key" end
  return found
end

--- Enroll, once.
---@return lest.probe.enrolled? enrolled
---@return string? why not
function Target:enrolled()
  return self:once("enrolled", function()
    local response, err = self:post("simpleenroll", (self:request()))
    if not response then return nil, wire_module.shown(response, err) end
    return read_issued(response, self:key())
  end)
end

--- The certificate that was issued.
---@return lest.cert? cert
---@return string? why not
function Target:issued()
  local found, why = self:enrolled()
  if not found then return nil, why end
  return found.cert, found.problem
end

--- Every certificate that the server has given: those of cacerts, and the issued one where it may
--- be asked for.
---@return lest.cert[]? certs
---@return string? why not
function Target:certs()
  local certs, why = self:cas()
  if not certs then return nil, why end
  local all = table.move(certs, 1, #certs, 1, {})
  if self.options.enroll and self:has_credentials() then all[#all + 1] = self:issued() end
  return all
end

--- The client that shows the issued certificate.
---@param cert lest.cert
---@return lest.client
function Target:as_holder(cert)
  self.holder = self.holder or self.client:with { cert = cert, key = self:key() }
  return self.holder
end

--- Ask for a key of the server: by the credential, or by what was issued where that may not.
---@param body string
---@return lest.http.response?
---@return string why not
function Target:ask_key(body)
  if self.client.trust.kind ~= "explicit" then
    return nil, "no key is asked for where only the system's anchors vouch for the server"
  end
  core.secret.wipe_freed()
  local response, err = self:post("serverkeygen", body)
  local cert = response and (response.status == 401 or response.status == 403) and self:issued()
  if cert then
    response, err = self:ask { as = self:as_holder(cert), operation = "serverkeygen", body = body }
  end
  return response, wire_module.shown(response, err)
end

--- A key that the server has made.
---@class lest.probe.key_made
---@field unsigned lest.http.response to a request whose signature does not hold
---@field response lest.http.response the best of what came

---@return lest.probe.key_made?
---@return string? why not
function Target:key_made()
  return self:once("key made", function()
    local first, why = self:ask_key(self:refused_request())
    if not first then return nil, why end
    local second = first.status == 400 and self:ask_key((self:request()))
    return { unsigned = first, response = second or first }
  end)
end

--- Ask for a renewal of it, with the key that it has. plan: other parts of the request; edit: what
--- becomes of its base64.
---@param plan? table
---@param edit? fun(base64: string): string
---@param headers? table<string, string|false>
---@return lest.probe.enrolled? renewal
---@return string? why not
function Target:renew(plan, edit, headers)
  local cert, why = self:issued()
  if not cert then return nil, why end
  self:as_holder(cert)
  local all = { subject_der = cert.subject_der, san_der = cert.san_der }
  for name, value in pairs(plan or {}) do all[name] = value end
  local body = self:request(all)
  local response, err = self:ask { as = self.holder, operation = "simplereenroll",
    body = edit and edit(body) or body, headers = headers }
  if not response then return nil, wire_module.shown(response, err) end
  return read_issued(response, all.key or self:key())
end

--- Whether renewals are served at all: a right one, asked for once.
---@return lest.probe.enrolled? renewal with a certificate
---@return string? why not
function Target:renewed()
  return self:once("renewed", function()
    local found, why = self:renew()
    if not found or not found.cert then
      return nil, "no renewal: " .. (why or found.problem)
    end
    return found
  end)
end

-- Characters of a channel binding: base64 of tls-exporter (RFC 9266); tls-unique is shorter.
local BINDING_MAX <const> = 44
local SIGNATURE_SLACK <const> = 16 -- by as much may signatures of one key differ in size

--- Ask, by what was issued, for a certificate of its names, with a request that is made for the
--- connection that brings it (RFC 7030 3.5).
---@param operation string
---@param fill fun(binding: string): table further parts of the request
---@return lest.probe.enrolled?
---@return string? why not
function Target:linked(operation, fill)
  local cert, why = self:issued()
  if not cert then return nil, why end
  local function make(binding)
    local plan = fill(binding)
    plan.subject_der, plan.san_der = cert.subject_der, cert.san_der
    return (self:request(plan))
  end
  local response, err = self.wire:perform(self:as_holder(cert), operation,
    { size = #make(("x"):rep(BINDING_MAX)) + SIGNATURE_SLACK, make = make })
  if not response then return nil, wire_module.shown(response, err) end
  return read_issued(response, self:key())
end

function Target:close()
  if self.holder then self.holder:close() end
end
Target.__close = Target.close

return M
