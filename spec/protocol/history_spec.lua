-- What a policy learns from the ledger about a request: counts and the last of each state, of its
-- principal, device, subject and key.
local core = require "lest.core"
local json = require "lest.json"
local process = require "support.process"
local support = require "support.server"

-- A request for CN=look is refused, and the refusal's detail is what the policy saw.
local POLICY <const> = [[
local json, policy, task = require "lest.json", require "lest.policy", require "lest.task"
local ABOUT = { "principal", "device", "subject", "key" }

local function seen(request)
  local all = {}
  for _, about in ipairs(ABOUT) do
    local known = request.history[about]
    all[about] = known and {}
    for state, tally in pairs(known or {}) do
      all[about][state] = { count = tally.count, more = tally.more, last = tally.last,
        reason = tally.reason }
    end
  end
  return policy.reject { "looked", detail = json.encode(all) }
end

local quota = policy.first {
  policy.unless(policy.history { device = { active = { most = 1 } } }, policy.reject "too many"),
  function(request)
    task.sleep(request.principal.name == "race" and 0.5 or 0)
    return policy.approve { subject = request.csr.subject }
  end,
}

local function enroll(request)
  local subject = request.csr.subject
  local name = subject.CN
  if name == "wait" then return policy.pending "wait for Bob" end
  if name == "look" or #subject == 0 then return seen(request) end
  if request.principal.name == "race" then return quota(request) end
  return policy.approve { subject = subject }
end
return { enroll = enroll, reenroll = function(request)
  if request.tls.version == "TLSv1.2" then return seen(request) end
  return policy.approve { renewal = true }
end }
]]

