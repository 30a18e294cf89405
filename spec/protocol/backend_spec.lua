-- A CA that is elsewhere, behind a program: what its certificates must be, and what becomes of a
-- request when it refuses, fails, is away or decides later.
local cjson = require "cjson"
local cmc = require "support.cmc"
local core = require "lest.core"
local elsewhere = require "support.elsewhere"
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"

describe("a CA elsewhere", function()
  local server, ca

  before_each(function() ca = elsewhere.ca() end)
  after_each(function()
    if server then server:stop() end
    server = nil
    ca:close()
  end)

  local function start(options)
    options = options or {}
    options.backend = (options.backend or ca.command) .. (options.more or "")
    server = elsewhere.server(options)
    server:run()
  end

  --- A device that posts the same request again and again: status, body, headers.
  local function device_of(name)
    local secret, csr = server:credential(name), server:csr(name)
    return function(...)
      return server:post("/simpleenroll", csr, "--user", name .. ":" .. secret, ...)
    end
  end

  --- Post a CSR by one name and password, as often as one likes.
  local function person()
    server:credential("pump", { "--reusable", "--password-file",
      server:file("password", "correct horse battery") })
    return function(csr)
      return server:post("/simpleenroll", csr, "--user", "pump:correct horse battery")
    end
  end

  --- Another CSR with the key of pump.csr.
  local function other_csr(extension)
    local path = server.folder .. "/other.csr"
    process.must { "openssl", "req", "-new", "-subj", "/CN=pump", "-key",
      server.folder .. "/pump.key", "-addext", extension, "-out", path }
    return path
  end

  local function lest(...)
    local words = { support.lest, ... }
    table.insert(words, "--config")
    table.insert(words, server.dir .. "/server.lua")
    return process.must(words)
  end

  local function orders(columns)
    return server:sql(("SELECT %s FROM orders ORDER BY seq"):format(columns))
  end

  it("issues what was approved, as one of ours is issued", function()
    start()
    local ask = device_of "pump"
    local status, body = ask()
    assert.equal(200, status, body)
    local cert = support.issued(body)
    assert.equal("CN=Elsewhere", tostring(cert.issuer))
    assert.equal("CN=pump", tostring(cert.subject))
    local asked = ca:asked()
    assert.equal(1, #asked)
    assert.same({ { "CN", "pump" } }, asked[1].subject)
    assert.same({ "clientAuth" }, asked[1].eku)
    assert.same({ kind = "basic", name = "pump" }, asked[1].principal)
    assert.equal("device", asked[1].profile)
    assert.equal(90 * 86400, asked[1].lifetime)
    assert.is_false(asked[1].again)
    -- The lost answer is ours to give; the CA is not asked again.
    local again, same = ask()
    assert.equal(200, again)
    assert.equal(cert:der(), support.issued(same):der())
    assert.equal(1, #ca:asked())
    -- It stands in the ledger as any other, and is found by all the ways to one.
    assert.equal("issued", orders "state")
    local listed = cjson.decode(lest("cert", "list", "--device", "pump", "--json"))
    assert.equal(cert.serial, listed[1].serial)
    assert.matches("far has issued", lest("explain", cert.serial))
    -- /cacerts has the CA that signs.
    local _, bag = server:curl "/cacerts"
    local found = false
    for _, each in ipairs(assert(core.pkcs7.decode(assert(core.base64.decode(bag))))) do
      found = found or tostring(each.subject) == "CN=Elsewhere"
    end
    assert.is_true(found)
  end)

  it("renews what it has issued", function()
    start { top = ('anchors = { own = "ca.pem", far = "%s/ca.pem" },'):format(ca.folder) }
    local ask = device_of "pump"
    server:save(select(2, ask()), "pump")
    local status, body = server:post("/simplereenroll", server:csr("pump", { reuse = true }),
      "--cert", server.folder .. "/pump.pem", "--key", server.folder .. "/pump.key")
    assert.equal(200, status, body)
    assert.equal("2", server:sql
      "SELECT count(*) FROM certificates WHERE coalesce(device, principal_name) = 'pump'")
  end)

  it("is not believed where its certificate is not what was approved", function()
    start()
    for i, each in ipairs {
      { "key", "its key is not the one that was asked for" },
      { "signer", "the CA's certificate does not vouch for it" },
      { "subject", "its subject is not the one that was approved" },
      { "san", "its alternative names are not those that were approved" },
      { "long", "it is valid for longer than was approved" },
      { "eku", "its extended key usage serverAuth is not the profile's" },
      { "ca", "it is a CA's" },
      { "bare", "it has no key usage, which stands for every one" },
      { "signs", "its key usage keyCertSign is not the profile's" },
      { "future", "it is not valid yet" },
      { "past", "it has expired" },
      { "garbage", "the program has printed no certificate" },
      { "flood", "the program prints too much" },
      { "fail", "the program ended with 3: out of paper" },
    } do
      ca:tell(each[1])
      local status, reason = device_of("pump" .. i)()
      assert.equal(502, status)
      assert.equal("the CA's answer cannot be used\n", reason)
      local problem = server:sql "SELECT state, problem FROM orders ORDER BY seq DESC LIMIT 1"
      assert.truthy(problem:find(each[2], 1, true), problem)
      assert.equal("failed", problem:match "^%a+")
      assert.equal("error", server:logged("order failed")[i].level)
    end
    -- One that another request was given is no answer either.
    local post = person()
    ca:tell "issue"
    assert.equal(200, (post(server:csr "pump")))
    ca:tell "same"
    assert.equal(502, (post(other_csr "keyUsage=digitalSignature")))
    assert.equal("it was issued for another request", orders("problem"):match "[^:]*$":sub(2))
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
  end)

  it("may refuse, be away or decide later, and the client is told so", function()
    start()
    local ask = device_of "pump"
    ca:tell "refuse"
    local status, reason = ask()
    local headers
    assert.equal(403, status)
    assert.equal("the CA refuses the request\n", reason)
    ca:tell "away"
    status, reason, headers = ask()
    assert.equal(503, status)
    assert.equal("the CA is not available now\n", reason)
    assert.is_true(tonumber(headers["retry-after"]) > 0)
    ca:tell "later"
    status, reason, headers = ask()
    assert.equal(202, status)
    assert.equal("", reason)
    assert.equal("60", headers["retry-after"])
    ca:tell "issue"
    -- It is not asked before its time.
    status, reason, headers = ask()
    assert.equal(202, status)
    assert.equal("", reason)
    assert.is_true(tonumber(headers["retry-after"]) <= 60)
    assert.equal(3, #ca:asked())
    server:change "UPDATE orders SET next_at = created WHERE state = 'later'"
    assert.equal(200, (ask()))
    local asked = ca:asked()
    assert.equal(4, #asked)
    assert.equal(asked[3].id, asked[4].id)
    assert.is_true(asked[4].again)
    assert.equal("refused|away|issued", (orders("state"):gsub("\n", "|")))
    assert.truthy(orders("problem"):find("not this one", 1, true))
  end)

  it("is waited for no longer than its time, and asked again with the same id", function()
    start { more = ', timeout = "1s"' }
    local ask = device_of "pump"
    ca:tell "hang"
    local status, _, headers = ask()
    assert.equal(504, status)
    assert.is_true(tonumber(headers["retry-after"]) > 0)
    process.wait_for(function() return #ca:asked() > 1 end, "the second try", 20)
    ca:tell "issue"
    process.wait_for(function() return ask() == 200 end, "the certificate", 30)
    local asked = ca:asked()
    for _, each in ipairs(asked) do assert.equal(asked[1].id, each.id) end
    assert.equal(1, #ca:lines "issued")
  end)

  it("is asked for another request with the same key only when the first is over", function()
    start()
    ca:tell "later"
    local post, csr = person(), server:csr "pump"
    assert.equal(202, (post(csr)))
    assert.equal(403, (post(other_csr "subjectAltName=DNS:pump")))
    assert.equal(202, (post(csr)))
    assert.equal(1, #ca:asked())
  end)

  it("hears of a revocation, also where it was away", function()
    start()
    local _, body = device_of "pump"()
    local serial = support.issued(body).serial
    ca:tell "away"
    lest("cert", "revoke", serial, "--reason", "keyCompromise")
    process.wait_for(function() return #ca:asked() > 1 end, "the first try", 20)
    ca:tell "issue"
    process.wait_for(function() return ca:lines("revoked")[1] end, "the revocation", 90)
    assert.equal(serial .. " keyCompromise", ca:lines("revoked")[1])
    process.wait_for(function() return orders "state" == "issued\nrevoked" end, "the row", 10)
    assert.is_nil(ca:lines("revoked")[2])
  end)

  it("hears of a revocation that the holder asks for, by CMC at a label that renews it", function()
    start { label = [[fullcmc = true, renews = { "default", "away" } },
      away = { policy = "policy.lua", profile = "device", ca = "far"]],
      top = ('anchors = { own = "ca.pem", far = %q },'):format(ca.folder .. "/ca.pem") }
    local _, body = server:post("/away/simpleenroll", server:csr "pump", "--user",
      "pump:" .. server:credential "pump")
    local cert = support.issued(body)
    local said = cmc.post(server, cmc.request { cert = cert,
      key = core.key.load(server.folder .. "/pump.key"), controls = { { name = "revokeRequest",
        value = { issuer_der = cert.issuer_der, serial = cert.serial, reason = 1 } } } })
    assert.equal(200, said.status, said.body)
    process.wait_for(function() return ca:lines("revoked")[1] end, "the revocation", 90)
    assert.equal(cert.serial .. " keyCompromise", ca:lines("revoked")[1])
  end)

  it("is chosen by the policy among those of the label, and by nothing else", function()
    start { label = [[cas = { "near", "far" }]],
      backend = ca.command .. [[ }, near = { cert = "ca.pem", key = "ca.key" ]],
      policy = [[
        local policy = require "lest.policy"
        return { enroll = function(request)
          local name = request.principal.name
          return policy.approve { subject = { { "CN", name } }, ca = name:match "^%a+" }
        end }]] }
    local function issuer(name)
      local status, body = device_of(name)()
      return status, status == 200 and tostring(support.issued(body).issuer)
    end
    assert.equal("CN=Elsewhere", select(2, issuer "far-1"))
    assert.not_equal("CN=Elsewhere", select(2, issuer "near-1"))
    assert.equal(500, (issuer "nowhere-1"))
    local explained = lest("explain", server:sql
      "SELECT id FROM requests WHERE principal_name = 'far-1'")
    assert.matches("ca far", explained)
    -- Decided again, the policy chooses the same.
    assert.matches("3 as before, 0 otherwise, 0 not decided", lest("policy", "replay"))
  end)

  it("holds no more requests than its queue has room for", function()
    start { label = [[ca = "far", when_away = "hold"]], more = ", queue = 2" }
    ca:tell "away"
    for i = 1, 2 do assert.equal(202, (device_of("pump" .. i)())) end
    assert.equal(503, (device_of "pump3"()))
    assert.equal("2", orders "count(*)")
  end)
end)

describe("the configuration of a CA elsewhere", function()
  local function check(far, label, top)
    local ca <close> = elsewhere.ca()
    local server <close> = elsewhere.server { backend = far:gsub("@", ca.folder .. "/ca.pem"),
      label = label, top = top }
    local code, _, err = process.run { support.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    return code, err
  end

  it("P13 names what is wrong and the nearest right word", function()
    for _, each in ipairs {
      { [[backend = "comand", command = { "true" }, cert = "@"]], "did you mean 'command'?" },
      { [[backend = "command", cert = "@"]], "cas.far.command: is missing" },
      { [[backend = "command", command = {}, cert = "@"]], "cas.far.command: too few entries" },
      { [[backend = "command", comand = { "true" }, cert = "@"]], "did you mean 'command'?" },
      { [[backend = "command", command = { "true" }, cert = "server.pem"]], "it is no CA's" },
    } do
      local code, err = check(each[1])
      assert.equal(2, code, err)
      assert.truthy(err:find(each[2], 1, true), err)
    end
    local good = [[backend = "command", command = { "true" }, cert = "@"]]
    assert.equal(0, (check(good)))
    local _, err = check(good, [[cas = { "fra" }]])
    assert.truthy(err:find("did you mean 'far'?", 1, true), err)
    _, err = check(good, [[ca = "far", cas = { "far" }]])
    assert.truthy(err:find("stands beside 'ca'", 1, true), err)
    _, err = check(good, nil, 'profiles = { device = { lifetime = "1d", keys = "ec:P-256", '
      .. 'server_keys = "ec:P-256" } },')
    assert.truthy(err:find("keys are made for CAs of this server alone", 1, true), err)
    if host.is_root then
      _, err = check(good, nil, "backend_user = 0,")
      assert.truthy(err:find("backend_user", 1, true), err)
    end
  end)
end)
