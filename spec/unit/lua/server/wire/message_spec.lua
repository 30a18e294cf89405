-- Messages between worker and authority are taken only as their schema says, by the side they are
-- for.
local cjson = require "cjson"
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local message = require "lest.server.wire.message"
local policy = require "lest.policy"

local ALL <const> = { begin = true, finish = true, answer = true }

local function begin(changes)
  local value = {
    type = "begin", id = "w-1", operation = "simpleenroll", label = "default",
      address = "127.0.0.1",
    tls = { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256" }, csr = message.bytes "der",
  }
  for key, item in pairs(changes or {}) do value[key] = item end
  return cjson.encode(value)
end

describe("a message", function()
  it("arrives as it was sent, bytes decoded", function()
    local got = assert(message.decode(begin { certificate = { message.bytes "\0\255" } }, ALL))
    assert.equal("der", got.csr)
    assert.equal("\0\255", got.certificate[1])
    assert.is_false(got.tls.channel_bound)
  end)

  it("is refused when it is not just what its schema says", function()
    local cases = {
      ["no JSON"] = "garbage", ["no object"] = "[]", ["unknown type"] = '{"type":"x","id":"a"}',
      ["unknown field"] = begin { extra = 1 }, ["bad base64"] = begin { csr = "***" },
      ["operation"] = begin { operation = "fullcmc" }, ["id"] = begin { id = "a b" },
      ["label"] = begin { label = "../x" }, ["missing"] = '{"type":"begin","id":"a"}',
      ["long chain"] = begin { certificate = { "AA==", "AA==", "AA==", "AA==", "AA==",
        "AA==", "AA==", "AA==", "AA==" } },
      ["deep"] = ('{"type":'):rep(50) .. "1" .. ("}"):rep(50), ["not a number"] = '{"type":NaN}',
      ["long header name"] = begin { headers = { [("x"):rep(65)] = "x" } },
      ["infinite"] = '{"type":"finish","id":"a","handle":"h","verdict":"approve",'
        .. '"facts":{"a":1e999}}',
      ["large"] = begin { label = ("x"):rep(190000) },
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
    for _, marks in ipairs { "++", "#+", "-", "+ " } do
      assert.is_nil((message.encode { type = "finish", id = "w-1", handle = "h",
        verdict = "approve", subject = { { "CN", "a", marks } } }))
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
    local parts = { '{"type":"begin"' }
    for i = 1, 12000 do parts[#parts + 1] = (',"unknown%d":1'):format(i) end
    parts[#parts + 1] = "}"
    local steps = 0
    local hook, mask = debug.gethook()
    debug.sethook(function() steps = steps + 1 end, "", 1000)
    local got = message.decode(table.concat(parts), ALL)
    debug.sethook(hook, mask)
    assert.is_nil(got)
    assert.is_true(steps < 500, steps)
    local _, problem = message.decode(begin { operation = ("x"):rep(100000) }, ALL)
    assert.is_true(#problem < 200)
  end)

  it("is taken only by the side it is for", function()
    assert.is_nil(message.decode(begin(), { answer = true }))
  end)

  it("tells nothing of a value in what is wrong with it", function()
    local _, problem = message.decode(begin { basic = { username = "?secret?",
      password = "AA==" } }, ALL)
    assert.is_nil(problem:find("?secret?", 1, true))
  end)
end)
