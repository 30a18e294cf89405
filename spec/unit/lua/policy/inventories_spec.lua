-- Inventories: rows by a key, read anew when they change, and an outage where that cannot be told.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local hooks = require "lest.server.worker.hooks"
local journals = require "lest.policy.journal"
local policy = require "lest.policy"
local process = require "support.process"
local raw_server = require "support.raw_server"
local temporary = require "support.temporary"

local LIMITS <const> = { seconds = 5, memory = 64 * 1024 * 1024 }

local function request_of(name, more)
  local request = { principal = { name = name }, label = "default" }
  for key, value in pairs(more or {}) do request[key] = value end
  return request
end

--- Whether a test holds for a name, or the verdict that it ended the decision with.
local function ask(test, name)
  local verdict = decision.run(policy.when(policy.any { test, function() return false end },
    policy.approve { subject = { { "CN", "yes" } } }), request_of(name), LIMITS)
  if verdict.verdict == "approve" then return true end
  if verdict.verdict == "error" and verdict.detail:find "returned nil" then return false end
  return verdict.verdict, verdict.detail
end

local write <const> = core.log.write
local logged

before_each(function()
  logged = {}
  core.log.write = function(_, event, fields) -- luacheck: ignore 122
    table.insert(logged, event .. ": " .. fields[#fields])
  end
end)
after_each(function() core.log.write = write end) -- luacheck: ignore 122

describe("policy.csv", function()
  local folder, path

  before_each(function()
    folder = temporary.folder()
    path = temporary.file(folder, "devices.csv", "name,host,state\nann,h-1,new\nben,h-2,old\n")
  end)
  after_each(temporary.clean)

  local function replace(text)
    temporary.file(folder, "next.csv", text)
    assert(os.rename(folder .. "/next.csv", path))
  end

  it("is read when the policy is loaded, beside the policy", function()
    local file = temporary.file(folder, "p.lua", "local policy = require 'lest.policy'\n"
      .. "local all = policy.csv('devices.csv', { key = 'name' })\n"
      .. "return function(name) return all:row(name) end")
    local row = assert(hooks.load(file)).hooks.enroll "ann"
    assert.same({ "h-1", "new" }, { row.host, row.state })
    assert.error_matches(function() return row.hots end,
      "has no field 'hots', did you mean 'host'?")
    assert.error_matches(function() row.host = "x" end, "read%-only")
    assert.is_nil(assert(hooks.load(file)).hooks.enroll "cat")
    replace "name\nann\nann\n"
    local _, err = hooks.load(file)
    assert.matches("p.lua:2: policy.csv: .*devices.csv: row 3 has the key 'ann'", err.message)
    os.remove(path)
    _, err = hooks.load(file)
    assert.matches("p.lua:2: policy.csv: .*devices.csv cannot be found", err.message)
  end)

  it("is asked by policy.listed, with what a row must have", function()
    local devices = policy.csv(path, { key = "name" })
    local listed = policy.listed(devices, "${principal.name}")
    assert.same({ true, true, false }, { ask(listed, "ann"), ask(listed, "ben"),
      ask(listed, "cat") })
    local new = policy.listed(devices, "${principal.name}", { state = "new" })
    assert.same({ true, false }, { ask(new, "ann"), ask(new, "ben") })
    local any = policy.listed(devices, "${principal.name}", { state = { "new", "old" } })
    assert.is_true(ask(any, "ben"))
  end)

  it("follows the file, and answers nothing by one that is broken or gone", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    replace "name,host,state\ncat,h-3,new\n"
    assert.same({ false, true }, { ask(listed, "ann"), ask(listed, "cat") })
    for text, expected in pairs {
      ["name,host,state\ncat\n"] = "row 2 has 1 fields",
      ["name,host\ncat,h\n"] = "the column 'state' is gone",
      [""] = "is no name of a column",
    } do
      replace(text)
      for _ = 1, 2 do
        local verdict, detail = ask(listed, "cat")
        assert.equal("unavailable", verdict)
        assert.truthy(detail:find(expected, 1, true), detail)
      end
      assert.equal(1, #logged) -- once, not with each request
      assert.truthy(logged[1]:find("inventory away: " .. expected, 1, true)
        or logged[1]:find(expected, 1, true), logged[1])
      logged = {}
    end
    os.remove(path)
    assert.equal("unavailable", (ask(listed, "cat")))
    logged = {}
    replace "name,host,state\ncat,h-3,new\n"
    assert.is_true(ask(listed, "cat"))
    assert.same({ "inventory back: " .. path }, logged)
  end)

  it("fills no log where it comes and goes, and says at last how it is", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    for i = 1, 20 do
      replace(("name,host,other%d\ncat,h\n"):format(i))
      assert.equal("unavailable", (ask(listed, "cat")))
      replace "name,host,state\ncat,h-3,new\n"
      ask(listed, "cat")
    end
    assert.equal(20, #logged)
    logged = {}
    local now = core.clock.monotonic_ms
    core.clock.monotonic_ms = function() return now() + 60000 end -- luacheck: ignore 122
    finally(function() core.clock.monotonic_ms = now end) -- luacheck: ignore 122
    replace "name,host\ncat,h\n"
    ask(listed, "cat")
    replace "name,host,state\ncat,h-3,new\n"
    ask(listed, "cat")
    assert.equal(2, #logged)
    assert.matches("inventory back", logged[2])
  end)

  it("waits for nobody where a pipe takes its place after it was looked at", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    replace "name,host,state\ncat,h-3,new\n"
    local version, looks = core.file.version, 0
    core.file.version = function(...) -- luacheck: ignore 122
      local found, err = version(...)
      looks = looks + 1
      if looks == 2 then process.must { "sh", "-c", 'rm "$1"; mkfifo "$1"', "sh", path } end
      return found, err
    end
    local ok, verdict, detail = pcall(ask, listed, "cat")
    core.file.version = version -- luacheck: ignore 122
    assert.same({ true, "unavailable" }, { ok, verdict })
    assert.matches("is no plain file", detail)
  end)

  it("is an outage for a list to refuse, too, and no key is a refusal", function()
    local devices = policy.csv(path, { key = "name" })
    local approve = policy.approve { subject = { { "CN", "x" } } }
    local hook = policy.unless(policy.listed(devices, "${previous.facts.site}"), approve)
    local verdict = decision.run(hook, request_of("x", { previous = { facts = {} } }), LIMITS)
    assert.same({ "reject", "previous.facts.site is missing" }, { verdict.verdict, verdict.detail })
    os.remove(path)
    hook = policy.unless(policy.listed(devices, "${principal.name}"), approve)
    assert.equal("unavailable", decision.run(hook, request_of "x", LIMITS).verdict)
  end)

  it("reads a changed file between decisions, once for all that wait", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    local lines = { "name,host,state" }
    for i = 1, 20000 do lines[i + 1] = ("d%d,h-%d,%s"):format(i, i, ("x"):rep(200)) end
    replace(table.concat(lines, "\n"))
    local lest, results = require "lest", {}
    local reads, read = 0, core.file.read_plain
    core.file.read_plain = function(...)
      reads = reads + 1
      return read(...)
    end
    local ok, problem = pcall(lest.run, function()
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = lest.spawn(function()
          -- Less than the file's text, which is none of the decision's.
          results[i] = decision.run(policy.when(listed, policy.reject "listed"),
            request_of("d20000"), { seconds = 20, memory = 1024 * 1024 })
        end)
      end
      for _, each in ipairs(tasks) do each:wait() end
    end)
    core.file.read_plain = read
    assert(ok, problem)
    assert.equal(1, reads)
    for i = 1, 3 do assert.equal("listed", results[i].reason, results[i].detail) end
  end)

  it("keeps nobody waiting where the reading fails, and reads again", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    replace "name,host,state\ncat,h-3,new\n"
    local read, verdict, detail = core.file.read_plain, nil, nil
    core.file.read_plain = function() error("not enough memory", 0) end -- luacheck: ignore 122
    local ok, problem = pcall(require "lest".run, function()
      verdict, detail = ask(listed, "cat")
    end)
    core.file.read_plain = read -- luacheck: ignore 122
    assert(ok, problem)
    assert.equal("unavailable", verdict)
    assert.matches("not enough memory", detail)
    assert.is_true(ask(listed, "cat"))
  end)

  it("is noted in the journal, and answered by a record", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    local rule = policy.first { policy.when(listed, policy.reject "listed") }
    local function decide(journal)
      return decision.run(rule, request_of "ann", { seconds = 5, memory = LIMITS.memory,
        journal = journal })
    end
    local journal = journals.new()
    assert.equal("listed", decide(journal).reason)
    local call = journals.calls(journal)[1]
    assert.same({ "csv", "devices.csv: ann" }, { call.kind, call.question })
    assert.equal("no rule allows this request", decide(journals.new { outside = function()
      return nil
    end }).reason)
    os.remove(path)
    journal = journals.new()
    assert.equal("unavailable", decide(journal).verdict)
    local outcomes = {}
    for i, step in ipairs(journals.steps(journal)) do outcomes[i] = step.outcome end
    assert.same({ "unavailable", "unavailable", "error" }, outcomes)
    assert.matches("cannot be found", journals.calls(journal)[1].err.message)
  end)

  it("gives its facts to names", function()
    local listed = policy.listed(policy.csv(path, { key = "name" }), "${principal.name}")
    local rule = policy.names { row = listed, CN = "x-${row.host}" }
    assert.same({ { "CN", "x-h-1" } }, rule(request_of "ann").subject)
    assert.equal("reject", rule(request_of "cat").verdict)
    assert.error_matches(function() policy.names { row = listed, CN = "${row.hots}" } end,
      "row has no 'hots' for a template, did you mean 'host'?")
    assert.error_matches(function() policy.names { row = function() end, CN = "x" } end,
      "row: is a test of policy.listed")
    assert.error_matches(function() policy.names { CN = "${row.host}" } end,
      "request has no 'row' for a template")
  end)

  it("tells a mistake with its line", function()
    local devices = policy.csv(path, { key = "name" })
    for expected, call in pairs {
      ["policy.csv takes a table, as { key = \"serial\" }, not nil"] = { policy.csv, path },
      ["policy.csv: ky: unknown, did you mean 'key'?"] = { policy.csv, path,
        { key = "name", ky = "x" } },
      ["policy.csv takes the name of a file"] = { policy.csv, 5 },
      ["policy.listed takes an inventory"] = { policy.listed, {} },
      ["policy.listed: state the key"] = { policy.listed, devices },
      ["policy.listed: ${principal.nam}: request.principal has no 'nam'"] =
        { policy.listed, devices, "${principal.nam}" },
      ["policy.listed: there is no 'stat', did you mean 'state'?"] =
        { policy.listed, devices, "${principal.name}", { stat = "x" } },
      ["policy.listed: state: a value"] =
        { policy.listed, devices, "${principal.name}", { state = {} } },
    } do
      local ok, problem = pcall(table.unpack(call))
      assert.is_false(ok)
      assert.truthy(problem:find(expected, 1, true), problem)
    end
  end)
end)

describe("policy.sqlite", function()
  local folder, path
  local QUERY <const> = "SELECT host, state FROM devices WHERE name = :key"

  local function sql(text, where) process.must { "sqlite3", where or path, text } end

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/devices.db"
    sql [[CREATE TABLE devices (name TEXT, host TEXT, state TEXT);
      INSERT INTO devices VALUES ('ann', 'h-1', 'new'), ('two', 'h-2', ''), ('two', 'h-3', '')]]
  end)
  after_each(temporary.clean)

  it("is asked by policy.listed, and gives its facts to names", function()
    local listed = policy.listed(policy.sqlite(path, QUERY), "${principal.name}",
      { state = "new" })
    assert.same({ true, false }, { ask(listed, "ann"), ask(listed, "ben") })
    sql "INSERT INTO devices VALUES ('ben', 'h-9', 'new')"
    local rule = policy.names { row = listed, CN = "x-${row.host}" }
    assert.same({ { "CN", "x-h-9" } }, rule(request_of "ben").subject)
  end)

  it("finds a number however the table has it, so that a list of what is refused holds", function()
    local query = "SELECT state AS blocked FROM devices WHERE name = :key"
    for written, others in pairs { ["1"] = { 1, 1.0, "1", { 0, 1 } }, ["1.0"] = { 1, "1" },
      ["'1'"] = { 1, "1" }, ["'1.0'"] = { 1, "1.0" }, ["1.5"] = { 1.5, "1.5" },
      ["'yes'"] = { "yes" } } do
      sql("DROP TABLE devices; CREATE TABLE devices (name TEXT, state);"
        .. ("INSERT INTO devices VALUES ('ann', %s), ('ben', 2), ('dan', 'x')"):format(written))
      for _, blocked in ipairs(others) do
        local listed = policy.listed(policy.sqlite(path, query), "${principal.name}",
          { blocked = blocked })
        assert.same({ true, false, false }, { ask(listed, "ann"), ask(listed, "ben"),
          ask(listed, "dan") }, written)
      end
    end
    for _, text in ipairs { "01", "1 ", "0x1", "one", "" } do
      sql(("UPDATE devices SET state = '%s' WHERE name = 'ann'"):format(text))
      local listed = policy.listed(policy.sqlite(path, query), "${principal.name}",
        { blocked = "1" })
      assert.is_false(ask(listed, "ann"), text)
    end
    local devices = policy.sqlite(path, query)
    for problem, value in pairs { ["a table has no true or false"] = true, ["not a table"] = { {} },
      ["not a function"] = print, ["a text or a number"] = 0 / 0 } do
      assert.error_matches(function()
        policy.listed(devices, "${principal.name}", { blocked = value })
      end, "policy.listed: blocked: .*" .. problem)
    end
  end)

  it("follows a file that is replaced, and is an outage where none is right", function()
    local listed = policy.listed(policy.sqlite(path, QUERY), "${principal.name}")
    sql("CREATE TABLE devices (name, host, state); INSERT INTO devices VALUES ('cat', 'h', '')",
      folder .. "/next.db")
    assert(os.rename(folder .. "/next.db", path))
    assert.same({ false, true }, { ask(listed, "ann"), ask(listed, "cat") })
    for _, text in ipairs { "ALTER TABLE devices RENAME host TO hosts", "DROP TABLE devices" } do
      sql(text)
      assert.equal("unavailable", (ask(listed, "cat")))
    end
    os.remove(path)
    local verdict, detail = ask(listed, "cat")
    assert.equal("unavailable", verdict)
    assert.matches("devices.db cannot be found", detail)
  end)

  it("is an outage where there are two rows, or a value that is no text", function()
    local listed = policy.listed(policy.sqlite(path, QUERY), "${principal.name}")
    local verdict, detail = ask(listed, "two")
    assert.equal("unavailable", verdict)
    assert.matches("more than one row", detail)
    sql "INSERT INTO devices VALUES ('odd', x'ff', '')"
    verdict, detail = ask(listed, "odd")
    assert.equal("unavailable", verdict)
    assert.matches("'host' is no text", detail)
  end)

  it("waits for a writer, and lets others have their turns", function()
    local listed = policy.listed(policy.sqlite(path, QUERY), "${principal.name}")
    local lest = require "lest"
    local open = core.lookup.open
    local asked = 0
    -- One that is locked until it was asked five times.
    core.lookup.open = function(...) -- luacheck: ignore 122
      local real = assert(open(...))
      return { columns = function() return real:columns() end, close = function() real:close() end,
        ask = function(_, ...)
          asked = asked + 1
          if asked < 5 then
            return nil, core.error.new { code = "ledger_busy", message = "locked" }
          end
          return real:ask(...)
        end }
    end
    local other = policy.listed(policy.sqlite(path, QUERY), "${principal.name}")
    core.lookup.open = open -- luacheck: ignore 122
    local holds
    lest.run(function() holds = ask(other, "ann") end)
    assert.same({ true, 5, true }, { holds, asked, ask(listed, "ann") })
  end)

  it("tells a mistake with its line", function()
    for expected, query in pairs {
      ["one parameter"] = "SELECT host FROM devices",
      ["no such column: hots"] = "SELECT hots FROM devices WHERE name = :key",
      ["'count(*)' is no name of a column"] = "SELECT count(*) FROM devices WHERE name = :key",
      ["'host' is no name of a column: write SELECT ... AS name, each once"] =
        "SELECT host, host FROM devices WHERE name = :key",
    } do
      local ok, problem = pcall(policy.sqlite, path, query)
      assert.is_false(ok)
      assert.truthy(problem:find("devices.db: ", 1, true), problem)
      assert.truthy(problem:find(expected, 1, true), problem)
    end
    assert.error_matches(function() policy.sqlite(path) end, "the query is a text, not nil")
  end)
end)

describe("policy.http", function()
  local server

  before_each(function() server = raw_server.start { plain = true } end)
  after_each(function() server:stop() end)

  local function answer(status, body) server:answer(raw_server.http(status, {}, body)) end

  it("takes a JSON object for a row, and 404 for none", function()
    local devices = policy.http { url = server.url .. "/devices/${key}?of=${label}" }
    local listed = policy.listed(devices, "${principal.name}")
    answer(200, '{ "host": "h-1", "slot": 7 }')
    local rule = policy.names { row = listed, CN = "${row.host}-${row.slot}" }
    local verdict = decision.run(rule, request_of "a/b c", LIMITS)
    assert.same({ { "CN", "h-1-7" } }, verdict.subject, verdict.detail)
    assert.equal("/devices/a%2Fb%20c?of=default", server:request().target)
    for _, status in ipairs { 404, 410 } do
      answer(status, "")
      assert.is_false(ask(listed, "ann"))
      server:request()
    end
  end)

  it("is an outage with any other answer", function()
    local listed = policy.listed(policy.http { url = server.url .. "/${key}" },
      "${principal.name}")
    for _, each in ipairs { { 500, "{}" }, { 302, "" }, { 204, "" }, { 200, "no" }, { 200, "[1]" },
      { 200, "[]" }, { 200, " [ ]" }, { 200, "[null]" }, { 200, "5" },
      { 200, ("x"):rep(70000) } } do
      answer(each[1], each[2])
      assert.equal("unavailable", (ask(listed, "ann")))
      server:request()
    end
    logged = {}
    answer(500, "")
    ask(listed, "ann")
    server:request()
    answer(500, "")
    ask(listed, "ann")
    server:request()
    assert.equal("inventory away: it answers 500", logged[1])
    answer(404, "")
    ask(listed, "ann")
    assert.equal("inventory back: " .. server.url .. "/${key}", logged[2])
    assert.equal(2, #logged)
  end)

  it("is noted as any question over HTTP, also where the answer was kept", function()
    local listed = policy.listed(policy.http { url = server.url .. "/${key}", cache = "30s" },
      "${principal.name}")
    answer(200, '{ "host": "h-1" }')
    for _ = 1, 2 do
      local journal = journals.new()
      assert.is_true(decision.run(policy.when(listed, policy.reject "x"), request_of "ann",
        { seconds = 5, memory = LIMITS.memory, journal = journal }).reason == "x")
      local calls = journals.calls(journal)
      assert.same({ 1, "http", "GET " .. server.url .. "/ann", 200 },
        { #calls, calls[1].kind, calls[1].question, calls[1].status })
    end
  end)

  it("is an outage where nobody answers", function()
    local listed = policy.listed(policy.http { url = "http://127.0.0.1:1/${key}" },
      "${principal.name}")
    assert.equal("unavailable", (ask(listed, "ann")))
  end)

  it("keeps an answer for as long as it may, and no longer", function()
    local listed = policy.listed(policy.http { url = server.url .. "/${key}", cache = "30s" },
      "${principal.name}")
    answer(200, "{}")
    assert.is_true(ask(listed, "ann"))
    server:request()
    assert.is_true(ask(listed, "ann")) -- nobody answers twice
    local now = core.clock.monotonic_ms
    core.clock.monotonic_ms = function() return now() + 30000 end
    local ok, problem = pcall(function()
      answer(500, "")
      assert.equal("unavailable", (ask(listed, "ann")))
      server:request()
    end)
    core.clock.monotonic_ms = now
    assert(ok, problem)
  end)

  it("has the facts that it names, and no others", function()
    local devices = policy.http { url = server.url .. "/${key}", facts = { "host", "site" } }
    answer(200, '{ "host": "h-1", "secret": "x" }')
    local row = devices:row "ann"
    assert.same({ "h-1" }, { row.host, row.site })
    assert.error_matches(function() return row.secret end, "has no field 'secret'")
  end)

  it("refuses a part that would lead elsewhere", function()
    local listed = policy.listed(policy.http { url = server.url .. "/${key}/x" },
      "${principal.name}")
    for _, name in ipairs { ".", "..", "", "a\nb" } do
      assert.equal("reject", (ask(listed, name)))
    end
    for url, expected in pairs {
      ["https://${label}.example/x"] = "behind the host only",
      ["${label}"] = "behind the host only", ["https://example${label}/x"] = "behind the host only",
      ["ftp://example/x"] = "its scheme is not https", ["x"] = "does not begin with https",
      ["https://example/${no}"] = "request has no 'no'",
    } do
      local ok, problem = pcall(policy.http, { url = url })
      assert.is_false(ok)
      assert.truthy(problem:find(expected, 1, true), problem)
    end
    assert.error_matches(function() policy.listed(policy.http { url = "https://a/${label}" }, "x")
      end, "has no %${key}")
  end)
end)
