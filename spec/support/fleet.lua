--- Many devices at once, in the spec's own process: each with a key, a CSR and a one-time secret,
--- asking until it has a certificate, as a device does that saves its key first.
---
---   local fleet = require("support.fleet").new(server, 200)
---   local running = fleet:start()
---   process.kill(pid, "KILL")
---   fleet:finish(running)
---   fleet:check()            -- nothing that was answered is lost, one certificate a secret
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local http = require "lest.http"
local all = require "lest.all"
local task = require "lest.task"

local M = {}

---@class support.fleet
local Fleet = {}
Fleet.__index = Fleet

--- What a device does again after, as RFC 7030 4.2.3 and the network have it: it is not known what
--- became of the request.
local AGAIN <const> = { [503] = true }

--- One-time secrets for names, straight into the ledger of a running server.
---@param server support.server
---@param names string[]
---@return table<string, string>
function M.secrets(server, names)
  local ledger <close> = assert(core.ledger.open(server:ledger(), { create = false }))
  local store = credentials.new { ledger = ledger }
  local secrets = {}
  assert(ledger:begin())
  for _, name in ipairs(names) do
    secrets[name] = assert(store:add { name = name, expires_s = 3600 }).secret
  end
  assert(ledger:commit())
  return secrets
end

--- A device: its name, key and CSR (the body of a request).
---@param name string
---@return { name: string, key: lest.key, body: string }
function M.device(name)
  local key = assert(core.key.generate "ec:P-256")
  local csr = assert(core.csr.build { key = key, subject = { { "CN", name } } })
  return { name = name, key = key, body = core.base64.encode(csr:der(), 64) }
end

---@param server support.server
---@param count integer
---@param prefix? string
---@return support.fleet
function M.new(server, count, prefix)
  local self = setmetatable({ server = server, devices = {}, retries = 0, answers = 0,
    unexpected = {} }, Fleet)
  local names = {}
  for i = 1, count do
    names[i] = ("%s%04d"):format(prefix or "device", i)
    self.devices[i] = M.device(names[i])
  end
  local secrets = M.secrets(server, names)
  for _, device in ipairs(self.devices) do device.secret = secrets[device.name] end
  return self
end

-- Idle connections are soon closed, so that a server that ends need not wait for them.
local IDLE_MS <const> = 200

local function client_of(server, device)
  local held = device.cert and device or server
  if not held.http then
    local anchors = assert(core.cert.load_all(server.dir .. "/ca.pem"))
    held.http = assert(core.http_client.new {
      store = assert(core.store.new { anchors = anchors }), idle_ms = IDLE_MS,
      cert = device.cert, key = device.cert and device.key,
    })
  end
  return held.http
end

--- One POST of a device, with its secret, or with its certificate where it has `cert`.
---@param options? { operation: string, username: string, password: string }
---@return lest.http.response?
---@return lest.error?
function M.post(server, device, options)
  options = options or {}
  local password = options.password or device.secret
  return http.send(client_of(server, device), {
    url = server.url .. "/.well-known/est/" .. (options.operation or "simpleenroll"),
    method = "POST", body = device.body, headers = { { "Content-Type", "application/pkcs10" } },
    username = password and (options.username or device.name), password = password,
    timeout_ms = 60000,
  })
end

--- Ask until there is a certificate; every other answer than "later" is noted and ends it.
function Fleet:enroll(device, deadline_ms)
  while core.clock.monotonic_ms() < deadline_ms do
    local response, err = M.post(self.server, device)
    if response and response.status == 200 then
      self.answers = self.answers + 1
      device.certificate = assert(core.pkcs7.decode(core.base64.decode(response.body)))[1]
      return
    elseif response and not AGAIN[response.status] then
      table.insert(self.unexpected, ("%s: %d %s"):format(device.name, response.status,
        response.body ~= "" and response.body or response:header "x-reason" or ""))
      return
    elseif response and not response:header "retry-after" then
      table.insert(self.unexpected, device.name .. ": 503 without Retry-After")
      return
    end
    self.last_error = response and ("%d %s"):format(response.status,
      response:header "x-reason" or response.body) or err
    self.retries = self.retries + 1
    task.sleep(0.05 + math.random() / 10)
  end
  table.insert(self.unexpected, device.name .. ": no certificate in time: "
    .. tostring(self.last_error))
end

--- All devices, `limit` (default 20) at once, in a task that is returned.
---@param limit? integer
---@param seconds? integer how long they try (default 90)
---@return lest.task
function Fleet:start(limit, seconds)
  local deadline_ms = core.clock.monotonic_ms() + (seconds or 90) * 1000
  return task.start({ quiet = true }, function()
    all(self.devices, { limit = limit or 20,
      each = function(device) self:enroll(device, deadline_ms) end })
  end)
end

--- Turn the loop until `count` devices have their answers.
function Fleet:wait_answers(count)
  while self.answers < count and #self.unexpected == 0 do task.sleep(0.005) end
end

--- Every device has a certificate for its own key, it is in the ledger, and it is the only one that
--- its secret ever gave.
function Fleet:check()
  local assert = require "luassert"
  assert.same({}, self.unexpected)
  local ledger <close> = assert(core.ledger.open(self.server:ledger(), { create = false }))
  for _, device in ipairs(self.devices) do
    local cert = assert(device.certificate, device.name)
    assert.equal(device.key:public_der(), cert.public_key.der)
    assert.equal(device.name, cert.subject.CN)
    local rows = assert(ledger:rows("certificate_list_principal",
      { principal_name = device.name, limit = 10 }))
    assert.equal(1, #rows, device.name)
    assert.equal(cert.serial, rows[1].serial)
    local approved = assert(ledger:rows("request_list_principal",
      { principal_name = device.name, verdict = "approve", limit = 10 }))
    assert.equal(1, #approved, device.name)
    assert.equal(cert.serial, approved[1].serial)
  end
end

return M
