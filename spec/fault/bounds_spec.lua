-- What the authority does so often and no more: for one proven principal, and in one profile.
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

local server

--- A server whose configuration is edited before a word in it, and whose policy has one verdict.
local function start(before, addition, verdict)
  server = support.start {
    policy = ("local policy = require 'lest.policy' return { enroll = function(request) "
      .. "return %s end }"):format(verdict),
    config = function(text) return (text:gsub(before, addition .. "%0", 1)) end,
  }
end

--- A device of its own key that asks as `name`.
local function ask(name, secret)
  local device = fleet.device(name)
  device.secret = secret
  return assert(fleet.post(server, device))
end

describe("a principal that asks without end", function()
  after_each(function() server:stop() end)

  local function start_with(limits, verdict)
    start("labels = {", "limits = { " .. limits .. " },\n  ", verdict)
  end

  it("is answered so often a minute, and leaves no more rows", function()
    start_with("requests_per_principal_per_minute = 3", "policy.reject()")
    local ann = server:credential("ann", { "--reusable" })
    local ben = server:credential("ben", { "--reusable" })
    for _ = 1, 3 do assert.equal(403, ask("ann", ann).status) end
    for _ = 1, 2 do
      local limited = ask("ann", ann)
      assert.equal(429, limited.status)
      local wait = tonumber(limited:header "retry-after")
      assert.is_true(wait >= 1 and wait <= 60)
    end
    assert.equal(401, ask("ann", "wrong").status)
    assert.equal(403, ask("ben", ben).status)
    assert.equal("3", server:sql "SELECT count(*) FROM requests WHERE principal_name = 'ann'")
  end)

  it("has so many requests that wait, and may ask again for those", function()
    start_with("pending_per_principal = 2", "policy.pending { retry_after = '30s' }")
    local ann = server:credential("ann", { "--reusable" })
    local ben = server:credential("ben", { "--reusable" })
    local first = fleet.device "ann"
    first.secret = ann
    assert.equal(202, assert(fleet.post(server, first)).status)
    assert.equal(202, ask("ann", ann).status)
    local limited = ask("ann", ann)
    assert.equal(429, limited.status)
    assert.equal("30", limited:header "retry-after")
    assert.matches("wait for a decision", limited.body)
    assert.equal(202, assert(fleet.post(server, first)).status)
    assert.equal(202, ask("ben", ben).status)
    assert.equal("ann 2|ben 1", server:sql("SELECT group_concat(line, '|') FROM (SELECT "
      .. "principal_name || ' ' || count(*) AS line FROM pending GROUP BY principal_name)"))
    assert.equal("unavailable", server:sql("SELECT DISTINCT verdict FROM requests "
      .. "WHERE detail LIKE '%pending_per_principal%'"))
  end)

  it("has room again for what was decided", function()
    start_with("pending_per_principal = 1", "policy.pending()")
    local ann = server:credential("ann", { "--reusable" })
    assert.equal(202, ask("ann", ann).status)
    assert.equal(429, ask("ann", ann).status)
    process.must { process.lest, "pending", "reject", server:sql "SELECT id FROM pending",
      "--as", "alice", "--config", server.dir .. "/server.lua" }
    assert.equal(202, ask("ann", ann).status)
  end)
end)

describe("a profile", function()
  after_each(function() server:stop() end)

  it("issues so many a minute, whatever becomes of the authority", function()
    start("names = ", "per_minute = 2, ",
      "policy.approve { subject = { { 'CN', request.principal.name } } }")
    local ann = server:credential("ann", { "--reusable" })
    assert.equal(200, ask("ann", ann).status)
    local pid = server:pids("authority")[1]
    process.kill(pid, "KILL")
    process.wait_for(function() return not process.alive(pid) end, "its end", 20)
    process.wait_for(function() return ask("ann", ann).status == 200 end, "the authority", 20)
    local limited = ask("ann", ann)
    assert.equal(503, limited.status)
    assert.equal("too many certificates are being issued\n", limited.body)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "a generation", 20)
    server.http = nil -- new connections, to the new generation
    assert.equal("too many certificates are being issued\n", ask("ann", ann).body)
    -- Nor by an import, whose certificates are older and whose rows are newer.
    server:change("INSERT INTO certificates SELECT seq + 1, issuer, "
      .. "'00', der, fingerprint, subject, san, principal_kind, principal_name, label, 'import', "
      .. "profile, key_hash, request_id, not_before, not_after, 1, renews, facts, revoked_at, "
      .. "revocation_reason, device FROM certificates ORDER BY seq DESC LIMIT 1")
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 3 end, "a generation", 20)
    server.http = nil
    assert.equal("too many certificates are being issued\n", ask("ann", ann).body)
  end)
end)

describe("an address that asks without end", function()
  before_each(function()
    start("labels = {", "workers = 1, limits = { requests_per_address_per_minute = 3 },\n  ",
      "policy.reject()")
  end)
  after_each(function() server:stop() end)

  it("is answered so often a minute, whatever it asks for, and then told when to come", function()
    local ann = server:credential("ann", { "--reusable" })
    assert.equal(200, (server:curl "/cacerts"))
    assert.equal(404, (server:curl "/none"))
    assert.equal(403, ask("ann", ann).status)
    local limited = ask("ann", ann)
    assert.equal(429, limited.status)
    assert.matches("too many requests from this address", limited.body)
    local wait = tonumber(limited:header "retry-after")
    assert.is_true(wait > 10 and wait <= 60) -- what is left of the minute
    assert.equal(429, (server:curl "/cacerts"))
    assert.equal("1", server:sql "SELECT count(*) FROM requests")
  end)

  it("is one network, and others are answered", function()
    assert.equal(200, (server:curl "/cacerts"))
    assert.equal(200, (server:curl "/cacerts"))
    assert.equal(200, (server:curl "/cacerts"))
    assert.equal(429, (server:curl "/cacerts"))
    assert.equal(200, (server:curl("/cacerts", "--interface", "127.0.0.2")))
  end)
end)
