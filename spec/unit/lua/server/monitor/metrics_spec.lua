-- What the monitor tells of a board on which rows stand for nothing, and in which words.
local exposition = require "lest.base.exposition"
local core = require "lest.core"
local metrics = require "lest.server.monitor.metrics"
local names = core.meter.names

describe("Prometheus' text format", function()
  it("escapes the value of a label", function()
    assert.equal([[{a="x\"y\\z\nw",b=""}]], exposition.labels { "a", 'x"y\\z\nw', "b", "" })
    assert.equal("", exposition.labels {})
    assert.equal([[{a="Köln ?"}]], exposition.labels { "a", "Köln ?" })
    assert.equal([[{a="??\"?"}]], exposition.labels { "a", '\xff\xfe"\0' })
  end)

  it("writes whole numbers as such, and others so that they are read as they were", function()
    local text = exposition.new()
    for _, value in ipairs { 0, 3, 3.0, 0.25, 1e300, 2.0 ^ 53, math.maxinteger } do
      text:sample("x", {}, value)
    end
    assert.equal("x 0\nx 3\nx 3\nx 0.25\nx 1e+300\nx 9007199254740992\nx 9223372036854775807\n",
      text:get())
  end)
end)

describe("/metrics", function()
  --- What is told of these rows of the sections supervisor, authority, monitor, control, backend,
  --- worker 1, worker 2.
  local function told(sections)
    local read = core.meter.read
    finally(function() core.meter.read = read end) -- luacheck: ignore 122
    core.meter.read = function(section) -- luacheck: ignore 122
      if section > 6 then return end
      return sections[section] or {}, 0
    end
    local text = metrics.write { board = require("lest.server.monitor.board").read(),
      labels = { "default", "factory" }, cas = { "", "far" },
      periods = {}, health = { ready = true } }
    local samples = {}
    for line in text:gmatch "[^\n]+" do
      local name, value = line:match "^([^#].*) (%S+)$"
      if name then samples[name] = value end
    end
    return samples, text
  end

  it("adds what the workers counted", function()
    local row = { names.requests, 2, 200, 5, 1, 5 }
    local samples = told { [5] = { row }, [6] = { row, { names.connections, 0, 0, 0, 0, 7 } } }
    assert.equal("10", samples['lest_requests_total{label="factory",status="200",'
      .. 'operation="simpleenroll",verdict="approve"}'])
    assert.equal("7", samples.lest_connections)
  end)

  it("names the CAs elsewhere", function()
    local samples = told { [1] = { { names.orders, 2, 0, 0, 0, 3 }, { names.orders, 3, 0, 0, 0, 9 },
      { names.backend, 0, 0, 0, 0, 1 } } }
    assert.equal("3", samples['lest_orders_open{ca="far"}'])
    assert.equal("1", samples.lest_backend_up)
    samples = told { [4] = { { names.ca_up, 2, 0, 0, 0, 1 }, { names.ca_up, 3, 0, 0, 0, 1 } } }
    assert.equal("1", samples['lest_ca_up{ca="far"}'])
    samples = told { [1] = { { names.keys_age_s, 2, 0, 0, 0, 70 } } }
    assert.equal("70", samples['lest_token_keys_age_seconds{label="factory"}'])
  end)

  it("has the counters whose labels are known before there is anything to count", function()
    local samples = told {}
    for _, name in ipairs { "lest_connections_accepted_total", "lest_log_lines_dropped_total",
      'lest_connections_turned_away_total{reason="address"}',
      'lest_connections_turned_away_total{reason="displaced"}',
      'lest_connections_turned_away_total{reason="failed"}',
      'lest_connections_turned_away_total{reason="proxy"}',
      'lest_handshakes_total{result="ok",version="TLSv1.3"}',
      'lest_handshakes_total{result="failed",version=""}',
      'lest_process_restarts_total{process="authority"}',
      'lest_process_restarts_total{process="monitor"}',
      'lest_process_restarts_total{process="worker 2"}' } do
      assert.equal("0", samples[name], name)
    end
    assert.is_nil(samples['lest_process_restarts_total{process="supervisor"}'])
    samples = told { [0] = { { names.restarts, 5, 0, 0, 0, 2 } } }
    assert.equal("2", samples['lest_process_restarts_total{process="worker 1"}'])
  end)

  it("leaves out rows that stand for nothing", function()
    local _, before = told {}
    local nonsense = {}
    for _, name in pairs(names) do
      for place = 1, 4 do
        local row = { name, 0, 0, 0, 0, 1 }
        row[place + 1] = place == 4 and 255 or 65535
        table.insert(nonsense, row)
      end
    end
    -- Of what an authority shows, a worker says nothing; nor the other way round.
    for name in pairs { held = 1, ledger_bytes = 1, certificates = 1, restarts = 1 } do
      table.insert(nonsense, { names[name], 0, 0, 0, 0, 1 })
    end
    assert.equal(before, select(2, told { [5] = nonsense }))
    assert.equal(before, select(2, told { [1] = { { names.requests, 0, 200, 0, 0, 1 },
      { names.handshakes, 0, 0, 0, 0, 1 } } }))
  end)

  it("makes the buckets of a duration grow, with a last one for all", function()
    local last = #core.meter.buckets_us
    local samples = told { [5] = { { names.duration, 1, 0, 0, 0, 4 },
      { names.duration, 1, last, 0, 0, 2 }, { names.duration_us, 1, 0, 0, 0, 1500000 } } }
    local name = "lest_request_duration_seconds_%s{operation=\"cacerts\"%s}"
    assert.equal("4", samples[name:format("bucket", ',le="0.002"')])
    assert.equal("4", samples[name:format("bucket", ',le="30"')])
    assert.equal("6", samples[name:format("bucket", ',le="+Inf"')])
    assert.equal("6", samples[name:format("count", "")])
    assert.equal("1.5", samples[name:format("sum", "")])
  end)

  it("takes any number for what it is", function()
    local samples = told { [5] = { { names.connections, 0, 0, 0, 0, math.maxinteger } },
      [6] = { { names.connections, 0, 0, 0, 0, math.maxinteger } } }
    assert.equal(2.0 ^ 64, tonumber(samples.lest_connections))
  end)
end)
