-- The policies of policies/ in a real server, each at a label of its own, with the options that its
-- head comment has; and five of them stacked at one label.
local core = require "lest.core"
local jwt = require "support.jwt"
local pki = require "support.pki"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local PROFILES <const> = [[profiles = {
    named = { lifetime = "1h", backdate = "1h", keys = { "ec:P-256" }, names = "policy",
      subject = { "CN", "O", "serialNumber" }, san = { "DNS" } },
    pod = { lifetime = "1h", keys = { "ec:P-256" }, names = "policy", subject = { "CN" },
      san = { "URI" } },]]

-- A certificate begins with its CA, a minute ago, and ends in an hour: a hundredth of its life is
-- over at once.
local LABELS <const> = [[labels = {
    password = { profile = "named", auth = { "certificate", "basic" },
      policy = "one-time-password.lua" },
    list = { profile = "named", auth = { "certificate" }, policy = { file = "allow-list.lua",
      options = { devices = "devices.csv", prefix = "pump-", window = "1d" } } },
    three = { profile = "named", auth = { "basic" }, policy = { file = "two-operators.lua",
      options = { needed = 3, expires = "1d" } } },
    late = { profile = "named", auth = { "certificate", "basic" },
      policies = { "strict-renewal.lua", "one-time-password.lua" } },
    half = { profile = "named", auth = { "certificate", "basic" }, policies = {
      { file = "strict-renewal.lua", options = { left = 99 } }, "one-time-password.lua" } },
    names = { profile = "named", auth = { "basic" }, policy = { file = "name-templates.lua",
      options = { O = "Example", san = { "DNS:${principal.name}.example.com" } } } },
    hook = { profile = "named", auth = { "basic" }, policies = { HOOK, "own-name.lua" } },
    pods = { profile = "pod", auth = "bearer", bearer = { jwks = "jwks.json", audience = "lest",
      issuer = "https://kubernetes.default.svc.cluster.local" }, policy = { file =
      "kubernetes.lua", options = { accounts = { "plant/pump-*" },
      trust_domain = "cluster.example" } } },
    quota = { profile = "named", auth = { "basic" }, policies = { { file = "quota.lua",
      options = { active = 1, requests = 3, per = "device" } }, "own-name.lua" } },
    five = { profile = "named", auth = { "certificate", "basic" }, policies = { "quota.lua",
      { file = "strict-renewal.lua", options = { left = 99 } }, HOOK, "one-time-password.lua",
      { file = "name-templates.lua", options = { CN = "five-${principal.name}" } } } },]]

local HOOK <const> = '{ file = "webhook.lua", options = { url = "%s/decide", trust = "ca.pem", '
  .. 'token = "token" } }'

describe("policies/", function()
  local server, service, makers, device, stranger
  local signer <const> = jwt.key("ec:P-256", "k1")

  setup(function()
    makers = pki.new()
    local root = makers:root "makers"
    device = makers:issue("device", { by = root, subject = "/O=Maker/serialNumber=42",
      ext = "extendedKeyUsage = clientAuth" })
    stranger = makers:issue("stranger", { by = root, subject = "/O=Maker/serialNumber=43",
      ext = "extendedKeyUsage = clientAuth" })
    local files = { ["devices.csv"] = "serial,site\n42,berlin\n", token = "s3cret\n",
      ["jwks.json"] = jwt.set { signer } }
    for name in select(2, process.run { "ls", "policies" }):gmatch "[^\n]+%.lua" do
      files[name] = process.read("policies/" .. name)
    end
    server = support.make { files = files }
    service = raw_server.start { cert = server.dir .. "/server.pem",
      key = server.dir .. "/server.key" }
    server:edit_config(function(text)
      local labels = LABELS:gsub("HOOK", (HOOK:format(service.url):gsub("%%", "%%%%")))
      return (text:gsub("labels = {", function() return labels end, 1)
        :gsub("profiles = {", function() return PROFILES end, 1)
        :gsub('anchors = { own = "ca.pem" }', function()
          return ('anchors = { own = "ca.pem", factory = %q }'):format(root.path)
        end))
    end)
    server:run()
  end)
  teardown(function()
    if service then service:stop() end
    if server then server:stop() end
    pki.__close(makers)
  end)

  local function enroll(label, name, options)
    return server:post("/" .. label .. "/simpleenroll", server:csr(name, options), "--user",
      name .. ":" .. server:credential(name))
  end

  local function issued(name, status, body)
    assert.equal(200, status, body)
    local path = server:save(body, name)
    return assert(core.cert.load(path)), path
  end

  local function renew(label, name, path, options)
    local key = server.folder .. "/" .. name .. ".key"
    os.execute(("cp '%s' '%s.old'"):format(key, key))
    local csr = server:csr(name, options or { subject = "/CN=" .. name })
    return server:post("/" .. label .. "/simplereenroll", csr, "--cert", path, "--key",
      key .. ".old")
  end

  local function says(status, reason, ...)
    local got, body = ...
    assert.same({ status, reason .. "\n" }, { got, body })
  end

  it("one-time-password: a password once, then the certificate", function()
    local _, path = issued("otp-1", enroll("password", "otp-1"))
    issued("otp-1", renew("password", "otp-1", path))
    says(403, "ask for the subject CN=otp-2 and nothing else",
      enroll("password", "otp-2", { subject = "/CN=admin" }))
  end)

  it("allow-list: the factory's certificate, and a row of the file", function()
    local function with(cert, name)
      return server:post("/list/simpleenroll", server:csr(name), "--cert", cert.path, "--key",
        cert.key)
    end
    local cert = issued("pump", with(device, "pump"))
    assert.equal("serialNumber=42,CN=pump-42", tostring(cert.subject))
    says(403, "the device is not in the list", with(stranger, "odd"))
  end)

  it("two-operators: as many as the option says", function()
    local status, _, headers = enroll("three", "op-1")
    assert.same({ 202, "awaiting 3 more of 3 operators" }, { status, headers["x-reason"] })
    assert.equal("3", server:sql "SELECT needed FROM pending")
  end)

  it("strict-renewal: not early, and not onto the same key", function()
    local _, path = issued("late-1", enroll("late", "late-1"))
    says(403, "renew in the last 30 % of the certificate's life", renew("late", "late-1", path))
    _, path = issued("half-1", enroll("half", "half-1"))
    says(403, "make a new key", renew("half", "half-1", path,
      { subject = "/CN=half-1", reuse = true }))
    issued("half-1", renew("half", "half-1", path))
  end)

  it("name-templates: names of what is proven", function()
    local cert = issued("n-1", enroll("names", "n-1", { subject = "/CN=admin" }))
    assert.same({ "CN=device-n-1,O=Example", { "DNS:n-1.example.com" } },
      { tostring(cert.subject), cert.san })
  end)

  it("kubernetes: the service account of a pod", function()
    local function with(account)
      return server:post("/pods/simpleenroll", server:csr "pod", "--oauth2-bearer", signer:sign {
        iss = "https://kubernetes.default.svc.cluster.local", aud = { "lest" },
        sub = "system:serviceaccount:plant:" .. account, exp = os.time() + 600,
        ["kubernetes.io"] = { namespace = "plant", serviceaccount = { name = account },
          pod = { name = account .. "-x" } } })
    end
    local cert = issued("pod", with "pump-1")
    assert.same({ "CN=pump-1", { "URI:spiffe://cluster.example/ns/plant/sa/pump-1" } },
      { tostring(cert.subject), cert.san })
    says(403, "this service account gets no certificate here", with "default")
  end)

  it("quota: so many certificates, and so many requests", function()
    issued("q-1", enroll("quota", "q-1"))
    says(403, "the device has as many certificates as it may", enroll("quota", "q-1"))
    process.must { server.lest, "cert", "revoke", "--device", "q-1", "--reason", "superseded",
      "--config", server.dir .. "/server.lua" }
    for _ = 1, 2 do
      says(403, "ask for the subject CN=q-1 and nothing else",
        enroll("quota", "q-1", { subject = "/CN=admin" }))
    end
    says(403, "too many requests: come back later", enroll("quota", "q-1"))
  end)

  local function answer(text) service:answer(raw_server.http(200, {}, text)) end

  it("webhook: what a service says, and nothing without it", function()
    answer '{ "verdict": "approve" }'
    assert.equal("CN=h-1", tostring(issued("h-1", enroll("hook", "h-1")).subject))
    local asked = service:request()
    assert.same({ "POST", "/decide", "Bearer s3cret" },
      { asked.method, asked.target, asked.headers.authorization })
    local question = require "lest.json".decode(asked.body)
    assert.same({ "hook", "h-1", "CN=h-1" },
      { question.label, question.principal.name, question.csr.subject })
    answer '{ "verdict": "reject", "reason": "it is lost" }'
    says(403, "it is lost", enroll("hook", "h-2"))
    service:request()
    service:answer(raw_server.http(500, {}, ""))
    says(503, "the request cannot be decided now", enroll("hook", "h-3"))
    service:request()
    assert.equal("0", server:sql("SELECT count(*) FROM requests WHERE trace LIKE '%s3cret%' OR "
      .. "outside LIKE '%s3cret%'"))
  end)

  it("stack: five of them decide together", function()
    answer '{ "verdict": "approve" }'
    local cert = issued("f-1", enroll("five", "f-1"))
    assert.equal("CN=five-f-1", tostring(cert.subject))
    assert.equal("/decide", service:request().target)
    -- Each may refuse, and those after it are not asked.
    says(403, "ask for the subject CN=f-2 and nothing else", (function()
      answer '{ "verdict": "approve" }'
      return enroll("five", "f-2", { subject = "/CN=admin" })
    end)())
    service:request()
    answer '{ "verdict": "pending", "reason": "soon" }'
    assert.equal(202, (enroll("five", "f-3")))
    service:request()
    local rule = server:sql "SELECT rule FROM requests WHERE verdict = 'pending' ORDER BY seq DESC"
    assert.matches("^webhook.lua:%d+", rule)
    local path = server.folder .. "/f-1.pem"
    says(403, "make a new key", renew("five", "f-1", path,
      { subject = "/CN=five-f-1", reuse = true }))
    answer '{ "verdict": "approve" }'
    issued("f-1", renew("five", "f-1", path, { subject = "/CN=five-f-1" }))
  end)
end)
