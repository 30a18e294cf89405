-- What an operator may ask a ledger for, and that each answer is whole, however it is paged.
local core = require "lest.core"
local operator = require "lest.server.ledger.operator"
local rows = require "support.rows"
local temporary = require "support.temporary"

local DAY <const> = 86400
local NOW <const> = 100 * DAY

describe("an operator's question", function()
  local ledger

  before_each(function()
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  --- A request and its certificate, of the ledger's time `at` days.
  local function issue(name, at, changes)
    local request = { id = "r-" .. name, time_us = at * DAY * 1000000, serial = name,
      principal_name = "device-" .. name, label = changes and changes.label }
    assert(ledger:run("request_add", rows.request(request)))
    local certificate = { serial = name, request_id = request.id, subject = "CN=device-" .. name,
      principal_name = request.principal_name, issued_at = at * DAY, not_before = at * DAY,
      not_after = (at + 10) * DAY }
    for key, value in pairs(changes or {}) do certificate[key] = value end
    assert(ledger:run("certificate_add", rows.certificate(certificate)))
  end

  local function answer(operation, field, arguments)
    local list = {}
    arguments.limit = arguments.limit or math.maxinteger
    local pages = operator.pages(ledger, operation, arguments,
      { clock = function() return NOW end })
    for page in pages do
      for _, row in ipairs(page) do list[#list + 1] = row[field] end
    end
    return table.concat(list, " ")
  end

  local function certificates(arguments) return answer("cert_list", "serial", arguments) end
  local function requests(arguments) return answer("request_list", "id", arguments) end

  describe("about certificates", function()
    before_each(function()
      issue("0a", 80)
      issue("0b", 89, { profile = "other", not_after = NOW })
      issue("0c", 95, { label = "plant", subject = "CN=Pump 7,O=ACME", san = "DNS:pump7.example" })
      issue("0d", 99, { not_before = 101 * DAY })
      issue("1e", 99, { san = "URI:urn:pump:9" })
      ledger:run("certificate_revoke", { serial = "1e", issuer = "ca", reason = "superseded",
        now = NOW })
    end)

    it("says of each whether it is valid", function()
      assert.equal("revoked not yet valid valid valid expired",
        answer("cert_list", "state", {}))
      for state, serials in pairs { valid = "0c 0b", expired = "0a", revoked = "1e",
        ["not yet valid"] = "0d" } do
        assert.equal(serials, certificates { state = state })
      end
      local shown = operator.run(ledger, "cert_show", { serial = "1e" })
      assert.equal("revoked", shown[1].state)
    end)

    it("finds what ends in a time, the first end first", function()
      assert.equal("0b 0c 0d 1e", certificates { ends_before = 200 * DAY })
      assert.equal("0b 0c", certificates { ends_before = 106 * DAY })
      assert.equal("0b", certificates { ends_before = 105 * DAY })
      assert.equal("0a 0b", certificates { ends_from = 0, ends_before = 101 * DAY })
      assert.equal("0c 0d 1e", certificates { ends_from = 105 * DAY })
      assert.equal("0c", certificates { ends_before = 106 * DAY, label = "plant" })
      assert.equal("1e", certificates { ends_before = 200 * DAY, state = "revoked" })
      assert.equal("", certificates { ends_before = 105 * DAY, device = "device-0c" })
    end)

    it("finds the server's own, which have no profile, by their end", function()
      local changes = { profile = "", operation = "tls", not_after = 104 * DAY }
      issue("2a", 90, changes)
      changes.operation = "ocsp"
      issue("2b", 98, changes)
      assert.equal("0b 2a 2b 0c", certificates { ends_before = 106 * DAY })
      assert.equal("0b 2a 0c", certificates { ends_before = 106 * DAY, not_renewed = true })
      assert(ledger:run("request_add", rows.request { id = "r-2c", serial = "2c",
        principal_name = "device-2a", time_us = 99 * DAY * 1000000 }))
      assert(ledger:run("certificate_add", rows.certificate { serial = "2c", request_id = "r-2c",
        profile = "", operation = "tls", principal_name = "device-2a", subject = "CN=device-2a",
        issued_at = 99 * DAY, not_before = 99 * DAY, not_after = 150 * DAY }))
      assert.equal("0b 2a 2b 0c", certificates { ends_before = 106 * DAY })
      assert.equal("0b 0c", certificates { ends_before = 106 * DAY, not_renewed = true })
    end)

    it("finds a part of a name, in capitals or not, and no pattern", function()
      assert.equal("1e 0c", certificates { part = "PUMP" })
      assert.equal("0c", certificates { part = "pump7.ex" })
      assert.equal("0c", certificates { part = "pump 7" })
      assert.equal("0c", certificates { part = "pump", principal_name = "device-0c" })
      for _, part in ipairs { "%", "p*p", "device_", "\xff" } do
        assert.equal("", certificates { part = part })
      end
    end)

    it("finds a label, the beginning of a serial, and what was issued since", function()
      assert.equal("0c", certificates { label = "plant" })
      assert.equal("0a 0b 0c 0d", certificates { serial = "0" })
      assert.equal("1e", certificates { serial = "1E" })
      assert.equal("", certificates { serial = "e" })
      assert.equal("1e 0d 0c", certificates { since = 95 * DAY })
      assert.equal("0c", certificates { since = 95 * DAY, label = "plant" })
      assert.equal("0d", certificates { serial = "0d", device = "device-0d" })
      assert.equal("", certificates { serial = "0d", device = "device-0c" })
      local _, err = operator.run(ledger, "cert_list", { serial = "pump" })
      assert.equal("usage", err.code)
    end)

    it("leaves out what its device has renewed", function()
      local function renew(serial, of, changes)
        local request = { id = "r-" .. serial, serial = serial, time_us = 99 * DAY * 1000000,
          principal_name = "own:CN=x", device = "device-" .. of }
        assert(ledger:run("request_add", rows.request(request)))
        local row = { serial = serial, request_id = request.id, device = request.device,
          subject = "CN=device-" .. of, principal_name = request.principal_name,
          issued_at = 99 * DAY, not_before = 99 * DAY, not_after = 109 * DAY }
        for key, value in pairs(changes or {}) do row[key] = value end
        assert(ledger:run("certificate_add", rows.certificate(row)))
      end
      local question = { state = "valid", not_renewed = true, ends_before = 106 * DAY }
      assert.equal("0b 0c", certificates(question))
      renew("4a", "0b")
      assert.equal("0c", certificates(question))
      -- Of other names, of another device, of a sooner end, revoked: none renews it.
      renew("4b", "0c")
      renew("4c", "0x", { subject = "CN=Pump 7,O=ACME", san = "DNS:pump7.example" })
      local names = { subject = "CN=Pump 7,O=ACME", san = "DNS:pump7.example" }
      renew("4d", "0c", { subject = names.subject, san = names.san, not_after = 104 * DAY })
      renew("4e", "0c", names)
      ledger:run("certificate_revoke", { serial = "4e", issuer = "ca", reason = "x", now = NOW })
      assert.equal("0c", certificates(question))
      renew("4f", "0c", names)
      assert.equal("", certificates(question))
      assert.equal("4f 4b",
        certificates { state = "valid", not_renewed = true, device = "device-0c" })
    end)

    it("does not take an imported one for new, nor lose one that is", function()
      issue("2f", 99, { issued_at = 10 * DAY })
      assert.equal("1e 0d", certificates { since = 99 * DAY })
      assert.equal("2f 1e 0d 0c 0b 0a", certificates { since = 10 * DAY })
    end)

    it("finds two of one serial across a page", function()
      for i = 1, 3 do issue("3" .. i, 99) end
      assert(ledger:run("certificate_add", rows.certificate { serial = "31", issuer = "cb",
        request_id = "r-31", subject = "CN=other" }))
      local first, last = operator.run(ledger, "cert_list", { serial = "3", limit = 1 })
      local second = operator.run(ledger, "cert_list", { serial = "3", limit = 1, before = last })
      assert.same({ "31", "31", "ca", "cb" },
        { first[1].serial, second[1].serial, first[1].issuer, second[1].issuer })
      assert.equal("31 31 32 33", certificates { serial = "3" })
    end)
  end)

  describe("about decisions", function()
    before_each(function()
      local csr = core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=Pump 7",
        san = { "DNS:pump7.example", "IP:192.0.2.7" } }
      issue("0a", 80)
      issue("0b", 95, { label = "plant" })
      for i, verdict in ipairs { "reject", "error" } do
        assert(ledger:run("request_add", rows.request { id = "x-" .. i, verdict = verdict,
          principal_name = "device-0a", time_us = (95 + i) * DAY * 1000000,
          csr = i == 1 and csr:der() or nil }))
      end
      assert(ledger:run("request_add", rows.request { id = "x-3", principal_name = "own:CN=x",
        device = "device-0b", label = "plant", time_us = 99 * DAY * 1000000,
        csr = "\x30\6pump 7" }))
    end)

    it("finds a time, from the first of its seconds to before the last", function()
      assert.equal("x-3 x-2 x-1 r-0b", requests { since = 95 * DAY })
      assert.equal("x-3 x-2 x-1", requests { since = 95 * DAY + 1 })
      assert.equal("x-1 r-0b", requests { since = 95 * DAY, until_time = 97 * DAY })
      assert.equal("r-0a", requests { until_time = 95 * DAY })
      assert.equal("x-1", requests { until_time = 97 * DAY, verdict = "reject" })
      assert.equal("r-0b", requests { until_time = 97 * DAY, device = "device-0b" })
      assert.equal("x-3", requests { since = 97 * DAY, device = "device-0b" })
      assert.equal("", requests { since = NOW })
    end)

    it("finds rows that stand where a clock was set back", function()
      assert(ledger:run("request_add", rows.request { id = "back",
        time_us = 98 * DAY * 1000000 + 43200 * 1000000 }))
      assert.equal("back x-3", requests { since = 98 * DAY })
    end)

    it("finds a name in the CSR, and no bytes that are none", function()
      assert.equal("x-1", requests { part = "PUMP7.ex" })
      assert.equal("x-1", requests { part = "pump 7" })
      assert.equal("x-1", requests { part = "CN=Pump" })
      assert.equal("x-1", requests { part = "192.0.2.7" })
      assert.equal("x-3 r-0b", requests { part = "DEVICE-0B" })
      assert.equal("x-3", requests { part = "DEVICE-0B", limit = 1 })
      assert.is_nil(operator.run(ledger, "request_list", { part = "pump" })[1].csr)
    end)

    it("finds the beginning of an id, a serial, a label", function()
      assert.equal("x-1 x-2 x-3", requests { id = "x-" })
      assert.equal("x-2", requests { id = "x-2" })
      assert.equal("x-2", requests { id = "x-", verdict = "error" })
      assert.equal("x-2", requests { id = "x-2", device = "device-0a" })
      assert.equal("r-0a r-0b", requests { serial = "0" })
      assert.equal("r-0b", requests { serial = "0B" })
      assert.equal("x-3 r-0b", requests { label = "plant" })
      assert.equal("", requests { id = "X" })
    end)
  end)

  it("is answered whole where few rows of very many are wanted", function()
    assert(ledger:begin())
    for i = 1, 41000 do
      assert(ledger:run("request_add", rows.request { id = ("%06d"):format(i),
        label = (i == 1 or i == 20001 or i == 41000) and "plant" or "",
        time_us = i * 1000000 }))
    end
    assert(ledger:commit())
    assert.equal("041000 020001 000001", requests { label = "plant" })
    assert.equal("041000 020001", requests { label = "plant", limit = 2 })
    assert.equal("041000", requests { label = "plant", limit = 1 })
    assert.equal("000001", requests { label = "plant", until_time = 20001 })
    assert.equal("", requests { label = "none" })
    local ids = requests { id = "04" }
    assert.equal(1001 * 7 - 1, #ids)
    assert.equal("040000 040001", ids:sub(1, 13))
  end)

  it("about ends is answered in order across profiles and pages", function()
    assert(ledger:run("request_add", rows.request()))
    assert(ledger:begin())
    for i = 1, 1300 do
      assert(ledger:run("certificate_add", rows.certificate { serial = ("%04x"):format(i),
        profile = "p" .. i % 3, not_after = NOW + i // 100 }))
    end
    assert(ledger:commit())
    local expected = {}
    for i = 1, 1300 do expected[i] = ("%04x"):format(i) end
    assert.equal(table.concat(expected, " "), certificates { ends_before = NOW + 1000 })
    assert.equal(table.concat(expected, " ", 1, 501),
      certificates { ends_before = NOW + 1000, limit = 501 })
  end)
end)