describe("request.history", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('names = "principal",[^\n]*', 'names = "policy", subject = { "CN" },', 1)
        :gsub("profiles = {", "limits = { requests_per_principal_per_minute = 100000 },\n%0", 1))
    end }
  end)
  teardown(function() server:stop() end)

  local secrets = {}
  local function post(name, path, csr, ...)
    secrets[name] = secrets[name] or server:credential(name, { "--reusable" })
    return server:post(path, csr, "--user", name .. ":" .. secrets[name], ...)
  end
  local function enroll(name, csr) return post(name, "/simpleenroll", csr) end

  local function detail()
    return json.decode(server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
  end

  --- What the policy sees of a device's request; the counts of one part, as it has them.
  local function look(name, options)
    options = options or {}
    options.subject = options.subject or "/CN=look"
    local status = enroll(name, server:csr(options.key or "look", options))
    assert.equal(403, status)
    return detail()
  end

  local function counts(known)
    local result = {}
    for state, tally in pairs(known) do
      if tally.count > 0 then result[state] = tally.count end
      assert.is_false(tally.more)
    end
    return result
  end

  local function is_now(time)
    assert.is_true(math.abs(os.time() - time) <= 20, tostring(time))
  end

  it("knows nothing of who is new", function()
    local all = look "new"
    for _, about in ipairs { "principal", "device", "key" } do
      assert.same({}, counts(all[about]))
    end
    assert.same({ more = false, count = 0 }, all.key.issued)
  end)

  it("counts what was issued and refused, and says when and why", function()
    assert.equal(200, (enroll("alice", server:csr "alice")))
    assert.equal(200, (enroll("alice", server:csr "alice2")))
    look "alice"
    local all = look("alice", { key = "alice2", reuse = true })
    assert.same({ issued = 2, active = 2, refused = 1 }, counts(all.device))
    assert.same(counts(all.device), counts(all.principal))
    assert.same({ issued = 1, active = 1 }, counts(all.key))
    is_now(all.device.issued.last)
    is_now(all.device.refused.last)
    assert.equal("looked", all.device.refused.reason)
    -- The subject is another's as well.
    all = look("bob", { key = "bob" })
    assert.same({}, counts(all.device))
    assert.is_true(counts(all.subject).refused >= 3)
  end)

  it("knows a subject whoever asked for it, and none where it is empty", function()
    assert.equal(200, (enroll("owner", server:csr("owner", { subject = "/CN=pump-7" }))))
    assert.equal(200, (enroll("thief", server:csr("thief", { subject = "/CN=pump-7" }))))
    local all = look("other", { key = "other", subject = "/", san = "DNS:x" })
    assert.is_nil(all.subject)
    assert.same({}, counts(all.key))
    assert.equal("2", server:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=pump-7'")
  end)

  it("counts a device through its renewals, and its principals apart", function()
    local cert, key = server:enroll "carol", server.folder .. "/carol.key"
    local function renew(options, ...)
      return server:post("/simplereenroll", server:csr("carol-next", options), "--cert", cert,
        "--key", key, ...)
    end
    assert.equal(200, (renew { subject = "/CN=carol" }))
    assert.equal(403, (renew({ subject = "/CN=carol" }, "--tls-max", "1.2")))
    local all = detail()
    assert.same({ issued = 2, active = 2, renewed = 1 }, counts(all.device))
    assert.same({}, counts(all.principal))
    assert.same({ issued = 2, active = 2, renewed = 1 }, counts(all.subject))
    is_now(all.device.renewed.last)
  end)

  it("knows what waits, and what was revoked, and why", function()
    assert.equal(202, (enroll("dave", server:csr "wait")))
    local all = look("eve", { key = "wait", reuse = true })
    assert.same({}, counts(all.device))
    assert.same({ pending = 1 }, counts(all.key))
    all = look("dave", { key = "dave" })
    assert.same({ pending = 1 }, counts(all.device))
    assert.equal("wait for Bob", all.device.pending.reason)
    is_now(all.device.pending.last)
    local status, body = enroll("dave", server:csr "dave")
    assert.equal(200, status)
    local serial = core.cert.load(server:save(body, "dave")).serial
    process.must { server.lest, "cert", "revoke", serial, "--reason", "superseded", "--config",
      server.dir .. "/server.lua" }
    all = look("dave", { key = "dave", reuse = true })
    assert.same({ issued = 1, revoked = 1, pending = 1, refused = 1 }, counts(all.device))
    assert.same({ issued = 1, revoked = 1 }, counts(all.key))
    assert.equal("superseded", all.key.revoked.reason)
    is_now(all.device.revoked.last)
  end)

  it("knows what has expired", function()
    assert.equal(200, (enroll("erin", server:csr "erin")))
    local before = os.time() - 1000
    server:change("UPDATE certificates SET not_after = " .. before
      .. " WHERE principal_name = 'erin'")
    local all = look("erin", { key = "erin", reuse = true })
    assert.same({ issued = 1, expired = 1 }, counts(all.device))
    assert.equal(before, all.key.expired.last)
  end)

  it("is the question of a decision, with its answer, in the ledger", function()
    look("frank", { key = "frank" })
    local outside = server:sql "SELECT outside FROM requests ORDER BY seq DESC LIMIT 1"
    for _, about in ipairs { "principal", "device", "subject", "key" } do
      assert.is_truthy(outside:find(about, 1, true), outside)
    end
    assert.is_truthy(outside:find("history", 1, true), outside)
  end)

  it("is asked for by nobody who does not look", function()
    assert.equal(200, (enroll("grace", server:csr "grace")))
    assert.equal("1", server:sql("SELECT outside IS NULL FROM requests WHERE principal_name = "
      .. "'grace'"))
  end)

  it("is still so when the approval issues: a quota holds in a race", function()
    secrets.race = server:credential("race", { "--reusable" })
    local running = {}
    for i = 1, 4 do
      local csr = server:csr("race" .. i)
      running[i] = ("curl -sS --max-time 20 --cacert %s/ca.pem -o /dev/null -w '%%{http_code}\\n' "
        .. "--data-binary @%s -H 'Content-Type: application/pkcs10' --user race:%s "
        .. "%s/.well-known/est/simpleenroll &"):format(server.dir, csr, secrets.race, server.url)
    end
    local out = process.must(table.concat(running, "\n") .. "\nwait")
    local statuses = {}
    for status in out:gmatch "%d+" do statuses[#statuses + 1] = status end
    table.sort(statuses)
    assert.same({ "200", "503", "503", "503" }, statuses)
    assert.matches("since the policy looked", server:sql("SELECT detail FROM requests WHERE "
      .. "principal_name = 'race' AND verdict = 'unavailable' LIMIT 1"))
    -- Asked again, one more is within the quota of two, and the next is not.
    assert.equal(200, (enroll("race", server:csr "race5")))
    local status, body = enroll("race", server:csr "race6")
    assert.same({ 403, "too many\n" }, { status, body })
  end)
end)
