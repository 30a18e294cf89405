-- A request in a message of CMC whose proof of possession is linked to the TLS connection (RFC 7030
-- 3.5): by hand-made clients, since the link is of the very connection.
local cmc = require "support.cmc"
local core = require "lest.core"
local helpers = require "lest.base.cmc"
local raw_client = require "support.raw_client"
local support = require "support.server"

describe("fullcmc on a connection", function()
  local server, client, secret

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
        :gsub("labels = {", [[%0
          linked = { policy = "policy.lua", profile = "device", auth = "basic", fullcmc = true,
            channel_binding = "required" },]], 1))
    end }
    client = raw_client.new()
    secret = server:credential("device", { "--reusable" })
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  --- What is answered to a CSR whose challengePassword is that of the connection, or what edit()
  --- makes of it: the status of HTTP, and that of CMC.
  local function post(label, edit)
    local c <close> = assert(client:connect { port = server.port, min = "1.3" })
    local right = core.base64.encode(c:facts().exporter)
    local key = assert(core.key.generate "ec:P-256")
    local csr, key_id = cmc.csr_with_key_id { key = key, subject = "CN=device",
      challenge_password = edit(right) }
    local answer = assert(c:request(raw_client.http("POST", label .. "/fullcmc",
      { "Content-Type: application/pkcs7-mime; smime-type=CMC-request",
        "Authorization: " .. support.basic("device", secret) },
      core.est.body_encode(cmc.request { key = key, key_id = key_id, csrs = { csr },
        certificates = {} }))))
    local bytes = core.base64.decode(answer.body)
    local message = bytes and core.cmc.parse(bytes)
    assert.is_truthy(message, answer.body)
    return answer.status, helpers.worst(message), message
  end

  local function same(value) return value end

  it("7030-4.3.2-b is taken where the link is right, in a response that says so", function()
    for _, label in ipairs { "", "/linked" } do
      local status, _, message = post(label, same)
      assert.equal(200, status)
      assert.equal("response", message.kind)
      assert.equal("CN=device", tostring(message.certificates[1].subject))
      assert.matches('"channel_bound":true',
        server:sql "SELECT tls FROM requests ORDER BY seq DESC LIMIT 1")
    end
  end)

  it("7030-3.5-i fails by popFailed where the link is of another, or is missing", function()
    local before = server:sql "SELECT count(*) FROM certificates"
    for _, case in ipairs {
      { "", function(right) return right:sub(1, -2) end },
      { "", function() return ("A"):rep(44) end },
      { "/linked", function() return ("A"):rep(44) end },
      { "/linked", function() end },
    } do
      local status, found = post(case[1], case[2])
      assert.is_true(status >= 400 and status < 500, status)
      assert.same({ "failed", "popFailed", { 1 } }, { found.status, found.failure, found.bodies })
    end
    assert.equal(before, server:sql "SELECT count(*) FROM certificates")
  end)
end)
