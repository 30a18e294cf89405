-- What one proven principal may put into the ledger.
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

describe("a principal that asks without end", function()
  local server

  local function start(limits, verdict)
    server = support.start {
      policy = ("local policy = require 'lest.policy' return { enroll = function() return %s end }")
        :format(verdict),
      config = function(text)
        return (text:gsub("labels = {", "limits = { " .. limits .. " },\n  labels = {", 1))
      end,
    }
  end
  after_each(function() server:stop() end)

  --- A device of its own key that asks as `name`.
  local function ask(name, secret)
    local device = fleet.device(name)
    device.secret = secret
    return assert(fleet.post(server, device))
  end

  it("is answered so often a minute, and leaves no more rows", function()
    start("requests_per_principal_per_minute = 3", "policy.reject()")
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
    start("pending_per_principal = 2", "policy.pending { retry_after = '30s' }")
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
    start("pending_per_principal = 1", "policy.pending()")
    local ann = server:credential("ann", { "--reusable" })
    assert.equal(202, ask("ann", ann).status)
    assert.equal(429, ask("ann", ann).status)
    process.must { process.lest, "pending", "reject", server:sql "SELECT id FROM pending",
      "--as", "alice", "--config", server.dir .. "/server.lua" }
    assert.equal(202, ask("ann", ann).status)
  end)
end)
