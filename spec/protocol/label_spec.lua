--- Labels are CAs of their own (RFC 7030 3.2.2): what one issued is no claim at another.
local core = require "lest.core"
local support = require "support.server"

local CONFIG <const> = [[
return {
  @ACCOUNTS@
  tls = { cert = "server.pem", key = "server.key" }, ledger = "ledger/ledger.db",
  ca = { cert = "ca.pem", key = "ca.key" }, anchors = { own = "ca.pem" },
  profiles = {
    device = { lifetime = "90d", keys = { "ec:P-256" }, eku = { "clientAuth" },
      names = "renewal" },
    guest = { lifetime = "1d", keys = { "ec:P-256" }, eku = { "clientAuth", "emailProtection" },
      names = "policy" },
  },
  labels = {
    default = { policy = "renew.lua", profile = "device" },
    guest = { policy = "guest.lua", profile = "guest", auth = { "basic", "certificate" } },
    mixed = { policy = "guest.lua", profiles = { "device", "guest" },
      auth = { "basic", "certificate" } },
    seen = { policy = "seen.lua", profile = "guest", auth = { "basic", "certificate" } },
    later = { policy = "renew.lua", profiles = { "device", "guest" }, renews = { "guest" } },
  },
}
]]

local GUEST <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { profile = "guest", subject = request.csr.subject }
  end,
  reenroll = policy.renew {},
}
]]

local RENEW <const> = [[
local policy = require "lest.policy"
return { reenroll = policy.renew {} }
]]

-- What a hook sees as the label goes to the client or the ledger.
local SEEN <const> = [[
local policy = require "lest.policy"
return {
  csrattrs = function(request)
    return { { oid = "2.999.1", values = { "\12" .. string.char(#request.label)
      .. request.label } } }
  end,
  enroll = function(request)
    return policy.approve { subject = request.csr.subject, detail = "enroll " .. request.label }
  end,
  reenroll = function(request)
    return policy.approve { renewal = true, detail = "reenroll " .. request.label }
  end,
}
]]

describe("a label", function()
  local server

  setup(function()
    server = support.make { files = { ["guest.lua"] = GUEST, ["renew.lua"] = RENEW,
      ["seen.lua"] = SEEN } }
    server:edit_config(function(text)
      local accounts = {}
      for line in text:gmatch "\n%s*([%w_]*user = [^\n]*)" do table.insert(accounts, line) end
      return (CONFIG:gsub("@ACCOUNTS@", table.concat(accounts, "\n")))
    end)
    server:run()
  end)
  teardown(function() server:stop() end)

  local function enroll(label, name)
    local secret = server:credential(name)
    local status, body = server:post("/" .. label .. "/simpleenroll",
      server:csr(name, { subject = "/CN=boss" }), "--user", name .. ":" .. secret)
    assert.equal(200, status, body)
    return server:save(body, name)
  end

  local function renew(path, name)
    local base = server.folder .. "/" .. name
    return server:post(path .. "/simplereenroll",
      server:csr("fresh-" .. name, { subject = "/CN=boss" }), "--cert", base .. ".pem", "--key",
      base .. ".key")
  end

  it("7030-3.2.2-h S30 comes before every operation, and every hook sees it", function()
    assert.equal(200, (server:curl "/seen/cacerts"))
    local _, body = server:curl "/seen/csrattrs"
    local list = assert(core.csrattrs.decode(core.base64.decode(body)))
    assert.same({ "\12\4seen" }, list[1].values)
    enroll("seen", "watched")
    assert.equal(200, (renew("/seen", "watched")))
    assert.equal("enroll seen seen\nreenroll seen seen", server:sql(
      "SELECT detail || ' ' || label FROM requests WHERE label = 'seen' ORDER BY time_us"))
  end)

  it("does not renew what another label issued", function()
    enroll("guest", "crosser")
    for _, path in ipairs { "", "/mixed" } do
      local status, body = renew(path, "crosser")
      assert.equal(403, status, path)
      assert.matches("another label", body)
    end
    assert.equal(200, (renew("/guest", "crosser")))
  end)

  it("renews what labels issued that its configuration names", function()
    enroll("guest", "mover")
    local status, body = renew("/later", "mover")
    assert.equal(200, status, body)
  end)

  it("renews within the profile of the certificate unless the policy names another", function()
    enroll("mixed", "same")
    local status, body = renew("/mixed", "same")
    assert.equal(200, status, body)
    local cert = core.cert.load(server:save(body, "same-renewed"))
    assert.same({ "clientAuth", "emailProtection" }, cert.eku)
    assert.is_true(cert.not_after - cert.not_before < 2 * 86400)
    assert.equal("guest", server:sql(("SELECT profile FROM certificates WHERE serial = '%s'")
      :format(cert.serial)))
  end)
end)
