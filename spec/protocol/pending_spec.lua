-- Requests that wait for operators, with a real server, real commands and a device that polls.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local WAITS <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  if #request.approvals < 1 then return policy.pending { "ask an operator", retry_after = "1s" } end
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }]]

describe("a request that waits", function()
  local server

  after_each(function() server:stop() end)

  --- A device that posts the same request again and again; its answers as status and reason.
  local function device_of(name, options)
    local secret, csr = server:credential(name, options), server:csr(name)
    local function ask(other)
      local status, body, headers = server:post("/simpleenroll", other or csr, "--user",
        name .. ":" .. secret)
      return status, headers["x-reason"] or body
    end
    return ask, secret
  end

  local function lest(...)
    local words = { support.lest, ... }
    table.insert(words, "--config")
    table.insert(words, server.dir .. "/server.lua")
    return process.run(words)
  end

  local function pending_of(name)
    return server:sql(("SELECT id FROM pending WHERE principal_name = '%s'"
      .. " ORDER BY seq DESC LIMIT 1"):format(name))
  end

  local function shown(id)
    local code, out, err = lest("pending", "show", id, "--json")
    assert.equal(0, code, err)
    return cjson.decode(out)
  end

  --- All times of pending requests and what they hold are over.
  local function pass_time()
    server:change([[BEGIN IMMEDIATE;
      UPDATE pending SET expires = created, waits_until = created WHERE state <> 'issued';
      UPDATE approvals SET holds_until = time;
      UPDATE credentials SET bound_until = created WHERE state = 'reserved'; COMMIT]])
  end

  it("is approved once the policy has as many as it wants, also where both decide at once",
    function()
    server = support.start { policy = process.read "policies/two-operators.lua" }
    for round = 1, 3 do
      local name = "device" .. round
      local ask = device_of(name)
      assert.equal(202, (ask()))
      local id = pending_of(name)
      assert.same({ "waiting", 2 }, { shown(id).state, shown(id).needed })
      local words = {}
      for i, operator in ipairs { "alice", "bob" } do
        words[i] = process.line { support.lest, "pending", "approve", id, "--as", operator,
          "--config", server.dir .. "/server.lua", { raw = (">%s/%d &"):format(server.folder, i) } }
      end
      process.must(table.concat(words, "\n") .. "\nwait")
      local first, second = process.read(server.folder .. "/1"), process.read(server.folder .. "/2")
      assert.equal(1, select(2, (first .. second):gsub("waiting %(1 of 2%)", "")), first .. second)
      assert.equal(1, select(2, (first .. second):gsub("approved %(2 of 2%)", "")))
      assert.equal("approved", shown(id).state)
      assert.equal(200, (ask()))
      assert.equal("issued", shown(id).state)
    end
  end)

  it("keeps its approval when all of the server is killed before the device asks again", function()
    server = support.start { policy = WAITS }
    local ask = device_of "device"
    assert.equal(202, (ask()))
    local id = pending_of "device"
    assert.equal(0, (lest("pending", "approve", id, "--as", "alice")))
    local pids = { server.pid }
    for _, role in ipairs { "authority", "worker" } do
      for _, pid in ipairs(server:pids(role)) do table.insert(pids, pid) end
    end
    for _, pid in ipairs(pids) do process.kill(pid, "KILL") end
    for _, pid in ipairs(pids) do
      process.wait_for(function() return not process.alive(pid) end, "an end")
    end
    server:run()
    assert.equal("approved", shown(id).state)
    assert.equal(200, (ask()))
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
  end)

  it("7030-4.2.3-d tells the device what is meant for it, and keeps the rest for operators",
    function()
    server = support.start { policy = WAITS }
    local ask = device_of "device"
    assert.equal(202, (ask()))
    local id = pending_of "device"
    assert.equal(0, (lest("pending", "reject", id, "--as", "alice", "--note", "stolen in Ulm",
      "--tell", "Gerät unbekannt", "--for", "30d")))
    for _ = 1, 2 do
      local status, reason = ask()
      assert.equal(403, status)
      assert.matches("^Gerät unbekannt; the request is refused until 20", reason)
      assert.is_nil(reason:find("stolen", 1, true))
    end
    local row = shown(id)
    assert.same({ "stolen in Ulm", "Gerät unbekannt", row.expires },
      { row.approvals[1].note, row.approvals[1].tell, row.approvals[1].holds_until })
    assert.equal(30 * 86400, row.expires - row.approvals[1].time)
    for _, path in ipairs { "/log", "/out" } do
      assert.is_nil(process.read(server.folder .. path):find("stolen", 1, true))
    end
    -- Where the operator has nothing to tell, the device still hears what happened.
    local other = device_of "other"
    assert.equal(202, (other()))
    assert.equal(0, (lest("pending", "reject", pending_of "other", "--as", "alice", "--note",
      "stolen")))
    assert.matches("^an operator has rejected the request; the request is refused until 20",
      (select(2, other())))
  end)

  it("is asked about anew once a rejection is over, with the secret that it gave back", function()
    server = support.start { policy = WAITS }
    local ask = device_of "device"
    local elsewhere = server:csr("elsewhere", { subject = "/CN=device" })
    assert.equal(202, (ask()))
    local id = pending_of "device"
    assert.equal(0, (lest("pending", "reject", id, "--as", "alice")))
    local status, reason = ask(elsewhere)
    assert.equal(401, status)
    assert.matches("held by a pending request", reason)
    pass_time()
    assert.equal("expired", shown(id).state)
    assert.matches("expired", select(2, lest("request", "list")))
    local code, _, problem = lest("pending", "approve", id, "--as", "bob")
    assert.equal(7, code)
    assert.matches("waits no longer: it expired at 20[^\n]+, and the device has to ask again",
      problem)
    assert.matches("unused", select(2, lest("credential", "list")))
    status, reason = ask()
    assert.equal(202, status)
    assert.matches("^ask an operator; the one before it ended at 20.* without a certificate$",
      reason)
    assert.not_equal(id, pending_of "device")
    assert.equal(0, (lest("pending", "approve", pending_of "device", "--as", "bob")))
    assert.equal(200, (ask()))
  end)

  it("says what to do where the secret's time is over too", function()
    server = support.start { policy = WAITS }
    local ask, secret = device_of("device", { "--expires", "24h" })
    assert.equal(202, (ask()))
    assert.equal(0, (lest("pending", "approve", pending_of "device", "--as", "alice")))
    pass_time()
    server:change("UPDATE credentials SET expires = created")
    local status, reason = ask()
    assert.equal(401, status)
    assert.matches("the request that waited has ended, .*: a new one is needed", reason)
    assert.matches("expired", select(2, lest("credential", "list")))
    local password = server:file("password", secret .. "\n")
    local code, _, err = process.run { support.lest, "enroll", server.url, "--trust", server.root,
      "--username", "device", "--password-file", password, "--subject", "CN=device", "--csr-key",
      server.folder .. "/device.key", "--out", server.folder .. "/device.pem" }
    assert.equal(4, code)
    assert.matches("a new one is needed", err)
  end)

  it("7030-4.2.3-j is waited for by lest enroll, which shows the words of a rejection", function()
    server = support.start { policy = WAITS }
    local secret = server:credential "device"
    local errors = server.folder .. "/err"
    local pid = process.start({ "sh", "-c", '"$@"; echo "exit $?" >&2', "sh", support.lest,
      "enroll", server.url, "--trust", server.root, "--username", "device", "--password-file",
      server:file("password", secret .. "\n"), "--subject", "CN=device", "--new-key", "ec:P-256",
      "--key-out", server.folder .. "/new.key", "--out", server.folder .. "/new.pem", "--wait",
      "5m" }, server.folder .. "/enroll.out", errors)
    process.wait_for(function()
      return process.read(errors):find("simpleenroll: the request is pending: ask an operator"
        .. "; trying again in 1 s\n", 1, true)
    end, "words")
    assert.equal(0, (lest("pending", "reject", pending_of "device", "--as", "alice", "--tell",
      "call the desk", "--note", "stolen")))
    process.wait_for(function() return not process.alive(pid) end, "its end")
    local text = process.read(errors)
    assert.matches("the server refuses the request: call the desk; the request is refused until 20",
      text, 1, true)
    assert.matches("exit 7\n$", text)
    assert.is_nil(text:find("stolen", 1, true))
    assert.is_nil(core.cert.load(server.folder .. "/new.pem"))
  end)

  it("takes no hostile text from an operator, and breaks no device with it", function()
    server = support.start { policy = WAITS }
    local ask = device_of "device"
    assert.equal(202, (ask()))
    local id = pending_of "device"
    for _, text in ipairs { ("x"):rep(100000), "a\27]0;owned\7", "x\u{202e}y",
      "a\r\nSet-Cookie: b", "\xff\xfe" } do
      for _, option in ipairs { "--note", "--tell", "--as" } do
        local code, out, err = lest("pending", "reject", id, "--as", "alice", option, text)
        assert.same({ 2, "" }, { code, out })
        assert.is_nil(err:find "[\27\7\r\x80-\xff]")
      end
    end
    assert.equal(202, (ask()))
    assert.equal(0, (lest("pending", "approve", id, "--as", ("o"):rep(255), "--note",
      ("n"):rep(1000))))
    assert.equal(200, (ask()))
  end)
end)
