local message = require "lest.message"

local ALL <const> = { begin = true, finish = true, answer = true }

local function begin(changes)
  local value = {
    type = "begin", id = "w-1", operation = "simpleenroll", label = "default",
      address = "127.0.0.1",
    tls = { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256" }, csr = message.bytes "der",
  }
  for key, item in pairs(changes or {}) do value[key] = item end
  return message.encode(value)
end

describe("a message", function()
  it("arrives as it was sent, bytes decoded", function()
    local got = assert(message.decode(begin { chain = { message.bytes "\0\255" } }, ALL))
    assert.equal("der", got.csr)
    assert.equal("\0\255", got.chain[1])
    assert.is_false(got.tls.channel_bound)
  end)

  it("is refused when it is not just what its schema says", function()
    local cases = {
      ["no JSON"] = "garbage", ["no object"] = "[]", ["unknown type"] = '{"type":"x","id":"a"}',
      ["unknown field"] = begin { extra = 1 }, ["bad base64"] = begin { csr = "***" },
      ["operation"] = begin { operation = "fullcmc" }, ["id"] = begin { id = "a b" },
      ["label"] = begin { label = "../x" }, ["missing"] = '{"type":"begin","id":"a"}',
      ["long chain"] = begin { chain = { "AA==", "AA==", "AA==", "AA==", "AA==", "AA==", "AA==",
        "AA==",
        "AA==" } },
      ["deep"] = ('{"type":'):rep(50) .. "1" .. ("}"):rep(50), ["not a number"] = '{"type":NaN}',
      ["large"] = begin { label = ("x"):rep(190000) },
    }
    for what, packet in pairs(cases) do
      local got, problem = message.decode(packet, ALL)
      assert.is_nil(got, what)
      assert.is_string(problem)
    end
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
