-- The certificates of a name are revoked together: those that are meant, and no other's.
local core = require "lest.core"
local operator = require "lest.server.ledger.operator"
local rows = require "support.rows"
local temporary = require "support.temporary"

local NOW <const> = 2000

describe("certificates of a name", function()
  local ledger

  local function issue(serial, subject, changes)
    local row = rows.certificate { serial = serial, subject = subject, not_after = NOW + 100 }
    for key, value in pairs(changes or {}) do row[key] = value end
    assert(ledger:run("certificate_add", row))
  end

  before_each(function()
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    assert(ledger:run("request_add", rows.request()))
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local labels

  before_each(function() labels = {} end)

  local function run(operation, arguments)
    return operator.run(ledger, operation, arguments,
      { clock = function() return NOW end, labels = labels })
  end

  local function find(arguments)
    local found, err = run("cert_find_named", arguments)
    if not found then return err.code end
    local serials = {}
    for i, row in ipairs(found.rows) do serials[i] = row.serial end
    return table.concat(serials, " "), found
  end

  it("are those with a part in the subject or a SAN, if they can still be used", function()
    issue("01", "CN=pump7,O=ACME")
    issue("02", "CN=pump70")
    issue("03", "CN=x", { san = "DNS:pump7.example" })
    issue("04", "CN=pump7", { not_after = NOW - 1 })
    issue("05", "CN=pump7", { not_after = NOW })
    issue("06", "CN=pump7")
    ledger:run("certificate_revoke", { serial = "06", issuer = "ca", reason = "x", now = 1 })
    assert.equal("05 03 02 01", (find { name = "PUMP7" }))
    assert.equal("not_found", (find { name = "pump8" }))
    assert.equal("not_found", (find { name = "\xff" }))
  end)

  it("are those too that have expired and can still be renewed", function()
    issue("01", "CN=pump7", { not_after = NOW - 50 })
    issue("02", "CN=pump7", { not_after = NOW - 51 })
    assert.equal("refused", (find { name = "pump7" }))
    labels = { a = { expired_grace = 50 }, b = { expired_grace = 0 } }
    assert.equal("01", (find { name = "pump7" }))
  end)

  it("are those of a whole value where that is asked for", function()
    for i, case in ipairs { { "CN=pump7" }, { "CN=pump7,O=ACME" }, { "O=ACME+CN=Pump7" },
      { "CN=x", "DNS:y,URI:pump7" }, { "CN=pump70" }, { "CN=a-pump7" }, { "CN=a\\,pump7" },
      { "CN=pump7\\,b" }, { "CN=x", "DNS:pump7.example" }, { "CN=pump70,OU=pump7" } } do
      issue("0" .. string.format("%x", i), case[1], { san = case[2] })
    end
    assert.equal("0a 04 03 02 01", (find { name = "pump7", exact = true }))
    assert.equal("03 02 01", (find { name = "CN=pump7", exact = true }))
    assert.equal("04", (find { name = "uri:pump7", exact = true }))
    assert.equal("0a 05", (find { name = "CN=pump70", exact = true }))
  end)

  it("are those of a whole value, whatever stands in others", function()
    for i, case in ipairs { { "CN=x=7" }, { "CN=x", "IP:2001:db8::7" }, { "CN=x", "URI:urn:dev:7" },
      { "CN=x", "URI:urn:dev,7" }, { "O=b\\\\,CN=7" }, { "CN=x", "DNS:a,IP:7" },
      { "CN=a\\+7" } } do
      issue("0" .. i, case[1], { san = case[2] })
    end
    assert.equal("06 05", (find { name = "7", exact = true }))
    assert.equal("05", (find { name = "o=B\\\\", exact = true }))
    assert.equal("05", (find { name = "CN=7", exact = true }))
    assert.equal("07", (find { name = "a\\+7", exact = true }))
    assert.equal("02", (find { name = "2001:DB8::7", exact = true }))
    assert.equal("04", (find { name = "URI:urn:dev,7", exact = true }))
  end)

  it("are revoked at once, with what they were given since", function()
    issue("01", "CN=pump7")
    issue("02", "CN=pump8")
    issue("03", "CN=pump7")
    local _, found = find { name = "pump7" }
    issue("04", "CN=pump7")
    ledger:run("certificate_revoke", { serial = "01", issuer = "ca", reason = "x", now = 1 })
    local result = assert(run("cert_revoke_named", { name = "pump7", found = found,
      reason = "keyCompromise" }))
    assert.same({ "04", "03" }, result.revoked)
    local state = {}
    for i, row in ipairs(run("cert_list", {})) do state[i] = row.state end
    assert.equal("revoked revoked valid revoked", table.concat(state, " "))
    assert.equal("x", run("cert_show", { serial = "01" })[1].revocation_reason)
    assert.equal("keyCompromise", run("cert_show", { serial = "04" })[1].revocation_reason)
  end)

  it("are revoked together or not at all", function()
    issue("01", "CN=pump7")
    local _, found = find { name = "pump7" }
    found.rows[2] = { serial = "02", issuer = "\xff" } -- no such row can be looked for
    local result, err = run("cert_revoke_named", { name = "pump7", found = found, reason = "x" })
    assert.is_nil(result)
    assert.equal("malformed", err.code)
    assert.equal("valid", run("cert_list", {})[1].state)
    assert(ledger:begin())
    assert(ledger:rollback())
  end)

  it("are refused where they are more than can be meant", function()
    assert(ledger:begin())
    for i = 1, 10001 do issue(("%04x"):format(i), "CN=pump" .. i) end
    assert(ledger:commit())
    assert.equal("refused", (find { name = "pump" }))
    local _, found = find { name = "pump1" }
    assert.equal(1113, #found.rows)
  end)
end)
