-- What flows see of messages; spec/unit/wire/message_spec.lua has the form of packets.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local message = require "lest.server.wire.message"
local p = require "support.packet"
local policy = require "lest.policy"

local ALL <const> = { begin = true, finish = true, answer = true, hello = true }

local function begin(changes)
  local value = {
    type = "begin", id = "w-1", operation = "simpleenroll", label = "default",
      address = "127.0.0.1",
    tls = { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256" }, csr = "der",
  }
  for key, item in pairs(changes or {}) do value[key] = item end
  return value
end

describe("a message", function()
  it("arrives as it was sent", function()
    local packet = assert(message.encode(begin { certificate = { "\0\255" } }))
    assert.equal(p.begin { certificate = p.list { p.bytes "\0\255" } }, packet)
    local got = assert(message.decode(packet, ALL))
    assert.equal("der", got.csr)
    assert.equal("\0\255", got.certificate[1])
    assert.is_false(got.tls.channel_bound)
  end)

  it("is refused when it is not just what its schema says", function()
    local long = {}
    for i = 1, message.CHAIN_MAX + 1 do long[i] = p.bytes "x" end
    local cases = {
      ["no packet"] = "garbage", ["JSON"] = '{"type":"begin","id":"a"}',
      ["unknown type"] = "\1\9\0", ["unknown field"] = p.begin({}, "\99" .. p.integer(1)),
      ["no length"] = p.begin { csr = "***" }, ["operation"] = p.begin { operation = "\9" },
      ["id"] = p.begin { id = p.bytes "a b" }, ["label"] = p.begin { label = p.bytes "../x" },
      ["missing"] = "\1\1\1" .. p.bytes "a" .. "\0",
      ["long chain"] = p.begin { certificate = p.list(long) },
      ["deep"] = "\1\1" .. ("\5"):rep(50), ["not a number"] =
        p.finish { facts = p.map { { "a", p.fact(0 / 0) } } },
      ["long header name"] = p.begin { headers = p.map { { ("x"):rep(65), p.bytes "x" } } },
      ["infinite"] = p.finish { facts = p.map { { "a", p.fact(math.huge) } } },
      ["large"] = p.begin { label = p.bytes(("x"):rep(190000)) },
      ["too large"] = p.begin { label = p.bytes(("x"):rep(200000)) },
    }
    for what, packet in pairs(cases) do
      local got, problem = message.decode(packet, ALL)
      assert.is_nil(got, what)
      assert.is_string(problem)
    end
  end)

  it("carries a name whole", function()
    local function sent(subject)
      local name = assert(core.name.parse(subject))
      local fields = decision.fields(policy.approve { subject = name })
      fields.type, fields.id, fields.handle = "finish", "w-1", "h"
      return assert(message.decode(assert(message.encode(fields)), ALL)).subject
    end
    for _, text in ipairs { "CN=a", "O=x,CN=a+serialNumber=1,DC=b", "CN=#030200ff",
      "O=x+CN=#030200ff" } do
      assert.equal(core.name.encode(text), core.name.encode(sent(text)))
    end
    for _, part in ipairs { { "CN", "a", "+" }, { "CN", "a", plus = "+" }, { "CN", "a", der = 1 },
      { "CN" }, { "CN", "a", other = true } } do
      assert.is_nil((message.encode { type = "finish", id = "w-1", handle = "h",
        verdict = "approve", subject = { part } }))
    end
  end)

  it("is not sent when the other side would refuse it", function()
    local good = { type = "finish", id = "w-1", handle = "h", verdict = "reject" }
    assert.same(good.verdict, message.decode(assert(message.encode(good)), ALL).verdict)
    for field, value in pairs { reason = ("x"):rep(1001), profile = "a b", lifetime = 0,
      subject = { { "CN", ("x"):rep(1025) } }, facts = { list = {} },
      extra = true } do
      local bad = { [field] = value }
      for key, item in pairs(good) do bad[key] = bad[key] or item end
      local packet, problem = message.encode(bad)
      assert.is_nil(packet, field)
      assert.matches("^" .. field, problem)
    end
    good.facts = { [("x"):rep(100000)] = 1 }
    local _, problem = message.encode(good)
    assert.matches("^facts%.x+: a name longer than 64 bytes$", problem)
    assert.is_true(#problem < 200)
    good.facts = { ratio = 0 / 0 }
    assert.is_nil((message.encode(good)))
    good.facts, good.san = nil, {}
    for i = 1, 128 do good.san[i] = ("x"):rep(1024) end
    assert.is_string((message.encode(good)))
    good.detail, good.facts = ("x"):rep(8000), {}
    for i = 1, 64 do good.facts["fact" .. i] = ("x"):rep(4096) end
    assert.matches("too large", select(2, message.encode(good)))
  end)

  it("costs little to refuse, whatever is in it", function()
    local parts, facts = {}, {}
    for i = 1, 9000 do
      parts[i] = string.char(10 + i % 200) .. p.integer(1)
      facts[i] = { ("f%05d"):format(i), p.fact(1) }
    end
    for _, packet in ipairs { p.begin({}, table.concat(parts)), p.finish { facts = p.map(facts) },
      p.begin { csr = p.bytes(("x"):rep(190000)) } } do
      assert.is_true(#packet < message.SIZE_MAX)
      collectgarbage "stop"
      local kib, began = collectgarbage "count", os.clock()
      local got = message.decode(packet, ALL)
      local taken, seconds = collectgarbage "count" - kib, os.clock() - began
      collectgarbage "restart"
      assert.is_nil(got)
      assert.is_true(taken < 8, taken)
      assert.is_true(seconds < 0.005, seconds)
    end
    local _, problem = message.encode(begin { operation = ("x"):rep(100000) })
    assert.is_true(#problem < 200)
  end)

  it("is taken only by the side it is for", function()
    assert.is_nil(message.decode(p.begin(), { answer = true }))
    assert.is_nil(message.decode(p.answer(), { begin = true, finish = true }))
  end)

  it("tells nothing of a value in what is wrong with it", function()
    local _, problem = message.decode(p.begin { basic = p.record { { 1, p.bytes "?secret?" },
      { 2, p.bytes "" }, { 3, p.bytes "?secret?" } } }, ALL)
    assert.is_nil(problem:find("?secret?", 1, true))
    for _, changes in ipairs { { label = "?secret?/" }, { id = "?secret?" },
      { operation = "?secret?" }, { basic = { username = "?secret?" } } } do
      _, problem = message.encode(begin(changes))
      assert.is_nil(problem:find("?secret?", 1, true))
    end
  end)

  it("has the bounds of what a client gives", function()
    assert.is_string(message.encode(begin { csr = ("x"):rep(message.CSR_MAX) }))
    assert.is_nil((message.encode(begin { csr = ("x"):rep(message.CSR_MAX + 1) })))
    local secret, certificate = ("x"):rep(message.SECRET_MAX), ("x"):rep(message.CERTIFICATE_MAX)
    assert.is_string(message.encode(begin { basic = { username = secret, password = secret } }))
    assert.is_nil((message.encode(begin { basic = { username = secret .. "x", password = "" } })))
    assert.is_string(message.encode(begin { certificate = { certificate } }))
    assert.is_nil((message.encode(begin { certificate = { certificate .. "x" } })))
    local chain = table.pack(("x"):rep(message.CHAIN_MAX):byte(1, -1))
    for i = 1, #chain do chain[i] = "x" end
    chain.n = nil
    assert.is_string(message.encode(begin { certificate = chain }))
    chain[#chain + 1] = "x"
    assert.is_nil((message.encode(begin { certificate = chain })))
    assert.equal(core.channel.message_max, message.SIZE_MAX)
  end)
end)
