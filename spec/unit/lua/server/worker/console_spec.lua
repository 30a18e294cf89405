-- The worker's end of `lest repl --attach`: what a statement reaches, how it is bounded, and what
-- becomes of a request that is parked.
local console_module = require "lest.server.worker.console"
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local envelope = require "lest.server.wire.console"
local hooks = require "lest.server.worker.hooks"
local journals = require "lest.policy.journal"
local json = require "lest.json"
local portable = require "lest.base.portable"
local sockets = require "support.sockets"
local task = require "lest.task"
local temporary = require "support.temporary"
local view = require "lest.server.worker.view"

local POLICY <const> = [[
local policy = require "lest.policy"
local known = { dev1 = "yes", secret = "s3cret" }
local function is_known(request) return known[request.principal.name] ~= nil end
local function is_ours(request) return is_known(request) end

return policy.first {
  policy.named("strangers", policy.unless(is_ours, policy.reject "not known")),
  policy.named("names", policy.own_name()),
}
]]

local ROOT <const> = 0

describe("a worker's console", function()
  local console, worker, peer, frames, last, path

  setup(function() core.log.set_level "error" end)
  teardown(function() core.log.set_level "info" end)

  before_each(function()
    path = temporary.file(temporary.folder(), "policy.lua", POLICY)
    local label = { name = "default", accepts = { basic = true },
      options = { profiles = { "device" } }, policy = assert(hooks.load(path)) }
    worker = {
      config = { limits = { answer = 60, decision = 10, requests = 256 },
        labels = { default = { profiles = { "device" },
          policies = { { file = path, options = { token = "t0ken" } } } } },
        tls = { key = "/k/tls.key", passphrase_file = "/k/phrase" }, profiles = {} },
      labels = { default = label }, authority = { is_up = true, waiting = {} },
      under_way = setmetatable({}, { __mode = "k" }), started_ms = core.clock.monotonic_ms(),
      connections = function() return 0 end,
    }
    console = console_module.new(worker, { index = 1, workers = 1, user = "nobody" })
    local channel
    peer, channel = sockets.pair()
    frames, last = {}, 0
    peer:on_message(function(packet)
      local connection, _, text = envelope.unpack(packet)
      local frame = assert(json.decode(text))
      frame.connection = connection
      frames[#frames + 1] = frame
    end)
    console:take(channel)
  end)
  after_each(function()
    console:release "the spec ends"
    peer:close()
    console.channel:close()
    temporary.clean()
  end)

  local function wait_for(condition)
    for _ = 1, 1000 do
      local result = condition()
      if result then return result end
      task.sleep(0.005)
    end
    error("waited in vain", 2)
  end

  local function send(frame, connection, uid)
    last = last + 1
    frame.v, frame.op, frame.worker, frame.id = 1, "console", 1, frame.id or last
    peer:send(envelope.pack(connection or 1, uid or ROOT, json.line(frame)))
    return frame.id
  end

  local function take(matches)
    return wait_for(function()
      for i, frame in ipairs(frames) do
        if matches(frame) then return table.remove(frames, i) end
      end
    end)
  end

  local function ask(frame, connection, uid)
    local id = send(frame, connection, uid)
    return take(function(each) return each.id == id and each["end"] end)
  end

  local function event(name)
    return take(function(each) return each.event == name end)
  end

  local function open(write, connection, uid)
    return ask({ act = "open", write = write or nil }, connection, uid)
  end

  --- The values of a statement, or nil and its problem.
  local function eval(code, request, more)
    local frame = { act = "eval", code = code, request = request }
    for key, value in pairs(more or {}) do frame[key] = value end
    local result = ask(frame).result
    if result.problem then
      local problem = portable.unpack(result.problem)
      return nil, type(problem) == "table" and tostring(problem) or problem, result
    end
    local values = {}
    for i, packed in ipairs(result.values) do values[i] = portable.unpack(packed) end
    return table.unpack(values, 1, #result.values)
  end

  -- A request as enroll.lua has it decided; its verdict is there when `done` is.
  local function request_of(name, more)
    local request = { id = ("%s-%d"):format(name, last), who = name, operation = "simpleenroll",
      row = { hook = "enroll" }, label = worker.labels.default, handle = "h",
      started_us = core.clock.monotonic_us(), delivered_ms = core.clock.monotonic_ms() }
    for key, value in pairs(more or {}) do request[key] = value end
    last = last + 1
    local csr = assert(core.csr.build { key = assert(core.key.generate "ed25519"),
      subject = { { "CN", name } } })
    local seen = view.new { id = request.id, time = 1, operation = "simpleenroll",
      label = "default", csr = csr, principal = { kind = "basic", name = name }, tls = {} }
    local asked = { request = request }
    local function run(policy, held)
      local limits = { seconds = more and more.seconds or 10, memory = 64 * 1024 * 1024 }
      limits.on_limit = held and function(limit) held.limit = held.limit or limit end
      limits.journal = journals.new { watch = held and function(each) held:watch(each) end }
      request.limits = limits
      return decision.run(policy.hooks.enroll, seen, limits)
    end
    asked.task = task.start({ quiet = true }, function()
      asked.verdict, asked.policy = console:decide(request, seen, run)
      asked.done = true
    end)
    worker.under_way[request] = asked.task
    return asked
  end

  local function ended(asked)
    return wait_for(function() return asked.done and asked.verdict end)
  end

  local function parked() return event("parked").request end

  it("lets nobody in once the worker stops, so that nothing is parked any more", function()
    assert.is_table(open().result)
    console:stop()
    assert.equal("the server stops", open().error.message)
    assert.equal("no session was opened", ask({ act = "stats" }).error.message)
  end)

  it("opens a session for each connection, and writes for root alone", function()
    assert.equal(1, open().result.worker)
    assert.matches("for root", open(true, 2, 1000).error.message)
    assert.is_true(open(true, 2).result.write)
    assert.matches("no session", ask({ act = "eval", code = "1" }, 9).error.message)
    assert.matches("does not know", ask({ act = "nothing" }).error.message)
    for i = 3, 16 do assert.truthy(open(false, i, 1000).result) end
    assert.matches("too many", open(false, 17, 1000).error.message)
    assert.truthy(open(false, 18, 0).result)
    for _, connection in ipairs { 2, 3 } do peer:send(envelope.pack(connection, 0, "")) end
    assert.truthy(open(false, 17, 1000).result)
  end)

  it("is open to write for the account of a server that root did not start, and then alone",
    function()
      local own = core.process
      core.process = setmetatable({ uid = 1000 }, { __index = own })
      finally(function() core.process = own end)
      assert.matches("for root", open(true, 1, 1000).error.message)
      console.is_root = false
      assert.is_true(open(true, 1, 1000).result.write)
      assert.matches("for root", open(true, 2, 1001).error.message)
    end)

  it("evaluates, keeps globals, prints, and names the place of a mistake", function()
    open()
    assert.equal(3, eval "1 + 2")
    assert.same({ 1, nil, "x" }, { eval "1, nil, 'x'" })
    eval "total = 4"
    assert.equal(5, eval "total + 1")
    local id = send { act = "eval", code = "print('a\\27', 1)" }
    assert.equal("a\27\t1", portable.unpack(take(function(each)
      return each.id == id and each.print
    end).print))
    local _, problem, result = eval "local x\nx.y()"
    assert.matches("console:2: attempt to index a nil value", problem)
    assert.matches("console:2", result.trace[1])
    assert.matches("nothing is named 'requets' here, did you mean 'requests'",
      select(2, eval "requets()"))
    assert.matches("unexpected symbol", select(2, eval "x ="))
    local second = open(false, 2)
    assert.truthy(second.result)
    local frame = ask({ act = "eval", code = "total" }, 2)
    assert.truthy(frame.result.problem)
  end)

  it("ends a statement that runs on, with its place, and serves meanwhile", function()
    open()
    local id = send { act = "eval", code = "while true do pcall(function() end) end" }
    local turns = 0
    for _ = 1, 20 do
      task.sleep(0.001)
      turns = turns + 1
    end
    assert.equal(20, turns)
    assert.matches("another statement", ask({ act = "eval", code = "1" }).error.message)
    send { act = "cancel", of = id }
    local ended_by = take(function(each) return each.id == id end)
    assert.equal("interrupted", portable.unpack(ended_by.result.problem))
    local _, problem = eval "while true do end"
    assert.matches("took too long %(at console:1%)", problem)
    assert.equal(1, eval "1")
  end)

  it("bounds a statement's memory, what it prints and gives, and what is kept", function()
    open()
    local _, problem = eval "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end"
    assert.matches("memory", problem)
    assert.matches("^x+%.%.%.$", eval "('x'):rep(100000)")
    local many = eval "(function() local t = {} for i = 1, 5000 do t[i] = i end return t end)()"
    assert.equal("4900 more", many["..."])
    local deep = eval "(function() local t = {} t.t = t return t end)()"
    assert.equal("<the table above it>", tostring(deep.t))
    local result = ask({ act = "eval", code = "kept = {} for i = 1, 20000 do kept[i] = i end" })
    assert.matches("forgotten", result.result.note)
    assert.truthy(select(2, eval "kept"))
    for _ = 1, 200 do send { act = "eval", code = "print(('y'):rep(1000))" } end
    assert.equal(1, wait_for(function() return (eval "1") end))
  end)

  it("gives no way to the process: the libraries that reach out are not there", function()
    open(true)
    for _, name in ipairs { "io", "debug", "require", "package", "load", "loadstring", "loadfile",
      "dofile", "collectgarbage", "coroutine", "setmetatable", "getmetatable", "rawset", "rawget",
      "_G", "worker", "lest", "core", "exchange" } do
      assert.matches("nothing is named", select(2, eval(name)), name)
    end
    for _, field in ipairs { "os.execute", "os.getenv", "os.exit", "os.remove", "os.tmpname",
      "string.dump", "policy.file", "policy.http", "policy.sqlite" } do
      assert.is_nil((eval(field)), field)
    end
    assert.matches("console's own", select(2, eval "request = 1"))
    eval "string.find = nil table.insert = nil policy.reject = nil math.floor = nil"
    assert.equal("function", type(string.find))
    assert.equal("function", type(table.insert))
    assert.equal("function", type(require("lest.policy").reject))
    assert.equal("function", type(math.floor))
  end)

  it("shows no secret of the configuration, nor a policy's options", function()
    open()
    local text = json.line(ask({ act = "eval", code = "return config, labels" }))
    assert.matches("profiles", text)
    for _, secret in ipairs { "tls.key", "phrase", "t0ken" } do
      assert.is_nil(text:find(secret, 1, true), secret)
    end
  end)

  it("parks the next request that matches, shows it, and lets it go on", function()
    open()
    assert.truthy(ask({ act = "break_at", filter = { principal = "dev*" } }).result)
    local other = request_of "stranger"
    assert.equal("reject", ended(other).verdict)
    local asked = request_of "dev1"
    local shown = parked()
    assert.same({ "dev1", "simpleenroll", "start" }, { shown.principal, shown.operation, shown.at })
    local id = shown.id
    assert.equal("dev1", eval("request.principal.name", id))
    assert.equal("dev1", eval("request.csr", id).subject.CN)
    assert.equal("reject", ended(request_of "dev2").verdict)
    assert.is_nil((eval("verdict", id)))
    assert.is_false(asked.done or false)
    eval("resume()", id)
    assert.equal("approve", ended(asked).verdict)
    assert.equal("approve", event("decided").verdict)
    assert.matches("no request is parked", select(2, eval("request.id", id)))
  end)

  local function break_at(filter, connection)
    local answer = ask({ act = "break_at", filter = filter }, connection)
    assert.truthy(answer.result, answer.error and answer.error.message)
  end

  it("steps from rule to rule, to the verdict, and tells what each said", function()
    open()
    break_at { principal = "dev1" }
    local asked = request_of "dev1"
    local id = parked().id
    assert.same({ dev1 = "yes", secret = "s3cret" }, eval("known", id))
    assert.equal("yes", eval("upvalues().known.dev1", id))
    assert.matches("attempt to call a <function", select(2, eval("is_known(request)", id)))
    assert.matches("there are 0", select(2, eval("locals()", id)))
    eval("step()", id)
    local at = event "parked"
    assert.same({ "rule", "first at policy.lua:6" }, { at.request.at, at.request.name })
    eval("step()", id)
    assert.equal("strangers", event("parked").request.name)
    eval("step()", id)
    at = event "parked"
    assert.equal("names", at.request.name)
    assert.matches("rule strangers: %-", table.concat(at.steps, "\n"))
    eval("step()", id)
    at = event "parked"
    assert.same({ "verdict", "approve" }, { at.request.at, at.request.verdict })
    assert.equal("approve", eval("verdict.verdict", id))
    eval("step()", id)
    assert.equal("approve", ended(asked).verdict)
  end)

  it("breaks at a rule, and at a verdict", function()
    open()
    break_at { rule = "strangers" }
    local asked = request_of "nobody"
    local shown = parked()
    assert.same({ "rule", "strangers" }, { shown.at, shown.name })
    eval("resume()", shown.id)
    assert.equal("reject", ended(asked).verdict)
    break_at { verdict = "reject" }
    assert.equal("approve", ended(request_of "dev1").verdict)
    asked = request_of "nobody"
    shown = parked()
    assert.same({ "verdict", "reject", "not known" }, { shown.at, shown.verdict, shown.reason })
    eval("resume()", shown.id)
    assert.equal("reject", ended(asked).verdict)
    assert.matches("'rejct' is not one of.*did you mean 'reject'",
      ask({ act = "break_at", filter = { verdict = "rejct" } }).error.message)
    assert.matches("unknown, did you mean 'principal'",
      select(2, eval "break_at { pricipal = 'x' }"))
  end)

  local WAITING <const> = [[
local policy = require "lest.policy"
local journal = require "lest.policy.journal"
local table_of = { depth = { 1 } }
return function(request)
  local name, list = request.principal.name, { "a" }
  local answer = journal.outside("http", "GET x", function() return { list = list } end)
  table_of.last = answer
  return policy.reject(name .. #list)
end]]

  local function use_policy(text)
    path = temporary.file(temporary.folder(), "waiting.lua", text)
    worker.labels.default.policy = assert(hooks.load(path))
  end

  it("shows locals and upvalues where the policy stands, and looking changes nothing", function()
    use_policy(WAITING)
    open()
    break_at {}
    local asked = request_of "dev1"
    local id = parked().id
    assert.same({ 1 }, eval("upvalues().table_of.depth", id))
    eval("step()", id) eval("step()", id)
    assert.equal("dev1", eval("locals().name", id))
    assert.equal("dev1", eval("name", id))
    assert.equal("a", eval("list[1]", id))
    assert.matches("cannot be changed", select(2, eval("list[1] = 'b'", id)))
    assert.matches("cannot be changed", select(2, eval("table.insert(list, 'b')", id)))
    assert.matches("cannot be changed", select(2, eval("locals().list = {}", id)))
    assert.matches("cannot be changed", select(2, eval("table_of.depth[1] = 2", id)))
    assert.matches("cannot be changed", select(2, eval("request.principal.name = 'x'", id)))
    eval("request.csr:close()", id)
    assert.equal("dev1", eval("request.csr.subject.CN", id))
    assert.matches("attempt to call", select(2, eval("upvalues().journal.outside()", id)))
    assert.matches("there are 1", select(2, eval("locals(9)", id)))
    eval("resume()", id)
    assert.equal("dev11", ended(asked).reason)
  end)

  it("is not held up by an object of a policy that never says what it is", function()
    use_policy [[
local policy = require "lest.policy"
local function raise()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end
return function() local _ = raise return policy.reject "no" end]]
    open(true)
    break_at {}
    local asked = request_of "dev1"
    local id = parked().id
    assert.matches("too long", select(2, eval("raise()", id)))
    assert.equal(1, eval "1")
    eval("resume()", id)
    assert.equal("no", ended(asked).reason)
  end)

  it("answers with a verdict of the operator's, who is named; not without --write", function()
    open()
    break_at { principal = "nobody" }
    local asked = request_of "nobody"
    local id = parked().id
    local verdict = "policy.approve { san = { 'DNS:a.example' }, facts = { site = 'b' } }"
    assert.matches("%-%-write", select(2, eval("answer(" .. verdict .. ")", id)))
    eval("resume()", id)
    assert.equal("reject", ended(asked).verdict)
    open(true)
    break_at { principal = "nobody" }
    asked = request_of "nobody"
    id = parked().id
    assert.is_false((eval("is_known(request)", id)))
    assert.matches("takes a verdict", select(2, eval("answer 'approve'", id)))
    assert.matches("takes a verdict", select(2, eval("answer { verdict = 'approve' }", id)))
    eval("answer(" .. verdict .. ")", id)
    local given = ended(asked)
    assert.same({ "approve", "operator", { site = "b", operator = "uid 0" } },
      { given.verdict, given.rule, given.facts })
    assert.matches("uid 0", given.detail)
  end)

  it("decides with another policy for one request only; not without --write", function()
    local text = "local policy = require 'lest.policy' return function() "
      .. "return policy.reject 'by the other' end"
    local files = { files = { ["x.lua"] = { path = "/p/x.lua", text = text } } }
    open()
    break_at {}
    local asked = request_of "dev1"
    local id = parked().id
    assert.matches("%-%-write", select(2, eval("policy.reload 'x.lua'", id, files)))
    eval("resume()", id)
    assert.equal("approve", ended(asked).verdict)
    open(true)
    break_at { rule = "names" }
    asked = request_of "dev1"
    id = parked().id
    assert.matches("as it is typed", select(2, eval("policy.reload 'y.lua'", id, files)))
    eval("policy.reload 'x.lua'", id, files)
    assert.matches("x.lua:1", event("parked").request.name)
    eval("resume()", id)
    assert.equal("by the other", ended(asked).reason)
    assert.equal("/p/x.lua", asked.policy.file)
    assert.equal("approve", ended(request_of "dev1").verdict)
    local broken = { files = { ["x.lua"] = { path = "/p/x.lua", text = "return 5" } } }
    break_at {}
    asked = request_of "dev1"
    id = parked().id
    assert.matches("must return a function", select(2, eval("policy.reload 'x.lua'", id, broken)))
    eval("resume()", id)
    assert.equal("approve", ended(asked).verdict)
  end)

  it("falls back to the label's rules when the prompt goes, also from another policy", function()
    local text = "local policy = require 'lest.policy' return function() "
      .. "return policy.approve { renewal = true } end"
    open(true)
    break_at { principal = "nobody", times = 2 }
    local one, two = request_of "nobody", request_of "nobody"
    local id = parked().id
    eval("policy.reload 'x.lua'", id, { files = { ["x.lua"] = { path = "/p/x", text = text } } })
    peer:send(envelope.pack(1, 0, ""))
    for _, asked in ipairs { one, two } do
      assert.same({ "reject", worker.labels.default.policy },
        { ended(asked).verdict, asked.policy })
    end
    assert.equal(0, console.parking.parked)
    assert.equal("approve", ended(request_of "dev1").verdict)
  end)

  it("falls back when the control role has ended", function()
    open()
    break_at {}
    local asked = request_of "dev1"
    parked()
    peer:close()
    assert.equal("approve", ended(asked).verdict)
  end)

  it("falls back before the answer is due, however long it was parked", function()
    open()
    break_at { rule = "names" }
    local soon = console.parking.hold_ms - 300
    local asked = request_of("dev1", { delivered_ms = core.clock.monotonic_ms() - soon,
      seconds = 1 })
    local id = parked().id
    assert.equal("approve", ended(asked).verdict)
    assert.same({ id, "its answer is due soon" }, { (function(each)
      return each.id, each.reason
    end)(event "released") })
    break_at {}
    asked = request_of("dev1", { delivered_ms = 0 })
    assert.equal("approve", ended(asked).verdict)
  end)

  it("lets the decision's time stand still while it is parked", function()
    open()
    break_at { rule = "names" }
    local asked = request_of("dev1", { seconds = 1 })
    local id = parked().id
    task.sleep(1.3)
    assert.is_falsy(asked.done)
    eval("resume()", id)
    assert.equal("approve", ended(asked).verdict)
  end)

  it("parks a few of a thousand, and counts the others, which go on", function()
    open()
    break_at { times = 1000 }
    local asked = {}
    for i = 1, 1000 do asked[i] = request_of "dev1" end
    local done = 0
    for _, each in ipairs(asked) do done = done + (each.done and 1 or 0) end
    assert.equal(console.parking.most, 1000 - done)
    local stats = ask({ act = "stats" }).result
    assert.same({ 8, 992 }, { stats.parked, stats.passed_by })
    assert.equal(1, event("full").passed_by)
    for _, each in ipairs(frames) do assert.equal("parked", each.event) end
    local rows = ask({ act = "requests" }).result
    assert.same({ 8, "parked" }, { #rows, rows[1].state })
    peer:send(envelope.pack(1, 0, ""))
    for _, each in ipairs(asked) do assert.equal("approve", ended(each).verdict) end
  end)

  it("forgets a request whose client leaves while it is parked", function()
    open()
    break_at { rule = "names" }
    local asked = request_of "dev1"
    local id = parked().id
    asked.task:cancel "the client left"
    assert.equal(id, event("released").id)
    assert.equal(0, console.parking.parked)
    assert.same({}, ask({ act = "parked" }).result)
  end)

  it("traces decisions with what each rule said", function()
    open()
    assert.truthy(ask({ act = "trace", filter = { principal = "dev*" } }).result)
    ended(request_of "stranger")
    ended(request_of "dev2")
    ended(request_of "dev1")
    local told = event "decision"
    assert.same({ "dev2", "reject", "strangers", "not known" },
      { told.principal, told.verdict, told.rule, told.reason })
    assert.matches("rule strangers: reject", table.concat(told.steps, "\n"))
    assert.equal("dev1", event("decision").principal)
    ask { act = "untrace" }
    ended(request_of "dev1")
    assert.is_nil(console.parking:look_at(request_of("dev1").request, {}))
  end)

  it("shows the stack of what hangs", function()
    use_policy [[
local task = require "lest.task"
return function() task.sleep(1000) end]]
    open()
    local asked = request_of "dev1"
    local told = ask({ act = "stack", of = asked.request.id }).result
    assert.matches("the policy:.*waiting.lua:2: in ", told.stack)
    assert.matches("the request:", told.stack)
    assert.is_nil(ask({ act = "stack", of = "none" }).result.stack)
    asked.task:cancel "enough"
  end)

  it("asks its terminal what other processes know, and bounds it", function()
    open()
    local id = send { act = "eval", code = "requests()[1].id" }
    local question = take(function(each) return each.ask end)
    assert.same({ id, "requests" }, { question.id, question.what })
    send { act = "reply", of = id, ask = 1, value = portable.pack { { id = "r1" } }, id = id }
    assert.equal("r1", portable.unpack(take(function(each)
      return each.id == id and each["end"]
    end).result.values[1]))
    id = send { act = "eval", code = "local t = {} for i = 1, 101 do workers() end" }
    for i = 1, 100 do
      take(function(each) return each.ask == i end)
      send { act = "reply", of = id, ask = i, problem = i == 3 and "busy" or nil, id = id }
      if i == 3 then break end
    end
    assert.matches("busy", portable.unpack(take(function(each)
      return each.id == id and each["end"]
    end).result.problem))
  end)

  it("completes what a statement would see", function()
    open()
    local function list(text, request)
      local result = ask({ act = "complete", text = text, request = request }).result
      return table.concat(result.candidates, " ")
    end
    assert.equal("request requests", list "reque")
    assert.equal("string.find string.format", list "x = string.f")
    assert.equal("", list "nothing.x")
    break_at {}
    local asked = request_of "dev1"
    local id = parked().id
    assert.equal("request.principal", list("request.pr", id):match "request.principal")
    assert.equal("request.principal.name", list("request.principal.na", id))
    assert.equal("policy.approve", list("policy.app", id))
    eval("resume()", id)
    ended(asked)
  end)

  it("takes nonsense from the other end", function()
    open()
    for _, text in ipairs { "x", "[]", "{}", "5", "null", '{"id":1}', '{"id":"x"}' } do
      peer:send(envelope.pack(1, 0, text))
    end
    peer:send "x"
    for _, frame in ipairs { { act = "eval" }, { act = "eval", code = 5 }, { act = {} },
      { act = "reply", of = {}, ask = {} }, { act = "cancel", of = {} },
      { act = "complete", text = 5 }, { act = "stack", of = {} },
      { act = "break_at", filter = 5, number = {} }, { act = "trace", filter = { times = -1 } },
      { act = "eval", code = "1", request = {}, files = 5 } } do
      send(frame)
    end
    assert.equal(1, wait_for(function() return (eval "1") end))
  end)
end)
