-- lest explain and lest log, from a ledger alone: what they find, that they read rows of any age
-- and any content, and that no hostile text reaches a terminal.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

local STEPS <const> = '[[0,"rule","first at p.lua:3","approve",1812],'
  .. '[1,"test","address at p.lua:4","no",3,"192.0.2.7"],{"more":12}]'
local OUTSIDE <const> = '[{"kind":"http","question":"GET https://inventory/d?... (0f3c)",'
  .. '"sha256":"ab","status":200,"answer":{"status":200,"body":"{}"},"us":5120},'
  .. '{"kind":"csv","question":"42","is_nothing":true,"us":7},'
  .. '{"kind":"http","question":"GET https://gone/","err":{"code":"network","message":"away"},'
  .. '"us":9}]'

describe("a ledger", function()
  local folder, path, ledger

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
    ledger = assert(core.ledger.open(path))
  end)
  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function add(changes)
    assert(ledger:run("request_add", rows.request(changes)))
  end

  local function refuse(changes)
    local row = { id = "e1", time_us = 3000000000, operation = "simpleenroll", label = "default",
      address = "192.0.2.9", status = 401, reason = "the credentials are not accepted",
      left_out = 0 }
    for key, value in pairs(changes) do row[key] = value end
    assert(ledger:run("refusal_add", row))
  end

  local function lest(command, ...)
    return shell.lest(command, "--ledger", path, ...)
  end

  local function explain(...)
    local result = lest("explain", ...)
    assert.equal(0, result.code, result.err)
    assert.equal("", result.err)
    return result.out
  end

  local function explained(...)
    return cjson.decode(explain("--json", ...))
  end

  local function add_pump(changes)
    local row = { id = "aaaa-1", principal_kind = "basic", principal_name = "pump",
      principal = '{"name":"pump"}', address = "192.0.2.7", label = "plant",
      tls = '{"version":"TLSv1.3"}', verdict = "error", detail = "no such profile\nstack",
      policy_file = "/etc/lest/p.lua", policy_hash = ("0f"):rep(32), duration_us = 7000,
      rule = "mine", asked_at = 1000, stated = '{"subject":[["CN","a"],["O","b"]],"lifetime":90}',
      trace = STEPS, outside = OUTSIDE, profile = "device" }
    for key, value in pairs(changes or {}) do row[key] = value end
    add(row)
  end

  it("is explained by an id: steps, outside, verdict, and what became of it", function()
    add_pump()
    local out = explain "aaaa-1"
    for _, line in ipairs { "request           aaaa-1", "asked             simpleenroll, label "
      .. "plant, from 192.0.2.7, TLSv1.3", "proven            basic pump",
      "policy            /etc/lest/p.lua (0f0f0f0f0f0f), 7.0 ms",
      "its time          1970-01-01 00:16:40 UTC",
      "     1.8 ms  approve      first at p.lua:3",
      "       3 us  no             ? address at p.lua:4: 192.0.2.7", "  ... 12 more",
      "     5.1 ms  http 200     GET https://inventory/d?... (0f3c)",
      (" "):rep(26) .. "{}", "       7 us  csv          42", (" "):rep(26) .. "nothing",
      (" "):rep(26) .. "network: away",
      "verdict           approve by mine: CN=a,O=b, lifetime 90",
      "profile           device: error, no such profile", "ended             error",
      "detail            no such profile" } do
      assert.is_truthy(("\n" .. out):find("\n" .. line .. "\n", 1, true), line)
    end
    assert.not_matches("stack", out)
    local found = explained "aaaa"
    assert.equal("192.0.2.7", found.request.steps[2].saw)
    assert.equal(12, found.request.steps_left_out)
    assert.equal("{}", found.request.outside[1].answer.body)
    assert.same({ "approve", "mine" }, { found.request.policy.verdict, found.request.policy.rule })
  end)

  it("is explained by a serial number, and how that begins", function()
    local serial = ("0a1b2c"):rep(5) .. "0a"
    add_pump { verdict = "approve", serial = serial }
    assert(ledger:run("certificate_add", rows.certificate { serial = serial, request_id = "aaaa-1",
      subject = "CN=pump" }))
    for _, what in ipairs { serial, "0A:1B:2C", "0a1b" } do
      local out = explain(what)
      assert.matches("\nprofile           device: granted\n", out)
      assert.matches("\ncertificate       " .. serial .. ", expired\n +CN=pump\n", out)
    end
  end)

  it("is explained by its serial number also where a stranger calls himself so", function()
    local serial = ("0a1b2c"):rep(5) .. "0a"
    add_pump { verdict = "approve", serial = serial }
    assert(ledger:run("certificate_add", rows.certificate { serial = serial, request_id = "aaaa-1",
      subject = "CN=pump" }))
    refuse { id = "e-1", claimed = serial }
    refuse { id = "e-2", claimed = "0a1b" }
    assert.equal("aaaa-1", explained(serial).request.id)
    assert.equal("e-2", explained("0a1b").request.id)
  end)

  it("is explained by a name: its last refusals, also those that no policy saw", function()
    for i = 1, 8 do
      add_pump { id = "r-" .. i, time_us = i * 1000000, verdict = ({ "reject", "unavailable",
        "error", "approve" })[i % 4 + 1], reason = "reason " .. i }
    end
    refuse { id = "e-1", claimed = "pump", time_us = 5500000, detail = "the secret is wrong",
      certificate = "0b", subject = "CN=x" }
    refuse { id = "e-2", claimed = "other", time_us = 9000000 }
    local found = explained "pump"
    local ids = {}
    for i, each in ipairs(found.refusals) do ids[i] = each.id end
    assert.same({ "r-8", "r-6", "e-1", "r-5", "r-4" }, ids)
    assert.equal("r-8", found.request.id)
    assert.equal(2, #explained("--limit", "2", "pump").refusals)
    local out = explain "other"
    assert.matches("refused early +other +e%-2", out)
    assert.matches("\npolicy            was not asked\n", out)
    assert.matches("\nended             401 refused early\n", out)
    out = explain "e-1"
    assert.matches("\nclaimed           pump by certificate 0b\n", out)
    assert.matches("\ndetail            the secret is wrong\n", out)
    assert.equal("r-8", explained("pum").request.id)
    add { id = "g-1", principal_kind = "certificate", principal_name = "own:CN=gate",
      device = "own:CN=gate" }
    assert.matches("^gate: nothing was refused; its last decision is\n", explain "gate")
  end)

  it("is explained by a name whose certificates were refused early", function()
    local serial = ("0a1b2c"):rep(5) .. "0a"
    add_pump { id = "r-1", time_us = 1000000, verdict = "approve", serial = serial }
    assert(ledger:run("certificate_add", rows.certificate { serial = serial, request_id = "r-1",
      subject = "" }))
    for i, claims in ipairs { { claimed = "CN=pumpkin,O=x" }, { claimed = "O=x,CN=pump" },
      { claimed = "OU=y\\,CN=pump" }, { device = "own:CN=pump" }, { subject = "CN=pump,O=x" },
      { claimed = "", certificate = serial }, { claimed = "", certificate = serial .. "0a" },
      { principal = "vendor:CN=pump,O=x" }, { claimed = "CN=x" } } do
      claims.id, claims.time_us = "e-" .. i, (i + 1) * 1000000
      refuse(claims)
    end
    local function ids(...)
      local list = {}
      for i, each in ipairs(explained(...).refusals) do list[i] = each.id end
      return list
    end
    assert.same({ "e-8", "e-6", "e-5", "e-4", "e-2" }, ids("--limit", "9", "pump"))
    assert.same({ "e-8", "e-6" }, ids("--limit", "2", "pump"))
    assert.equal("e-8", explained("pump").request.id)
    assert.matches("refused early +vendor:CN=pump,O=x +e%-8 ", explain "pump")
    -- One of a policy is beside them, by whatever way its name stands there.
    add { id = "g-1", time_us = 90000000, principal_kind = "certificate", verdict = "reject",
      principal_name = "own:CN=gate", device = "own:CN=gate" }
    refuse { id = "g-2", time_us = 80000000, claimed = "CN=gate" }
    assert.same({ "g-1", "g-2" }, ids "gate")
    for i = 1, 600 do refuse { id = "x-" .. i, claimed = "other", time_us = 99000000 + i } end
    assert.same({ "g-1", "g-2" }, ids "gate")
  end)

  it("says what it does not have, and what is ambiguous", function()
    add_pump()
    add_pump { id = "aaaa-2" }
    local result = lest("explain", "nobody")
    assert.same({ 1, "lest explain: there is no request, certificate or name 'nobody' (a request "
      .. "that was refused in the last seconds may not be written yet)\n" },
      { result.code, result.err })
    result = lest("explain", "aaaa-")
    assert.equal(2, result.code)
    assert.matches("several requests begin with 'aaaa%-'", result.err)
    for _, what in ipairs { "\xff", "" } do assert.equal(1, lest("explain", what).code) end
    assert.equal(2, lest("explain", "--limit", "0", "x").code)
  end)

  it("is explained whatever time a worker said that it was", function()
    add_pump { asked_at = math.maxinteger }
    assert.is_truthy(explain "aaaa-1":find(math.maxinteger .. " s after 1970", 1, true))
  end)

  it("of an older schema or with broken rows is explained as far as it goes", function()
    add { id = "old-1", policy_file = "p.lua", verdict = "reject", reason = "no" }
    assert.matches("\nsteps             none were recorded\n", explain "old-1")
    assert.matches("\nverdict           reject\n", explain "old-1")
    for i, broken in ipairs { "", "{}", "[", "[[[]]]", '[[{},[],{},5,"x",{}]]', '{"a":1}', "null",
      "[1]", '[{"operator":[],"note":5}]',
      '[{"kind":{},"answer":[[]],"err":"x"}]', '"x"', "\xf0\x9f\x98\x80",
      ("["):rep(64) .. ("]"):rep(64), '{"a":' .. ("["):rep(60) .. ("]"):rep(60) .. "}",
      '[{"kind":"csv","answer":' .. ("["):rep(60) .. ("]"):rep(60) .. "}]" } do
      add_pump { id = "b-" .. i, trace = broken, outside = broken, stated = broken,
        principal = broken, tls = broken, headers = broken, approvals = broken, csr = broken }
      assert.matches("request           b%-" .. i, explain("b-" .. i))
      assert.equal("b-" .. i, explained("b-" .. i).request.id)
    end
    add { id = "n-1" }
    assert.matches("\npolicy            is not recorded\n", explain "n-1")
  end)

  it("sends a terminal no sequence, whatever stands in it", function()
    local evil = "\27[2J\u{202e}\u{9b}x\rz\n"
    local quoted = '"\\u001b[2J\\u202e\\u009bx\\rz\\n"'
    add_pump { id = "evil-1", principal_name = evil, address = evil, label = evil, reason = evil,
      detail = evil, policy_file = evil, rule = evil, profile = evil, previous = evil,
      device = evil, tls = ('{"version":%s,"cipher":%s}'):format(quoted, quoted),
      approvals = ('[{"operator":%s,"note":%s}]'):format(quoted, quoted),
      principal = ('{"anchors":%s}'):format(quoted), credential_id = evil,
      trace = ('[[0,"rule",%s,%s,1,%s]]'):format(quoted, quoted, quoted),
      outside = ('[{"kind":%s,"question":%s,"answer":{"body":%s},"us":1},'
        .. '{"kind":"csv","question":"q","answer":%s,"us":1},'
        .. '{"kind":"csv","question":"q","err":{"code":%s,"message":%s},"us":1}]'):gsub("%%s",
        function() return quoted end),
      stated = ('{"subject":[[%s,%s]],"san":[%s],"profile":%s}'):gsub("%%s",
        function() return quoted end) }
    refuse { id = "evil-2", claimed = evil, certificate = evil, subject = evil, reason = evil,
      detail = evil, address = evil, principal = evil }
    for _, words in ipairs { { "explain", "evil-1" }, { "explain", "evil-2" }, { "explain", evil },
      { "explain", "evil-1", "--json" }, { "log" }, { "log", "--wide" }, { "log", "--json" } } do
      local result = lest(table.unpack(words))
      local text = result.out .. result.err
      assert.is_true(#text > 0)
      assert.is_nil(text:find "[\0-\9\11-\31\127]")
      assert.is_nil(text:find "\u{202e}")
      assert.is_nil(text:find "\u{9b}")
    end
  end)

  it("is shown as a log, the newest last, in pages", function()
    for i = 1, 1203 do
      add { id = ("i-%04d"):format(i), time_us = i * 1000000, principal_name = "p" .. i % 2,
        label = i % 3 == 0 and "plant" or "default", verdict = i % 100 == 0 and "reject"
        or "approve", rule = "mine", reason = i % 100 == 0 and "no" or nil }
    end
    local function ids(...)
      local list = {}
      for i, row in ipairs(cjson.decode(lest("log", "--json", ...).out)) do list[i] = row.id end
      return #list, list[1], list[#list]
    end
    assert.same({ 100, "i-1104", "i-1203" }, { ids() })
    assert.same({ 1203, "i-0001", "i-1203" }, { ids("--limit", "all") })
    assert.same({ 700, "i-0504", "i-1203" }, { ids("--limit", "700") })
    assert.same({ 12, "i-0100", "i-1200" }, { ids("--verdict", "reject") })
    assert.same({ 2, "i-1100", "i-1200" }, { ids("--verdict", "reject", "--limit", "2") })
    assert.same({ 3, "i-1195", "i-1201" }, { ids("--label", "default", "--limit", "3",
      "--principal", "p1", "--until", "1970-01-01 00:20:02") })
    assert.same({ 4, "i-0010", "i-0013" }, { ids("--since", "1970-01-01 00:00:10", "--until",
      "1970-01-01 00:00:14") })
    local result = lest("log", "--limit", "4")
    assert.matches("^TIME %(UTC%) +VERDICT  DEVICE  ID +WHY\n[^\n]+reject +p0 +i%-1200  mine: no\n"
      .. "[^\n]+p1 +i%-1201  mine\n", result.out)
    assert.equal("lest log: the newest 4; --limit gives more\n", result.err)
    assert.equal(2, lest("log", "--follow", "--until", "1d").code)
  end)

  it("is followed as it grows", function()
    add { id = "f-1" }
    local out, err = folder .. "/out", folder .. "/err"
    local pid = process.start({ process.lest, "log", "--ledger", path, "--follow", "--json",
      "--verdict", "reject" }, out, err)
    local function wait_for(count)
      process.wait_for(function()
        return select(2, process.read(out):gsub("\n", "")) == count
      end, count .. " lines")
    end
    for i = 2, 7 do add { id = "f-" .. i, verdict = i % 2 == 0 and "approve" or "reject" } end
    wait_for(3)
    add { id = "f-8" }
    add { id = "f-9", verdict = "reject" }
    wait_for(4)
    process.kill(pid)
    local ids = {}
    for line in process.read(out):gmatch "[^\n]+" do ids[#ids + 1] = cjson.decode(line).id end
    assert.same({ "f-3", "f-5", "f-7", "f-9" }, ids)
    assert.equal("", process.read(err))
  end)
end)
