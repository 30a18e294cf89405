-- lest fleet: small fleets over simulated months, against a server that it starts by their clock.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"

local DAY <const> = 86400

describe("lest fleet", function()
  local folder

  setup(function() folder = process.folder() end)

  local function write(text)
    process.must { "chmod", "755", folder }
    process.write(folder .. "/fleet.lua", text)
    return folder .. "/fleet.lua"
  end

  local function run(text, ...)
    return process.run { process.lest, "fleet", write(text), "--out", folder .. "/out", ... }
  end

  local function simulate(text)
    local code, out, err = run(text, "--json")
    assert.equal("", err)
    return cjson.decode(out), code
  end

  --- Columns of the CSV, by their names.
  local function columns()
    local rows, names = {}, nil
    for line in io.lines(folder .. "/out/hours.csv") do
      local words = {}
      for word in line:gmatch "[^,]+" do words[#words + 1] = word end
      if not names then
        names = words
      else
        for i, name in ipairs(names) do
          rows[name] = rows[name] or {}
          table.insert(rows[name], tonumber(words[i]) or words[i])
        end
      end
    end
    return rows
  end

  local function sum(list)
    local all = 0
    for _, each in ipairs(list) do all = all + each end
    return all
  end

  describe("over half a year, with an outage and the ill among the devices", function()
    local figures, code, ledger

    setup(function()
      figures, code = simulate [[ return {
        devices = 16, duration = "180d", arrival = "20d", name = "dev",
        device = { anchors_every = "60d" },
        groups = {
          { share = 0.13, away = "45d", every = "80d" },
          { share = 0.13, power = 0.5 },
          { share = 0.07, hammer = "10d" },
          { share = 0.07, wrong_secret = "30d" },
          { share = 0.07, broken_csr = "30d" },
        },
        events = {
          { at = "90d", outage = "10d" },
          { at = "120d", name = "by hand", run = { "lest", "cert", "list", "--json", "--config",
            "{server}/server.lua" } },
        },
      } ]]
      ledger = assert(core.ledger.open(folder .. "/out/server/ledger/ledger.db",
        { create = false }))
    end)
    teardown(function() ledger:close() end)

    it("loses nobody, and says what there was", function()
      assert.equal(0, code)
      assert.equal(0, figures.lost)
      assert.equal(16, figures.counts.first)
      assert.equal(16, figures.states.valid + figures.states.away)
      assert.is_true(figures.counts.renewed > 2 * 14, figures.counts.renewed)
      assert.equal(180 * DAY, figures.to - figures.from)
      assert.is_true(figures.latency_ms.p50 > 0 and figures.server_cpu_s > 0)
      assert.is_true(figures.counts.power_cuts > 0)
    end)

    it("has the server stand still in the outage, and renew what was due after it", function()
      local times, hours = columns(), 24
      for hour = 91 * hours, 100 * hours - 1 do
        assert.equal(0, times.renewed[hour] + times.first[hour], times.time[hour])
      end
      assert.is_true(sum(table.move(times.renewed, 100 * hours, 140 * hours, 1, {})) > 0)
      assert.is_true(figures.errors.network > 0)
      assert.equal(10 * DAY, figures.outages[1].seconds)
    end)

    it("has what is ill refused, each time", function()
      assert.is_true(figures.errors["refused: unauthenticated"] >= 5)
      local other = 0
      for name, count in pairs(figures.errors) do
        if name:find "^refused" then other = other + count end
      end
      assert.equal(figures.counts.refused, other)
      assert.is_true(other >= 10, other)
    end)

    it("counts what the server's ledger has, but for what no device has seen", function()
      local rows = {}
      for _, row in ipairs(assert(ledger:rows("certificate_list", { limit = 1000 }))) do
        if row.principal_kind ~= "server" then table.insert(rows, row) end -- nor its own
      end
      assert.is_true(#rows >= figures.issued, #rows)
      -- A power cut may come when a certificate is under way; it is fetched again with its key.
      assert.is_true(#rows <= figures.issued + figures.counts.power_cuts, #rows)
      local last = 0
      for _, row in ipairs(rows) do last = math.max(last, row.issued_at) end
      assert.is_true(last > figures.from + 120 * DAY)
    end)

    it("writes every hour, and a picture", function()
      local times = columns()
      assert.equal(180 * 24, #times.time)
      assert.equal(figures.counts.first, sum(times.first))
      assert.equal(figures.counts.renewed, sum(times.renewed))
      assert.equal(16, times.enrolled[#times.enrolled])
      local svg = process.read(folder .. "/out/fleet.svg")
      assert.is_truthy(svg:find "^<svg .*</svg>\n$")
      assert.is_truthy(svg:find("outage, 10d", 1, true))
      assert.is_truthy(svg:find("by hand", 1, true))
      assert.is_nil(svg:find "script")
    end)
  end)

  it("ends with 1 where devices are lost, and says so", function()
    local figures, code = simulate [[ return { devices = 3, duration = "115d", arrival = "1d",
      device = { fallbacks = { "operator" }, anchors_every = "60d" },
      events = { { at = "50d", outage = "60d" } } } ]]
    assert.equal(1, code)
    assert.equal(3, figures.lost)
    assert.equal(3, figures.states.expired)
  end)

  it("brings back by bootstrap who was away for too long", function()
    local code, out = run [[ return { devices = 3, duration = "115d", arrival = "1d",
      device = { anchors_every = "60d" }, events = { { at = "50d", outage = "60d" } } } ]]
    assert.equal(0, code)
    assert.matches("lost +0 ", out)
    assert.matches("3 too late %(0 by the expired one, 3 by bootstrap%)", out)
    assert.matches("expired +3 devices", out)
  end)

  it("runs the example, with a few devices", function()
    local out = process.must { process.lest, "fleet", "examples/fleet.lua", "--devices", "5",
      "--out", folder .. "/out" }
    assert.matches("devices +5: 5 valid at the end", out)
    assert.matches("lost +0 ", out)
    assert.matches("outage +14d from", out)
  end)

  it("puts a load on in real time, and tells percentiles", function()
    local code, out = run("return { devices = 8, concurrency = 4, load = { renewals = 1 } }",
      "--json")
    assert.equal(0, code)
    local rounds = cjson.decode(out).rounds
    assert.same({ "enroll", "renew" }, { rounds[1].name, rounds[2].name })
    for _, round in ipairs(rounds) do
      assert.equal(8, round.count)
      assert.equal(0, round.failed)
      assert.is_true(round.latency_ms.p50 <= round.latency_ms.max)
    end
  end)

  it("ends where an event fails, with its reason", function()
    local code, _, err = run [[ return { devices = 1, duration = "10d",
      events = { { at = "1d", run = { "lest", "cert", "revoke", "nothing" } } } } ]]
    assert.equal(1, code)
    assert.matches("cert revoke nothing: failed (2)", err, 1, true)
  end)

  it("says what is wrong with a file, with its line", function()
    local function wrong(text, ...)
      local code, _, err = run(text, "--check")
      assert.equal(2, code)
      for _, words in ipairs { ... } do assert.matches(words, err, 1, true) end
    end
    wrong("return { devices = 3, duraton = '1y' }", "did you mean 'duration'?")
    wrong("return { devices = 3 }", "duration: is missing")
    wrong("return {\n devices = 3, duration = '1y',\n device = { renew_att = 0.5 } }",
      "device.renew_att: unknown, did you mean 'renew_at'?")
    wrong("return { devices = 3, duration = '1y', device = { url = 'x' } }",
      "device.url: is each device's own")
    wrong("return { devices = 3, duration = '1y', device = { hooks = { { command = 'x' } } } }",
      "device.hooks: is nothing for a device that is simulated")
    wrong("return { devices = 3, duration = '1y', groups = { { share = 0.1 } } }",
      "groups[1]: needs one of away, power")
    wrong("return { devices = 3, duration = '1y', groups = { { share = 0.1, away = '2d' } } }",
      "'away' and 'every' go together")
    wrong("return { devices = 3, duration = '1y', groups = { { share = 2, power = 1 } } }",
      "is no share from 0 to 1")
    wrong("return { devices = 3, duration = '1d', events = { { at = '2d', outage = '1d' } } }",
      "events[1].at: ends after the whole")
    wrong("return { devices = 3, duration = '1y', events = { { at = '2d' } } }",
      "needs one of 'outage' and 'run'")
    wrong("return { devices = 3, duration = '1y', url = 'https://x', trust = 'y', secrets = 'z' }",
      "must go by the fleet's clock")
    wrong("return { devices = 3, load = {}, groups = {} }", "which is in real time")
    assert.equal(0, (run("return { devices = 3, duration = '1y' }", "--check")))
  end)
end)
