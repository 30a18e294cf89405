-- A row of the ledger becomes the request that its policy saw, with the answers that it had from
-- outside; one that cannot be read is told apart, and raises nothing.
local core = require "lest.core"
local policies = require "support.policy"
local row_module = require "lest.desk.row"

describe("a recorded decision", function()
  local cert

  setup(function()
    local now = os.time()
    cert = assert(core.issuer.root { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=device001", not_before = now, not_after = now + 3600 })
  end)

  local function row(more)
    local made = { id = "r1", time_us = 1700000000000000, operation = "simpleenroll",
      label = "default", principal_kind = "basic", principal_name = "device001",
      principal = '{"name":"device001","credential":{"site":"north"}}',
      csr = policies.csr("CN=device001"):der(), tls = '{"version":"TLSv1.3","cipher":"x"}',
      address = "192.0.2.1", headers = '{"user-agent":"curl"}', verdict = "approve",
      policy_hash = ("0"):rep(64), asked_at = 1699999999,
      trace = '[[0,"rule","p.lua:1","approve",10]]',
      stated = '{"subject":[["CN","device001"],["O","x","plus"]],"lifetime":60}' }
    for key, value in pairs(more or {}) do made[key] = value or nil end
    return made
  end

  it("is the request as the policy saw it", function()
    local facts = assert(row_module.read(row { approvals = '[{"operator":"alice","time":1}]' }))
    assert.same({ "r1", 1699999999, "simpleenroll", "default", "192.0.2.1", "device001" },
      { facts.id, facts.time, facts.operation, facts.label, facts.address, facts.device })
    assert.equal("CN=device001", tostring(facts.csr.subject))
    assert.same({ kind = "basic", name = "device001", is_own = false,
      credential = { site = "north" } }, facts.principal)
    assert.same({ basic = { name = "device001" } }, facts.auth)
    assert.equal("alice", facts.approvals[1].operator)
    assert.equal("curl", facts.headers["user-agent"])
    assert.is_nil(facts.previous)
  end)

  it("says what was proven where that was more than who asks", function()
    local facts = assert(row_module.read(row { principal_kind = "certificate",
      principal = '{"name":"a","anchors":"own","auth":{"certificate":{"name":"a","anchors":"own"},'
        .. '"basic":{"name":"b"}}}' }))
    assert.same({ certificate = { name = "a", anchors = "own" }, basic = { name = "b" } },
      facts.auth)
  end)

  it("has the certificate being renewed, with what the ledger knows of it", function()
    local proven = core.json.encode { name = "device001", anchors = "own",
      certificate = core.base64.encode(cert:der()) }
    local renewal = row { operation = "simplereenroll", principal_kind = "certificate",
      principal_name = "own:CN=device001", principal = proven, previous = cert.serial,
      own = { serial = cert.serial, profile = "p", facts = '{"site":"south"}',
        device = "device001" } }
    local facts = assert(row_module.read(renewal))
    assert.equal(cert, facts.principal.certificate)
    assert.is_true(facts.principal.is_own)
    assert.same({ certificate = { name = "device001", anchors = "own" } }, facts.auth)
    assert.same({ certificate = cert, profile = "p", facts = { site = "south" } }, facts.previous)
    renewal.asked_at = cert.not_after + 7
    assert.equal(7, row_module.read(renewal).previous.expired_for)
    assert.equal("device001", facts.device)
    renewal.own = nil
    assert.same({ nil, "the ledger has no such certificate as it renews" },
      { row_module.read(renewal) })
  end)

  it("of fullcmc has what the message said beside its requests", function()
    local proven = core.json.encode { name = "device001", reg_info = core.base64.encode "\0info" }
    local facts = assert(row_module.read(row { operation = "fullcmc", principal = proven }))
    assert.same({ "fullcmc", { reg_info = "\0info" } }, { facts.operation, facts.cmc })
    assert.same({}, row_module.read(row { operation = "fullcmc" }).cmc)
    assert.is_nil(row_module.read(row()).cmc)
    assert.same({ nil, "its regInfo cannot be read" }, { row_module.read(row {
      operation = "fullcmc", principal = '{"name":"x","reg_info":"*"}' }) })
  end)

  it("of an older version was asked when it was written", function()
    local old = row { asked_at = false }
    assert.is_false(row_module.says_all(old))
    assert.equal(1700000000, row_module.read(old).time)
  end)

  it("answers what was asked outside as it was answered, in its order", function()
    local _, source = row_module.read(row { outside = core.json.encode {
      { kind = "http", question = "GET https://a/1", answer = { status = 200 }, us = 1 },
      { kind = "http", question = "GET https://a/1", answer = { status = 404 }, us = 1 },
      { kind = "http", question = "GET https://a/2", err = { code = "timeout", message = "late" },
        us = 1 },
      { kind = "csv", question = "devices.csv 7", is_nothing = true, us = 1 },
      { kind = "http", question = "GET https://a/3", sha256 = "00", us = 1 },
      { kind = "http", question = "GET https://a/4", us = 1,
        answer = { status = 200, body_sha256 = "00" } },
    } })
    assert.equal(200, source("http", "GET https://a/1").status)
    assert.equal(404, source("http", "GET https://a/1").status)
    assert.equal(404, source("http", "GET https://a/1").status)
    assert.same({ nil, { code = "timeout", message = "late" } },
      { source("http", "GET https://a/2") })
    assert.is_nil(source("csv", "devices.csv 7"))
    assert.is_nil(source.missing)
    assert.has_error(function() source("http", "GET https://a/3") end,
      "not decidable: the record has no answer to http GET https://a/3")
    assert.has_error(function() source("http", "GET https://a/4") end,
      "not decidable: the record has no answer to http GET https://a/4")
    assert.is_false(pcall(source, "csv", "GET https://a/1"))
    assert.equal("http GET https://a/3", source.missing)
  end)

  it("says what its policy stated, whatever became of that", function()
    local stated = assert(row_module.stated(row { verdict = "reject", reason = "revoked since" }))
    assert.equal("approve", stated.verdict)
    assert.same({ { "CN", "device001" }, { "O", "x", plus = true } }, stated.subject)
    assert.equal(60, stated.lifetime)
    assert.equal("approve", row_module.stated(row { verdict = "error" }).verdict)
    assert.equal("error", row_module.stated(row { verdict = "error", stated = false }).verdict)
    assert.equal("pending", row_module.stated(row { verdict = "pending", trace = false }).verdict)
    assert.equal("reject", row_module.stated(row { verdict = "reject",
      trace = '[[0,"rule","x","?",1]]' }).verdict)
    assert.same({}, { row_module.stated(row { policy_hash = false }) })
    assert.same({}, { row_module.stated(row { rule = "operator",
      detail = "answered at the console by alice (uid 0)" }) })
    assert.equal("approve", row_module.stated(row { rule = "operator", detail = "x" }).verdict)
  end)

  it("that cannot be read is a problem of that row", function()
    for problem, change in pairs {
      ["its CSR cannot be read"] = { csr = "garbage" },
      ["its principal cannot be read"] = { principal = "{" },
      ["it has no principal"] = { principal = "{}" },
      ["its operation is unknown"] = { operation = "cacerts" },
      ["its tls cannot be read"] = { tls = "5" },
      ["its headers cannot be read"] = { headers = "\255" },
      ["its certificate cannot be read"] = { principal = '{"name":"x","certificate":"AAAA"}' },
      ["its credential cannot be read"] = { principal = '{"name":"x","credential":5}' },
      ["its name cannot be read"] = { principal = '{"name":{}}' },
      ["its approvals cannot be read"] = { approvals = "null" },
    } do
      assert.same({ nil, problem }, { row_module.read(row(change)) })
    end
    for _, approvals in ipairs { "[1]", '{"a":"b"}' } do
      assert.same({ nil, "its approvals cannot be read" },
        { row_module.read(row { approvals = approvals }) })
    end
    assert.matches("^what it was told from outside cannot be read",
      select(2, row_module.read(row { outside = "[[" })))
    for _, change in ipairs { { stated = "[" }, { trace = "{" }, { stated = '{"subject":5}' } } do
      local stated, problem = row_module.stated(row(change))
      assert.is_nil(stated)
      assert.is_string(problem)
    end
  end)
end)
