-- `lest agent` against a real server: from the first credential to renewal, and what comes between.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local temporary = require "support.temporary"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    if name == "waits" and #request.approvals == 0 then
      return policy.pending { "an operator looks", retry_after = "1s" }
    end
    local names = name == "renamed" and { { "CN", "other" } } or request.csr.subject
    return policy.approve { subject = names, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}]]

describe("lest agent", function()
  local server, folder

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('names = "principal"',
        'names = "policy", subject = { "CN" }, san = { "DNS" }')
        :gsub('lifetime = "[^"]*"', 'lifetime = "1h"')
        :gsub("profiles = {", [[profiles = { short = { lifetime = "1m", names = "policy",
          keys = { "ec:P-256" },
          eku = { "clientAuth" }, subject = { "CN" } },]])
        :gsub("labels = {", [[labels = { short = { policy = "policy.lua", profile = "short",
          auth = { "certificate", "basic" }, expired_grace = "1d" },]]))
    end }
  end)
  teardown(function() server:stop() end)
  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local serial = 0

  --- A configuration with one identity, dev9 unless told, and a new one-time secret.
  local function configure(more)
    serial = serial + 1
    process.write(folder .. "/secret", server:credential("device" .. serial))
    local lines = { subject = '"CN=dev9"', username = ('"device%d"'):format(serial),
      password_file = '"secret"', url = ("%q"):format(server.url),
      trust = ("%q"):format(server.root) }
    for key, value in pairs(more or {}) do lines[key] = value end
    local parts = {}
    for key, value in pairs(lines) do
      if value then parts[#parts + 1] = ("%s = %s"):format(key, value) end
    end
    return temporary.file(folder, "agent.lua",
      ('return { state = "state", identities = { dev9 = { %s } } }\n'):format(
        table.concat(parts, ", ")))
  end

  local function agent(...)
    return shell.lest("agent", folder .. "/agent.lua", ...)
  end

  local function once(...)
    return agent("--once", ...)
  end

  --- What status says of it.
  local function status()
    local result = shell.lest("agent", "status", folder .. "/agent.lua", "--json")
    local each = cjson.decode(result.out)[1]
    each.code = result.code
    return each
  end

  local function agent_status()
    return shell.lest("agent", "status", folder .. "/agent.lua").out
  end

  local function state(name)
    return folder .. "/state/dev9/" .. name
  end

  --- The identity as a consumer finds it: its certificate, once key and chain were looked at.
  local function identity()
    local cert = assert(core.cert.load(state "cert.pem"))
    assert.equal(cert.public_key.der, assert(core.key.load(state "key.pem")):public_der())
    local store = core.store.new { anchors = core.cert.load_all(state "anchors.pem") }
    assert(store:verify(cert, { untrusted = core.cert.load_all(state "chain.pem") or {} }))
    return cert
  end

  local function revoke(cert)
    process.must { server.lest, "cert", "revoke", cert.serial, "--config",
      server.dir .. "/server.lua" }
  end

  local function memory()
    return cjson.decode(process.read(state "state.json"))
  end

  local function remember(edit)
    local table = memory()
    edit(table)
    process.write(state "state.json", cjson.encode(table))
  end

  it("gets a certificate by its first credential, does nothing more, and renews by that", function()
    configure()
    assert.equal(0, once().code)
    local first = identity()
    assert.equal("CN=dev9", tostring(first.subject))
    assert.equal(0, once().code)
    assert.equal(first, identity())
    assert.equal(0, once("--renew").code)
    local second = identity()
    assert.not_equal(first.public_key.der, second.public_key.der)
    assert.equal("CN=dev9", tostring(second.subject))
    local each = status()
    assert.same({ "ok", 0, 2, "renew", 0 }, { each.state, each.code, each.generation, each.next,
      each.failures })
  end)

  it("tells when the certificate will be renewed, whatever comes before that", function()
    configure { anchors_every = '"5m"' }
    assert.equal(0, once().code)
    local each = status()
    assert.equal("anchors", each.next)
    assert.is_true(each.next_at < each.renewal and each.renewal < each.not_after)
    assert.matches("ask for the trust anchors in [45]m%w*, renew in %d+m", agent_status())
  end)

  it("renews when it is time, and keeps its key where it was told to", function()
    -- Half of its life is over when it is issued, since it begins a minute before.
    configure { rekey = "false", label = '"short"', renew_at = "0.54", spread = "0" }
    assert.equal(0, once().code)
    local first = identity()
    process.wait_for(function() return os.time() >= first.not_before + 65 end, "its time", 60)
    assert.equal(0, once().code)
    local second = identity()
    assert.not_equal(first.serial, second.serial)
    assert.equal(first.public_key.der, second.public_key.der)
  end)

  it("goes on with a request that waits, over a restart, with the same key", function()
    configure { subject = '"CN=waits"' }
    assert.equal(5, once().code)
    local key = assert(core.key.load(state "next/key.pem"))
    local each = status()
    assert.same({ "pending", "poll", 8 }, { each.state, each.next, each.code })
    assert.equal(5, once("--try").code)
    assert.equal(key, assert(core.key.load(state "next/key.pem")))
    local id = cjson.decode(shell.lest("pending", "list", "--json", "--config",
      server.dir .. "/server.lua").out)[1].id
    assert.equal(0, shell.lest("pending", "approve", tostring(id), "--config",
      server.dir .. "/server.lua").code)
    assert.equal(0, once("--try").code)
    assert.equal(key:public_der(), identity().public_key.der)
    assert.is_false(core.system.exists(state "next"))
  end)

  it("gets the certificate whose answer was lost, with the same key", function()
    configure()
    assert.equal(0, once().code)
    local cert = identity()
    -- As after a death between the answer and the first write: the key waits, and no more is known.
    assert(core.folder.move(state "generations/1", state "next"))
    for _, name in ipairs { "current", "next/cert.pem", "next/chain.pem" } do
      assert(core.folder.remove(state(name)))
    end
    process.write(state "next/request.json", '{"way":"bootstrap","key":"ec:P-256",'
      .. '"subject":"CN=dev9"}')
    assert.equal(0, once().code)
    assert.equal(cert, identity())
  end)

  it("takes no other name than it has asked for, unless it may", function()
    configure { subject = '"CN=renamed"' }
    local result = once()
    assert.equal(8, result.code)
    assert.matches("the server has issued another name: the subject is CN=other", result.err)
    assert.is_false(core.system.exists(state "cert.pem"))
    configure { subject = '"CN=renamed"', server_names = "true" }
    assert.equal(0, once("--try").code)
    assert.equal("CN=other", tostring(identity().subject))
  end)

  it("calls for an operator where its credential is refused, and takes another one", function()
    configure()
    process.write(folder .. "/secret", "wrong")
    local result = once()
    assert.equal(8, result.code)
    assert.matches("operator needed", result.err)
    local each = status()
    assert.same({ "operator", 8, 1 }, { each.state, each.code, each.failures })
    assert.matches("not authenticated", each.error)
    assert.equal(8, once().code)
    assert.equal(1, status().failures) -- nothing was due
    configure()
    assert.equal(0, once().code)
    identity()
  end)

  it("has a new credential replace a certificate that the server takes no more", function()
    configure()
    assert.equal(0, once().code)
    local first = identity()
    revoke(first)
    assert.equal(7, once("--renew").code)
    assert.equal(7, once("--try").code) -- the first credential is no way for it, and is used up
    assert.equal("renew", memory().way)
    process.write(folder .. "/secret", "wrong")
    assert.equal(4, once().code) -- at once, though the next try is not due
    assert.equal("bootstrap", memory().way)
    assert.equal(7, once("--try").code) -- what was refused is not shown again
    assert.equal("renew", memory().way)
    assert.equal(first, identity())
    configure()
    assert.equal(0, once().code)
    assert.not_equal(first, identity())
    local each = status()
    assert.same({ "ok", 0, 0, 2 }, { each.state, each.code, each.failures, each.generation })
    assert.is_nil(memory().refused)
  end)

  it("shows no credential in place of a certificate where that is no fallback", function()
    configure { fallbacks = '{ "operator" }' }
    assert.equal(0, once().code)
    revoke(identity())
    assert.equal(7, once("--renew").code)
    configure { fallbacks = '{ "operator" }' }
    assert.equal(7, once("--try").code)
    assert.equal("renew", memory().way)
  end)

  it("waits longer after each failure, and leaves its certificate in use", function()
    configure()
    assert.equal(0, once().code)
    local cert = identity()
    configure { url = ('"https://localhost:%s"'):format(process.free_port()) }
    local result = once("--renew")
    assert.equal(6, result.code)
    assert.equal(6, once("--try").code)
    local each = status()
    assert.same({ "failing", 1, 2, "retry" }, { each.state, each.code, each.failures, each.next })
    assert.matches("Connection refused", each.error)
    assert.equal(cert, identity())
    assert.is_true(memory().retry.at - memory().retry.set <= 60)
  end)

  it("comes back after an outage when others do not, and knows a retry of a wrong clock", function()
    configure()
    assert.equal(0, once().code)
    local cert, now = identity(), os.time()
    remember(function(table)
      table.failing_since, table.failures = now - 7200, 9
      table.retry = { set = now - 10, at = now - 1 }
    end)
    local result = once()
    assert.equal(0, result.code)
    assert.matches("server is back", result.err)
    assert.equal(cert, identity())
    assert.is_true(memory().retry.at < cert.not_after)
    remember(function(table) table.retry = { set = now + 86400, at = now + 86500 } end)
    assert.equal(0, once().code)
    assert.not_equal(cert.serial, identity().serial)
  end)

  it("does nothing by a clock that is before its certificate", function()
    configure()
    assert.equal(0, once().code)
    local cert = identity()
    process.write(folder .. "/offset", "-86400")
    local result = shell.run(("ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "
      .. "LD_PRELOAD=%s/fixture/clock.so CLOCK_OFFSET=%s/offset %s"):format(LEST_PREFIX, folder,
      shell.line("agent", folder .. "/agent.lua", "--once", "--renew")))
    assert.matches("clock is wrong.*cannot be", result.err)
    assert.equal(cert, identity())
  end)

  it("tells people how far its clock is from the server's, and judges nothing by that", function()
    configure()
    local function with_clock(offset, ...)
      process.write(folder .. "/offset", tostring(offset))
      return shell.run(("ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "
        .. "LD_PRELOAD=%s/fixture/clock.so CLOCK_OFFSET=%s/offset %s"):format(LEST_PREFIX, folder,
        shell.line("agent", ...)))
    end
    local file = folder .. "/agent.lua"
    local result = with_clock(1200, file, "--once")
    assert.equal(0, result.code)
    assert.matches("clock differs.*clock was ahead of the server's by 20m%d*s? when", result.err)
    local each = status()
    assert.equal("ok", each.state)
    assert.is_true(math.abs(each.clock_offset + 1200) < 120)
    assert.matches("\ndev9: this device's clock was ahead of the server's by ",
      shell.lest("agent", "status", file).out)
    result = with_clock(1200, file, "--once", "--renew")
    assert.equal(0, result.code)
    assert.is_nil(result.err:find "clock differs")
    assert.equal(0, once("--renew").code)
    assert.is_nil(status().clock_offset)
  end)

  it("lets no second agent into its folder", function()
    configure()
    local lock <close> = assert(core.folder.make(folder .. "/state", 448)
      and core.folder.lock(folder .. "/state/lock"))
    local result = once()
    assert.equal(5, result.code)
    assert.matches("another agent works in ", result.err)
    lock:close()
    assert.equal(0, once().code)
  end)

  it("works in no folder that others may write in", function()
    configure()
    assert(core.folder.make(folder .. "/state", 448))
    process.must { "chmod", "777", folder .. "/state" }
    local result = once()
    assert.equal(2, result.code)
    assert.matches("others may write in the folder ", result.err)
    assert.same({}, core.system.entries(folder .. "/state"))
  end)

  it("says that a configuration is right, or what is wrong in it", function()
    configure()
    assert.same({ code = 0, out = folder .. "/agent.lua: ok\n", err = "" }, agent "--check")
    configure { renew = "1" }
    local result = agent "--check"
    assert.equal(2, result.code)
    assert.matches("agent.lua:1: identities.dev9.renew: unknown", result.err)
    configure { trust = '"nowhere.pem"' }
    os.remove(folder .. "/secret")
    result = agent "--check"
    assert.equal(0, result.code)
    assert.matches("warning: identities.dev9.password_file: [^\n]*secret: cannot be opened.-\n"
      .. "[^\n]*warning: identities.dev9.trust: [^\n]*nowhere.pem: cannot be opened", result.err)
    configure()
    assert.equal(0, once().code)
    os.remove(folder .. "/secret")
    assert.equal("", agent("--check").err) -- it was for the first certificate
  end)

  it("runs until SIGTERM, tries at SIGUSR1 and for a file, and logs what it does", function()
    configure { url = ('"https://localhost:%s"'):format(process.free_port()) }
    local log = folder .. "/log"
    local pid = process.start({ shell.binary, "agent", folder .. "/agent.lua" }, folder .. "/out",
      log)
    local function logged(event, count)
      return process.wait_for(function()
        local lines = process.logged(log, event)
        return #lines >= count and lines
      end, event, 60)
    end
    logged("attempt failed", 1)
    local before = #process.logged(log, "attempt failed")
    process.kill(pid, "USR1")
    logged("attempt failed", before + 1)
    process.write(folder .. "/state/try", "")
    logged("trying now", 2)
    process.wait_for(function() return not process.exists(folder .. "/state/try") end, "try", 30)
    process.kill(pid, "TERM")
    logged("agent stopped", 1)
    process.wait_for(function() return not process.alive(pid) end, "the end", 30)
  end)

  it("runs inside a script", function()
    configure()
    local result = shell.lest("run", temporary.file(folder, "script.lua", [[
      local lest = require "lest"
      local agent = lest.agent { state = "here", identities = {
        dev9 = { url = arg[1], trust = arg[2], username = arg[3], password_file = "secret",
          subject = "CN=script" } } }
      assert(agent:run { once = true } == 0)
      print(agent:status()[1].state, agent:status()[1].subject)
      print(pcall(lest.agent, { state = "here", identities = { a = { ulr = "x" } } }))]]))
    assert.equal(1, result.code)
    result = shell.run(("cd %s && %s"):format(folder, shell.line("run", "script.lua", server.url,
      server.root, "device" .. serial)))
    assert.equal("", result.err:gsub('{[^\n]*}\n', ""))
    assert.matches("^ok\tCN=script\n", result.out)
    assert.matches("identities.a.ulr: unknown, did you mean 'url'?", result.out, 1, true)
  end)
end)
