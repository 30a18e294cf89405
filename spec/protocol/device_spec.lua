-- A device is one for the ledger, whatever it proves itself by: its password, and then one
-- certificate after the other.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("a device", function()
  local server

  setup(function()
    server = support.start {
      files = { ["ra.lua"] = process.read "policies/registration-authority.lua" },
      policy = [[
        local policy = require "lest.policy"
        local own_name = policy.own_name()
        local function decide(request)
          local who = request.principal.name
          if who:find "^wait" then return policy.pending "wait" end
          if request.csr.subject.CN == "unwanted" then
            return policy.reject { "no", detail = "for " .. request.device }
          end
          return request.previous and policy.approve { renewal = true } or own_name(request)
        end
        return { enroll = decide, reenroll = decide }]],
      config = function(text)
        text = text:gsub("labels = {", [[limits = { requests_per_principal_per_minute = 6,
          pending_per_principal = 2 },
          labels = {
            ra = { policy = "ra.lua", profile = "named", auth = { "certificate" },
              renews = { "default", "ra" } },]], 1)
        return (text:gsub("profiles = {", [[%0
          named = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy" },]], 1)
          :gsub('eku = { "clientAuth" }', 'eku = { "clientAuth", "cmcRA" }', 1))
      end }
  end)
  teardown(function() server:stop() end)

  --- POST with NAME.pem for a new key; the certificate that comes is NAME.pem then.
  local function renew(name, operation, subject)
    local base = server.folder .. "/" .. name
    local csr = server:csr("fresh", { subject = "/CN=" .. (subject or name) })
    local status, body = server:post(operation or "/simplereenroll", csr, "--cert", base .. ".pem",
      "--key", base .. ".key")
    if status ~= 200 then return status, body end
    local to = subject or name
    os.rename(server.folder .. "/fresh.key", server.folder .. "/" .. to .. ".key")
    return status, core.cert.load(server:save(body, to)).serial
  end

  local function lest(...)
    local words = { support.lest, ... }
    table.move({ "--json", "--config", server.dir .. "/server.lua" }, 1, 3, #words + 1, words)
    return cjson.decode(process.must(words))
  end

  local function serials(rows)
    local list = {}
    for i, row in ipairs(rows) do list[i] = row.serial end
    return list
  end

  it("has all its certificates listed and revoked by its name", function()
    local first = core.cert.load(server:enroll "device01").serial
    local _, second = renew "device01"
    local _, third = renew("device01", "/simpleenroll")
    local other = core.cert.load(server:enroll "device02").serial
    local rows = lest("cert", "list", "--device", "device01")
    assert.same({ third, second, first }, serials(rows))
    assert.same({ "own:CN=device01", "device01" }, { rows[1].principal_name, rows[1].device })
    assert.same({ third, second },
      serials(lest("cert", "list", "--principal", "own:CN=device01")))
    assert.equal(3, #lest("request", "list", "--device", "device01"))
    process.must { support.lest, "cert", "revoke", second, "--config", server.dir .. "/server.lua" }
    assert.same({ third, first },
      lest("cert", "revoke", "--device", "device01", "--reason", "keyCompromise").revoked)
    assert.same({ 403, "the client certificate is revoked\n" }, { renew "device01" })
    assert.equal(other, lest("cert", "list", "--device", "device02")[1].serial)
    assert.equal(200, (renew "device02"))
    local code, _, err = process.run { support.lest, "cert", "revoke", "--device", "device01",
      "--config", server.dir .. "/server.lua" }
    assert.not_equal(0, code)
    assert.matches("'device01' has no certificate that could be revoked: 3 are revoked", err)
    for _, words in ipairs { {}, { first, "--device", "device01" } } do
      code = process.run { support.lest, "cert", "revoke", "--config", server.dir .. "/server.lua",
        table.unpack(words) }
      assert.equal(2, code)
    end
  end)

  it("is named to the policy and in the log, whatever it proves itself by", function()
    local function devices(operation)
      local list = {}
      for _, line in ipairs(server:logged "request") do
        if line.operation == operation then list[#list + 1] = line.device end
      end
      return list
    end
    local before = #devices "simplereenroll"
    server:enroll "seen01"
    assert.equal(200, (renew "seen01"))
    assert.equal(403, (renew("seen01", "/simpleenroll", "unwanted")))
    assert.equal("for seen01", lest("request", "list", "--device", "seen01")[1].detail)
    assert.equal(200, (server:enroll "ra02" and renew("ra02", "/ra/simpleenroll", "thing02")))
    process.wait_for(function() return #devices "simplereenroll" == before + 1 end, "its renewal")
    assert.equal("seen01", devices "simplereenroll"[before + 1])
    local last
    process.wait_for(function()
      local list = devices "simpleenroll"
      last = { table.unpack(list, #list - 3) }
      return list[#list] == "own:CN=thing02"
    end, "what the RA asked for")
    assert.same({ "seen01", "seen01", "ra02", "own:CN=thing02" }, last)
  end)

  it("has the requests of all its names counted together", function()
    server:enroll "device03"
    for _ = 1, 5 do assert.equal(200, (renew "device03")) end
    local status, body = renew "device03"
    assert.same({ 429, "too many requests\n" }, { status, body })
    status, body = server:post("/simpleenroll", server:csr("again", { subject = "/CN=device03" }),
      "--user", "device03:" .. server:credential "device03")
    assert.same({ 429, "too many requests\n" }, { status, body })
  end)

  it("has the waiting requests of all its names counted together", function()
    local secret = server:credential("wait01", { "--reusable" })
    local function ask()
      return (server:post("/simpleenroll", server:csr("w", { subject = "/CN=wait01" }), "--user",
        "wait01:" .. secret))
    end
    assert.same({ 202, 202, 429 }, { ask(), ask(), ask() })
    -- Asked for by a certificate of the device, they count all the same.
    server:change([[UPDATE pending SET device = principal_name,
      principal_name = 'own:CN=wait01', principal_kind = 'certificate'
      WHERE principal_name = 'wait01']])
    assert.equal(429, ask())
    assert.equal(2, #lest("pending", "list"))
  end)

  it("7030-3.7-b is the one that an RA asked for, from its first certificate on", function()
    local mine = core.cert.load(server:enroll "ra01").serial
    local _, thing = renew("ra01", "/ra/simpleenroll", "thing01")
    local _, again = renew("thing01", "/ra/simplereenroll")
    assert.same({ again, thing }, serials(lest("cert", "list", "--device", "own:CN=thing01")))
    assert.same({ mine }, serials(lest("cert", "list", "--device", "ra01")))
    assert.same({ thing }, serials(lest("cert", "list", "--principal", "own:CN=ra01")))
  end)
end)
