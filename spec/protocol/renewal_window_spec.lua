-- When clients are to renew, as the server tells them with what it issued and with /cacerts.
local core = require "lest.core"
local lest = require "lest"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { subject = { { "CN", request.principal.name } },
      profile = request.principal.name:match "^short" and "short" or nil }
  end,
  reenroll = policy.renew {},
}
]]

describe("a renewal window", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      text = text:gsub('lifetime = "90d",', '%0 renewal_window = { from = 0.5, to = 0.75 },', 1)
      text = text:gsub("profiles = {", [[%0
        short = { lifetime = "1h", keys = { "ec:P-256" }, renewal_window = { from = 0, to = 0.2 } },
        silent = { lifetime = "1h", keys = { "ec:P-256" } },]], 1)
      return (text:gsub("labels = {", [[%0
        mixed = { policy = "policy.lua", profiles = { "device", "short" }, auth = { "certificate",
          "basic" } },
        silent = { policy = "policy.lua", profile = "silent", auth = { "certificate", "basic" } },
        ]], 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function client(label, name)
    return lest.client { url = server.url, label = label, trust = server.root, username = name,
      password = name and server:credential(name) }
  end

  local function enroll(label, name)
    local asking <close> = client(label, name)
    local key = assert(core.key.generate "ec:P-256")
    return asking, assert(asking:enroll { key = key, subject = "CN=" .. name }), key
  end

  it("is in the header of what was issued, and of /cacerts", function()
    local _, _, headers = server:curl "/cacerts"
    assert.equal("from=0.5, to=0.75", headers["renewal-window"])
    local status, _, told = server:post("/simpleenroll", server:csr "plain", "--user", "plain:"
      .. server:credential "plain")
    assert.same({ 200, "from=0.5, to=0.75" }, { status, told["renewal-window"] })
    _, _, headers = server:curl "/csrattrs"
    assert.is_nil(headers["renewal-window"])
  end)

  it("is the one of the profile that was chosen, and of /cacerts where all agree", function()
    assert.is_nil(select(3, server:curl "/mixed/cacerts")["renewal-window"])
    assert.same({ from = 0.0, to = 0.2 }, (enroll("mixed", "short1").renewal_window))
    assert.same({ from = 0.5, to = 0.75 }, (enroll("mixed", "long1").renewal_window))
    assert.is_nil(select(3, server:curl "/silent/cacerts")["renewal-window"])
    assert.is_nil((enroll("silent", "silent1").renewal_window))
  end)

  it("is said again with an answer that was lost, and with a renewal", function()
    local key = assert(core.key.generate "ec:P-256")
    local asking <close> = client(nil, "again")
    assert(asking:enroll { key = key, subject = "CN=again" })
    asking.renewal_window = nil
    local cert = assert(asking:enroll { key = key, subject = "CN=again" })
    assert.same({ from = 0.5, to = 0.75 }, asking.renewal_window)
    local renewing <close> = asking:with { cert = cert, key = key }
    assert.is_nil(renewing.renewal_window)
    assert(renewing:reenroll { key = assert(core.key.generate "ec:P-256") })
    assert.same({ from = 0.5, to = 0.75 }, renewing.renewal_window)
  end)

  it("is learnt from /cacerts by who has its certificate already", function()
    local asking <close> = client()
    assert(asking:cacerts())
    assert.same({ from = 0.5, to = 0.75 }, asking.renewal_window)
  end)
end)
