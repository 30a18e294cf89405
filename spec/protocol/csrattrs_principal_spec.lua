-- /csrattrs for whom the client is proven to be: anybody may ask (RFC 7030 4.5.1), and a hook sees
-- who has shown a credential or a certificate; a wrong secret is refused as in an enrollment.
local core = require "lest.core"
local lest = require "lest"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
local function name(request)
  local who = request.principal
  if not who then
    assert(not request.device and not next(request.auth))
    return "nobody"
  end
  assert(request.device and request.auth[who.kind].name == who.name)
  local facts = who.credential.line and " of " .. who.credential.line or ""
  return ("%s %s%s"):format(who.kind, who.name, facts)
end
return {
  enroll = function(request) return policy.approve { subject = request.csr.subject } end,
  csrattrs = function(request)
    if request.label == "known" and not request.principal then
      return policy.reject "say who you are"
    elseif request.label == "closed" then
      return policy.reject "not for you"
    elseif request.label == "away" then
      return policy.unavailable "later"
    elseif request.label == "odd" then
      return policy.approve { subject = { { "CN", "x" } } }
    end
    local value = name(request)
    return { { oid = "2.999.1", values = { "\12" .. string.char(#value) .. value } } }
  end,
}
]]

local LABELS <const> = [[labels = {
  known = { policy = "hooks.lua", profile = "device", auth = { "certificate", "basic" } },
  closed = { policy = "hooks.lua", profile = "device", auth = { "certificate", "basic" } },
  away = { policy = "hooks.lua", profile = "device", auth = { "basic" } },
  odd = { policy = "hooks.lua", profile = "device", auth = { "basic" } },
  hook = { policy = "hooks.lua", profile = "device",
    auth = { "certificate", "basic", "bearer", "challenge" } },
  digest = { policy = "hooks.lua", profile = "device", auth = { "digest" } },
  both = { policy = "hooks.lua", profile = "device", auth = { "certificate+basic" } },
  plain = { policy = "policy.lua", profile = "device", auth = { "basic" },
    csrattrs = { "serialNumber" } },
]]

describe("/csrattrs for a client that proves who it is", function()
  local server

  setup(function()
    server = support.start { files = { ["hooks.lua"] = POLICY }, config = function(text)
      return (text:gsub("labels = {", function() return LABELS end, 1))
    end }
  end)
  teardown(function() server:stop() end)

  --- Whom the hook saw.
  local function seen(label, ...)
    local status, body = server:curl("/" .. label .. "/csrattrs", ...)
    if status ~= 200 then return status end
    return assert(core.csrattrs.decode(assert(core.base64.decode(body))))[1].values[1]:sub(3)
  end

  it("7030-4.5-b sees nobody where nothing is shown", function()
    assert.equal("nobody", seen "hook")
  end)

  it("sees who shows a password, a token, a certificate or a response of Digest", function()
    local secret = server:credential("device001", { "--reusable", "--set", "line=7" })
    assert.equal("basic device001 of 7", seen("hook", "--user", "device001:" .. secret))
    local token = server:credential("device002", { "--kind", "bearer", "--reusable" })
    assert.equal("bearer device002", seen("hook", "-H", "Authorization: Bearer " .. token))
    local cert, key = server:enroll "device003", server.folder .. "/device003.key"
    assert.equal("certificate device003", seen("hook", "--cert", cert, "--key", key))
    local password = server:credential("device004", { "--kind", "digest", "--realm", "lest",
      "--reusable" })
    assert.equal("nobody", seen("digest", "--digest", "--user", "device004:" .. password))
    assert.equal("certificate device003 of 7", seen("both", "--cert", cert, "--key", key, "--user",
      "device001:" .. secret))
    local line = server:logged "request"
    assert.equal("device003", line[#line].principal:match "device003")
  end)

  it("takes a response of Digest to GET, by the nonce of a POST", function()
    local password = server:credential("device005", { "--kind", "digest", "--realm", "lest",
      "--reusable" })
    -- A POST is asked for credentials, and its nonce is as good for what anybody may ask.
    local client = assert(lest.client { url = server.url, label = "digest", trust = server.root,
      username = "device005", password = password, digest = true })
    local key = assert(core.key.generate "ec:P-256")
    assert(client:enroll { key = key, subject = "CN=device005" })
    local list = assert(client:csrattrs())
    assert.equal("digest device005", list[1].values[1]:sub(3))
  end)

  it("takes a one-time secret without using it up, also when it was used", function()
    local secret = server:credential "once"
    for _ = 1, 2 do assert.equal("basic once", seen("hook", "--user", "once:" .. secret)) end
    assert.equal(200, (server:post("/hook/simpleenroll", server:csr "once", "--user",
      "once:" .. secret)))
    assert.equal("basic once", seen("hook", "--user", "once:" .. secret))
    assert.equal(401, (server:post("/hook/simpleenroll", server:csr "once2", "--user",
      "once:" .. secret)))
  end)

  it("passes over what proves too little, and a certificate that is not accepted", function()
    local secret = server:credential("device006", { "--reusable" })
    assert.equal("nobody", seen("both", "--user", "device006:" .. secret))
    local cert, key = server:enroll "device007", server.folder .. "/device007.key"
    assert.equal("nobody", seen("both", "--cert", cert, "--key", key))
    local serial = assert(core.cert.parse(process.read(cert))).serial
    assert.equal(0, (process.run { support.lest, "cert", "revoke", serial, "--config",
      server.dir .. "/server.lua" }))
    assert.equal("nobody", seen("hook", "--cert", cert, "--key", key))
  end)

  it("looks at no credential where nobody's hook would see it", function()
    local before = #server:logged "refusal"
    assert.equal(200, (server:curl("/plain/csrattrs", "--user", "nobody:wrong")))
    assert.equal(before, #server:logged "refusal")
  end)

  it("asks who it is whom a hook rejects, where nobody is known", function()
    local status, _, headers = server:curl "/known/csrattrs"
    assert.equal(401, status)
    assert.equal("say who you are", headers["x-reason"])
    assert.matches("^Basic realm=", headers["www-authenticate"])
    local secret = server:credential("device008", { "--reusable" })
    assert.equal("basic device008", seen("known", "--user", "device008:" .. secret))
    local body
    status, body = server:curl("/closed/csrattrs", "--user", "device008:" .. secret)
    assert.same({ 403, "not for you\n" }, { status, body })
    assert.equal(503, seen "away")
    assert.equal(500, seen "odd")
    assert.matches("csrattrs takes no policy.approve", server:logged("policy failed")[1].message)
    local client = assert(lest.client { url = server.url, label = "known", trust = server.root,
      username = "device008", password = secret })
    assert.is_truthy(client:csrattrs())
  end)

  it("7030-3.2.3-b is no place to guess at secrets: the limits are those of enrollments",
    function()
    process.write(server.folder .. "/password", "correct horse\n")
    server:credential("chosen", { "--reusable", "--password-file", server.folder .. "/password" })
    local statuses = {}
    for _ = 1, 40 do
      local status = seen("hook", "--user", "chosen:guess")
      statuses[status] = (statuses[status] or 0) + 1
    end
    assert.is_true((statuses[429] or 0) > 0 and (statuses[401] or 0) > 0)
    assert.is_nil(statuses[200])
    assert.equal(429, (server:post("/hook/simpleenroll", server:csr "chosen", "--user",
      "chosen:guess")))
    assert.equal("401", server:sql("SELECT status FROM refusals WHERE operation = 'csrattrs' "
      .. "AND claimed = 'chosen' LIMIT 1"))
    assert.equal("0", server:sql "SELECT count(*) FROM requests WHERE operation = 'csrattrs'")
  end)
end)
