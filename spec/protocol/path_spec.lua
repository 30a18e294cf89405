-- Which client certificates lead to an anchor, from the handshake to the ledger (RFC 5280 6).
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local NO_IDS <const> = "subjectKeyIdentifier = none\nauthorityKeyIdentifier = none\n"
local POLICY <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }
]]

describe("the path of a client certificate", function()
  local server, ca, makers
  setup(function()
    ca = pki.new()
    makers = {}
    for i = 1, 3 do
      makers[i] = ca:root("maker" .. i, { subject = "/CN=Maker", more = NO_IDS })
    end
    makers[4] = ca:root "far-root"
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('own = "ca.pem"', function(found)
        for i, maker in ipairs(makers) do
          found = found .. (', maker%d = "%s"'):format(i, maker.path)
        end
        return found
      end))
    end }
  end)
  teardown(function()
    server:stop()
    pki.__close(ca)
  end)

  it("7030-3.3.2-a is found among anchors of one name", function()
    for i, maker in ipairs { table.unpack(makers, 1, 3) } do
      local device = ca:issue("device" .. i, { by = maker, ext = NO_IDS })
      local status, body = server:enroll_as(device)
      assert.equal(200, status, body)
      assert.matches(('"anchors":"maker%d"'):format(i),
        server:sql "SELECT principal FROM requests ORDER BY seq DESC LIMIT 1")
    end
  end)

  it("reaches the authority whole, however long and in whatever order it was sent", function()
    local above, sent = makers[4], {}
    for i = 1, 12 do
      above = ca:sub("tier" .. i, { by = above })
      table.insert(sent, process.read(above.path))
    end
    local device = ca:issue("far", { by = above })
    process.write(device.path, process.read(device.path) .. table.concat(sent))
    local status, body = server:enroll_as(device)
    assert.equal(200, status, body)
  end)
end)
