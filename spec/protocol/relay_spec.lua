-- lest as an RA (RFC 7030 2.6) before another lest: two servers, two hops of TLS, and what each
-- hop proves. What the RA does where the other misbehaves is in backend_est_spec.lua.
local core = require "lest.core"
local host = require "support.host"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local UPSTREAM_POLICY <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  if not request.principal.name:find "^ra" then return policy.reject "you are no RA" end
  return policy.approve { subject = request.csr.subject, san = request.csr.san,
    detail = ("%s bound %s"):format(request.label or "default", request.tls.channel_bound) }
end }]]

local function upstream_configuration(text)
  return (text:gsub('names = "principal"', 'names = "policy"', 1)
    :gsub("profiles = {", [[%0
      ra = { lifetime = "9d", keys = { "ec:P-256" }, names = "policy",
        eku = { "clientAuth", "cmcRA" } },]], 1)
    :gsub("labels = {", [[%0
      ra = { policy = "policy.lua", profile = "ra", auth = "basic" },
      lines = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" } },
      linked = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
        channel_binding = "required" },
      token = { policy = "policy.lua", profile = "device", auth = "bearer" },]], 1))
end

local POLICY <const> = [[return require("lest.policy").own_name()]]

local LABELS <const> = [[labels = {
  digest = { policy = "policy.lua", profile = "device", auth = "digest", ca = "ra" },
  token = { policy = "policy.lua", profile = "device", auth = "bearer", ca = "pass" },
  tokens = { policy = "policy.lua", profile = "device", auth = "bearer", ca = "token" },
  word = { policy = "policy.lua", profile = "device", auth = "basic", ca = "token" },
  plain = { policy = "policy.lua", profile = "device", auth = "basic", ca = "plain" },
  mine = { policy = "policy.lua", profile = "device", auth = "basic", ca = "ra",
    channel_binding = "required" },
  lines = { policy = "policy.lua", profile = "device", auth = "basic", ca = "lines" },
  linked = { policy = "policy.lua", profile = "device", auth = "basic", ca = "linked" },
  unlinked = { policy = "policy.lua", profile = "device", auth = "basic", ca = "unlinked" },
  strange = { policy = "policy.lua", profile = "device", auth = "basic", ca = "strange" },
  away = { policy = "policy.lua", profile = "device", auth = "basic", ca = "away" },]]

describe("an RA", function()
  local upstream, server, client

  -- A certificate of an RA upstream.
  local function identity(label, name)
    local status, body = upstream:post(label .. "/simpleenroll", upstream:csr(name), "--user",
      name .. ":" .. upstream:credential(name))
    assert.equal(200, status, body)
    return ([[identity = { cert = %q, key = %q }]]):format(upstream:save(body, name),
      upstream.folder .. "/" .. name .. ".key")
  end

  local function configuration(text)
    local anchor = upstream.dir .. "/ca.pem"
    local function ca(name, how, more)
      more = more or {}
      return ([[%s = { backend = "est", url = %q, trust = %q, cert = %q, repeats = true,
        %s },
      ]]):format(name, more.url or upstream.url, more.trust or anchor, anchor, how)
    end
    local by_ra, by_plain = identity("/ra", "ra"), identity("", "ra-plain")
    process.write(upstream.folder .. "/password", "correct horse battery")
    upstream:credential("ra-pass", { "--reusable", "--password-file",
      upstream.folder .. "/password" })
    process.write(upstream.folder .. "/token",
      upstream:credential("ra-token", { "--kind", "bearer", "--reusable" }) .. "\n")
    os.execute("chmod -R a+rX " .. upstream.folder)
    local cas = ca("ra", by_ra) .. ca("plain", by_plain)
      .. ca("lines", by_ra .. [[, label = "lines"]])
      .. ca("linked", by_ra .. [[, label = "linked"]])
      .. ca("unlinked", by_plain .. [[, label = "linked"]])
      .. ca("pass", ([[username = "ra-pass", password_file = %q]]):format(
        upstream.folder .. "/password"))
      .. ca("token", ([[label = "token", bearer_file = %q]]):format(upstream.folder .. "/token"))
      .. ca("strange", by_ra, { trust = upstream.folder .. "/stranger.pem" })
      .. ca("away", by_ra, { url = "https://localhost:" .. process.free_port() })
    local top = ("\n  cas = { %s },\n %s\n anchors = { own = %q },\n}\n"):format(cas,
      host.is_root and "backend_user = 54321," or "", anchor)
    return (text:gsub("\n}%s*$", top, 1)
      :gsub('profile = "device"', 'profile = "device", ca = "ra"', 1)
      :gsub("labels = {", LABELS, 1))
  end

  setup(function()
    upstream = support.start { policy = UPSTREAM_POLICY, config = upstream_configuration }
    process.must { "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:P-256", "-subj", "/CN=Stranger", "-keyout", "/dev/null", "-out",
      upstream.folder .. "/stranger.pem" }
    server = support.make { policy = POLICY }
    server:edit_config(configuration)
    server:run()
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
    upstream:stop()
  end)

  local function enroll(label, name, ...)
    return server:post(label .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name), ...)
  end

  local function count() return upstream:sql "SELECT count(*) FROM requests" end

  local function detail()
    return upstream:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"
  end

  --- Enroll with a CSR that is linked to the connection to the RA.
  local function enroll_linked(label, name, value)
    local c <close> = assert(client:connect { port = server.port, min = "1.3" })
    local body = support.request(name, { challenge_password = value
      or core.base64.encode(c:facts().exporter) })
    return assert(c:request(raw_client.http("POST", label .. "/simpleenroll",
      { "Content-Type: application/pkcs10",
        "Authorization: " .. support.basic(name, server:credential(name)) }, body)))
  end

  it("P1 enrolls by Basic and by Digest, and renews, with certificates of the CA upstream",
    function()
      local status, body = enroll("", "pump")
      assert.equal(200, status, body)
      local path = server:save(body, "pump")
      process.must { "openssl", "verify", "-CAfile", upstream.root, path }
      status, body = server:post("/simplereenroll", server:csr("fresh", { subject = "/CN=pump" }),
        "--cert", path, "--key", server.folder .. "/pump.key")
      assert.equal(200, status, body)
      process.must { "openssl", "verify", "-CAfile", upstream.root, server:save(body, "renewed") }
      status, body = server:post("/digest/simpleenroll", server:csr "valve", "--digest", "--user",
        "valve:" .. server:credential("valve", { "--kind", "digest" }))
      assert.equal(200, status, body)
      assert.equal("CN=valve", tostring(support.issued(body).subject))
    end)

  it("P2 sends on no CSR that is broken", function()
    local before = count()
    local csr, name = assert(core.base64.decode((support.request "broken"))), "broken"
    local file = server:file("broken.csr", core.base64.encode(csr:sub(1, -2)
      .. string.char(csr:byte(-1) ~ 1)))
    assert.equal(400, (server:post("/simpleenroll", file, "--user",
      name .. ":" .. server:credential(name))))
    assert.equal(before, count())
  end)

  it("P4 7030-3.7-c is asked for the link by a CA that wants it, unless it is known as an RA",
    function()
      local status, body = enroll("/unlinked", "unlinked")
      assert.equal(403, status, body)
      assert.equal(403, enroll_linked("/unlinked", "unlinked2").status)
      assert.equal("0", upstream:sql
        "SELECT count(*) FROM certificates WHERE subject LIKE 'CN=unlinked%'")
      status, body = enroll("/linked", "linked")
      assert.equal(200, status, body)
      assert.equal("linked bound false", detail())
    end)

  it("P5 P6 enrolls what is not linked, and what is linked to it where it is known as an RA",
    function()
      assert.equal(200, (enroll("/plain", "plain")))
      -- The link is of the first hop: to the CA it is another connection's.
      assert.equal(403, enroll_linked("/plain", "plain-linked").status)
      local answer = enroll_linked("", "ra-linked")
      assert.equal(200, answer.status, answer.body)
      assert.equal("default bound false", detail())
      assert.matches('"channel_bound":true',
        server:sql "SELECT tls FROM requests ORDER BY seq DESC LIMIT 1")
    end)

  it("P7 asks for the link itself where its label does", function()
    local before = count()
    assert.equal(400, (enroll("/mine", "mine")))
    assert.equal(400, enroll_linked("/mine", "mine2", ("A"):rep(44)).status)
    assert.equal(before, count())
    local _, body = server:curl "/mine/csrattrs"
    local list = assert(core.csrattrs.decode(core.base64.decode(body)))
    assert.equal("1.2.840.113549.1.9.7", list[1].oid)
    assert.equal(200, enroll_linked("/mine", "mine3").status)
  end)

  it("P9 P10 says 502 of a CA that is not the one it trusts, and 503 of one that is not there",
    function()
      assert.equal(502, (enroll("/strange", "strange")))
      assert.equal(503, (enroll("/away", "away")))
      assert.equal(200, (server:curl "/away/cacerts"))
    end)

  it("P11 has the CA upstream in its own /cacerts", function()
    local _, body = server:curl "/plain/cacerts"
    local found = assert(core.pkcs7.decode(assert(core.base64.decode(body))))
    local wanted, seen = assert(core.cert.load(upstream.root)), false
    for _, cert in ipairs(found) do seen = seen or cert == wanted end
    assert.is_true(seen)
  end)

  it("P12 takes a token or a password where the CA takes a password or a token", function()
    local function upstream_saw(name)
      return upstream:sql("SELECT principal_kind, principal_name FROM certificates "
        .. ("WHERE subject = 'CN=%s'"):format(name))
    end
    for label, who in pairs { ["/token"] = "basic|ra-pass", ["/tokens"] = "bearer|ra-token" } do
      local name = "of" .. label:sub(2)
      local status, body = server:post(label .. "/simpleenroll", server:csr(name),
        "--oauth2-bearer", server:credential(name, { "--kind", "bearer" }))
      assert.equal(200, status, body)
      assert.equal(who, upstream_saw(name))
    end
    assert.equal(200, (enroll("/word", "worded")))
    assert.equal("bearer|ra-token", upstream_saw "worded")
  end)

  it("is told by --check that a token and a password are one too many, and of a file that is not "
    .. "there", function()
    local good = process.read(server.dir .. "/server.lua")
    for what, said in pairs { ['bearer_file = "/nowhere"'] = "bearer_file: ",
      [('bearer_file = %q, username = "x", password_file = %q'):format(upstream.folder .. "/token",
        upstream.folder .. "/password")] = "a username and a bearer_file exclude each other" } do
      server:edit_config(function(text)
        return (text:gsub("bearer_file = %b\"\"", (what:gsub("%%", "%%%%")), 1))
      end)
      local code, _, err = process.run { support.lest, "serve", "--check",
        server.dir .. "/server.lua" }
      process.write(server.dir .. "/server.lua", good)
      assert.equal(2, code, err)
      assert.truthy(err:find(said, 1, true), err)
    end
  end)

  it("P14 speaks to the label that its configuration names, whatever the device's is", function()
    assert.equal(200, (enroll("/lines", "line")))
    assert.equal("lines bound false", detail())
    assert.equal(200, (enroll("/plain", "plainer")))
    assert.equal("default bound false", detail())
  end)

  it("P16 has what it does in its log and its ledger", function()
    assert.equal(200, (enroll("", "logged")))
    local lines = server:logged "request"
    assert.equal("logged", lines[#lines].principal)
    assert.equal("CN=logged|issued", server:sql [[SELECT certificates.subject, orders.state
      FROM orders JOIN certificates ON certificates.subject = 'CN=logged'
      ORDER BY orders.seq DESC LIMIT 1]])
  end)
end)
