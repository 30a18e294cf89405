-- The form of packets between workers and authority, byte by byte, and what is refused in them.
local core = require "lest.core"
local p = require "support.packet"

local message = core.message
local ALL <const> = { begin = true, ask = true, finish = true, answer = true, told = true,
  hello = true, shadow = true, listens = true, event = true, heard = true, order = true,
  outcome = true, renew = true, keys = true, recall = true }

local function refused(packet, expected)
  local got, err = message.decode(packet, ALL)
  assert.is_nil(got, expected)
  assert.equal(expected, err.message)
  assert.equal("malformed", err.code)
end

describe("a packet", function()
  it("is read with every kind of value", function()
    local got = assert(message.decode(p.begin {
      headers = p.map { { "host", p.bytes "x" } },
      certificate = p.list { p.bytes "\0\255", p.bytes "b" },
      basic = p.record { { 1, p.bytes "" }, { 2, p.bytes "\xff\0" } },
    }, ALL))
    assert.same({ type = "begin", id = "w-1", operation = "simpleenroll", label = "default",
      address = "127.0.0.1", csr = "der", headers = { host = "x" }, certificate = { "\0\255", "b" },
      challenge = false,
      basic = { username = "", password = "\xff\0" },
      tls = { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256", channel_bound = false },
    }, got)
    local finish = assert(message.decode(p.finish { verdict = "\5", renewal = "",
      lifetime = p.integer(90), san = p.list {},
      subject = p.list { p.record { { 1, p.bytes "CN" }, { 2, p.bytes "a" }, { 4, "" } } },
      facts = p.map { { "a", p.fact "x" }, { "aa", p.fact(7) }, { "b", p.fact(-0.5) },
        { "c", p.fact(true) }, { "d", p.fact(false) }, { "e", p.fact(2.0) } } }, ALL))
    assert.same({ type = "finish", id = "w-1", handle = "h", verdict = "error", renewal = true,
      lifetime = 90, san = {}, subject = { { "CN", "a", plus = false, der = true } },
      facts = { a = "x", aa = 7, b = -0.5, c = true, d = false, e = 2.0 } }, finish)
    assert.equal("integer", math.type(finish.facts.aa))
    assert.equal("float", math.type(finish.facts.e))
  end)

  it("is a policy's question, and its answer", function()
    for _, packet in ipairs { p.ask { history = "\2" }, p.ask { rate = p.rate() } } do
      assert.equal(packet, message.encode(assert(message.decode(packet, ALL))))
    end
    assert.same({ name = "x", per = { "device", "label" }, most = 5, every = 60 }, message.decode(
      p.ask { rate = p.rate { per = p.list { "\4", "\7" } } }, ALL).rate)
    local tally = { count = 1000, more = true, last = -5, reason = "a" }
    local told = { type = "told", id = "w-1", number = 3, history = {} }
    for _, state in ipairs { "issued", "active", "expired", "revoked", "renewed", "refused",
      "pending" } do
      told.history[state] = tally
    end
    assert.same(told, message.decode(assert(message.encode(told)), ALL))
    tally.count = 1001
    assert.is_nil((message.encode(told)))
  end)

  it("has one form, whatever order a table is in", function()
    for _, packet in ipairs { p.begin { headers = p.map { { "", p.bytes "" }, { "a", p.bytes "x" },
      { "a\0", p.bytes "y" }, { "b", p.bytes "z" } } }, p.answer { replayed = "",
      status = p.integer(599), retry_after = p.integer(math.maxinteger) },
      p.finish { facts = p.map {}, subject = p.list {} } } do
      assert.equal(packet, message.encode(assert(message.decode(packet, ALL))))
    end
    local record = { type = "answer", id = "a", status = 200.0, replayed = false }
    assert.equal(p.answer { id = p.bytes "a", status = p.integer(200) }, message.encode(record))
  end)

  it("is refused when it is cut anywhere, or longer", function()
    local packet = p.begin { basic = p.record { { 1, p.bytes "a" }, { 2, p.bytes "b" } },
      headers = p.map { { "a", p.bytes "x" } }, certificate = p.list { p.bytes "c" } }
    assert.is_table(message.decode(packet, ALL))
    for length = 0, #packet - 1 do
      local got, err = message.decode(packet:sub(1, length), ALL)
      assert.is_nil(got)
      assert.equal("malformed", err.code)
    end
    refused(packet .. "\0", "1 bytes after the message")
    refused(packet .. packet, ("%d bytes after the message"):format(#packet))
  end)

  it("is refused when its head is another", function()
    refused("", "the packet is no message of version 1")
    refused("{}", "the packet is no message of version 1")
    refused("\2" .. p.begin():sub(2), "the packet is no message of version 1")
    refused("\1\0\0", "the packet has no type that there is")
    refused("\1\200\0", "the packet has no type that there is")
    local got, err = message.decode(p.answer(), { begin = true })
    assert.is_nil(got)
    assert.equal("a message 'answer' is not taken here", err.message)
    assert.equal("too_large", select(2, message.decode(("\1"):rep(200001), ALL)).code)
  end)

  it("is refused when its fields are not those of the table, in its order", function()
    refused(p.begin({}, "\200"), "field 200 is unknown")
    refused(p.begin({}, "\17"), "field 17 is unknown")
    refused(p.begin({}, "\6" .. p.bytes "der"), "field 6 is there twice or out of order")
    refused(p.begin({}, "\1" .. p.bytes "w-2"), "field 1 is there twice or out of order")
    refused(p.begin { csr = false }, "csr: is missing")
    refused(p.begin { label = false }, "label: is missing")
    refused(p.begin { id = false }, "id: is missing")
    refused(p.begin { tls = p.record { { 1, p.bytes "x" } } }, "tls.cipher: is missing")
    refused(p.begin { tls = p.record { { 2, p.bytes "x" } } }, "tls.version: is missing")
    refused(p.begin { tls = p.record { { 1, p.bytes "x" }, { 2, p.bytes "y" }, { 4, "" } } },
      "tls: field 4 is unknown")
    refused("\1\1\0", "id: is missing")
  end)

  it("is refused when a value is out of its bounds", function()
    for path, packet in pairs {
      ["id: longer than 64 bytes"] = p.begin { id = p.bytes(("x"):rep(65)) },
      ["id: not an id"] = p.begin { id = p.bytes "a b" },
      ["handle: not an id"] = p.finish { handle = p.bytes "" },
      ["label: not a label"] = p.begin { label = p.bytes "../x" },
      ["bearer: longer than 8192 bytes"] = p.begin { bearer = p.bytes(("x"):rep(8193)) },
      ["bearer: shorter than 1 bytes"] = p.begin { bearer = p.bytes "" },
      ["label: longer than 128 bytes"] = p.begin { label = p.bytes(("x"):rep(129)) },
      ["profile: not a name"] = p.finish { profile = p.bytes "-a" },
      ["address: not UTF-8 text"] = p.begin { address = p.bytes "\xc0\x80" },
      ["reason: not UTF-8 text"] = p.finish { reason = p.bytes "a\0" },
      ["detail: not UTF-8 text"] = p.finish { detail = p.bytes "\xed\xa0\x80" },
      ["csr: longer than 65536 bytes"] = p.begin { csr = p.bytes(("x"):rep(65537)) },
      ["cmc: shorter than 1 bytes"] = p.begin { cmc = p.bytes "" },
      ["csr: the packet ends too early"] = p.begin { csr = "\0\0\255\255x" },
      ["certificate: too few entries"] = p.begin { certificate = p.list {} },
      ["certificate: too many entries"] = p.begin { certificate = string.pack(">I4", 0xffffffff) },
      ["certificate[2]: longer than 32768 bytes"] =
        p.begin { certificate = p.list { p.bytes "a", p.bytes(("x"):rep(32769)) } },
      ["basic.password: longer than 1024 bytes"] =
        p.begin { basic = p.record { { 1, p.bytes "a" }, { 2, p.bytes(("x"):rep(1025)) } } },
      ["headers: too many entries"] = p.begin { headers = string.pack(">I4", 17) },
      ["headers.host: longer than 1000 bytes"] =
        p.begin { headers = p.map { { "host", p.bytes(("x"):rep(1001)) } } },
      ["headers: a name longer than 64 bytes"] =
        p.begin { headers = p.map { { ("x"):rep(65), p.bytes "" } } },
      ["headers.?: a name that is not UTF-8"] = p.begin { headers = p.map { { "\255", "" } } },
      ["headers.a: a name is there twice or out of order"] =
        p.begin { headers = p.map { { "a", p.bytes "" }, { "a", p.bytes "" } } },
      ["facts.a: a name is there twice or out of order"] =
        p.finish { facts = p.map { { "b", p.fact(1) }, { "a", p.fact(1) } } },
      ["facts.a: a fact of no type that there is"] = p.finish { facts = p.map { { "a", "\6" } } },
      ["facts.a: longer than 4096 bytes"] =
        p.finish { facts = p.map { { "a", p.fact(("x"):rep(4097)) } } },
      ["facts.a: not UTF-8"] = p.finish { facts = p.map { { "a", p.fact "\xff" } } },
      ["operation: not one of the choices"] = p.begin { operation = "\200" },
      ["verdict: not one of the choices"] = p.finish { verdict = "\0" },
      ["lifetime: out of range (1 to 3200000000)"] = p.finish { lifetime = p.integer(0) },
      ["duration_us: out of range (0 to 9223372036854775807)"] =
        p.finish { duration_us = p.integer(-1) },
      ["asked_at: out of range (0 to 253402300799)"] =
        p.finish { asked_at = p.integer(253402300800) },
      ["rule: longer than 256 bytes"] = p.finish { rule = p.bytes(("x"):rep(257)) },
      ["trace: longer than 32768 bytes"] =
        p.finish { trace = p.bytes('["' .. ("x"):rep(32765) .. '"]') },
      ["outside: longer than 98304 bytes"] =
        p.finish { outside = p.bytes('["' .. ("x"):rep(98301) .. '"]') },
      ["status: out of range (200 to 599)"] = p.answer { status = p.integer(600) },
      ["approvals[2].time: is missing"] = p.answer { approvals = p.list {
        p.record { { 1, p.bytes "a" }, { 3, p.integer(0) } }, p.record { { 1, p.bytes "b" } } } },
    } do
      refused(packet, path)
    end
    for _, number in ipairs { math.huge, -math.huge, 0 / 0 } do
      local got, err = message.decode(p.finish { facts = p.map { { "a", p.fact(number) } } }, ALL)
      assert.is_nil(got)
      assert.matches("^facts%.a: must be a string, a finite number or a boolean", err.message)
    end
  end)

  it("is what a hook hears of, which hooks there are, and what became of it", function()
    local event = { type = "event", id = "issued-0a", number = 7, kind = "issued",
      label = "default", policy = "/etc/lest/notify.lua#2", time = 1000, try = 2,
      certificate = "der", principal = { kind = "basic", name = "\xff" }, device = "d",
      operation = "import", profile = "device", request_id = "r-1", renews = "0b",
      facts = { a = 1 }, reason = "superseded", operator = "alice" }
    for _, said in ipairs { event,
      { type = "listens", label = "default", policy = "/a.lua", issued = true, revoked = false },
      { type = "heard", number = 7, problem = "away" }, { type = "heard", number = 1 } } do
      assert.same(said, message.decode(assert(message.encode(said)), ALL))
    end
    for key, value in pairs { number = 0, kind = "renewed", policy = "a\0", try = 0,
      certificate = "", label = "a/b" } do
      local changed = setmetatable({ [key] = value }, { __index = event })
      local all = {}
      for name in pairs(event) do all[name] = changed[name] end
      assert.is_nil((message.encode(all)), key)
    end
    assert.is_nil((message.encode { type = "heard", number = 1, problem = ("x"):rep(1001) }))
  end)

  it("is what a CA elsewhere is asked, and what came of it", function()
    local order = { type = "order", number = 7, id = "o-1", kind = "issue", ca = "far",
      again = true, note = "n", csr = "der", subject = "\48\0", san = "s", lifetime = 60,
      key_usage = { "digitalSignature" }, eku = {}, profile = "device", label = "default",
      operation = "simpleenroll", request_id = "r-1", principal = { kind = "basic", name = "\xff" },
      device = "d" }
    local revoke = { type = "order", number = 8, id = "o-2", kind = "revoke", label = "default",
      operation = "simpleenroll", request_id = "r-1", principal = { kind = "basic", name = "x" },
      certificate = "der", reason = "superseded", again = false }
    for _, said in ipairs { order, revoke,
      { type = "outcome", number = 7, outcome = "issued", certificate = "der" },
      { type = "outcome", number = 7, outcome = "later", retry_after = 5, note = "n",
        detail = "why" } } do
      assert.same(said, message.decode(assert(message.encode(said)), ALL))
    end
    for key, value in pairs { number = 0, kind = "renew", ca = "../x", note = ("n"):rep(1001),
      csr = "", lifetime = 0 } do
      local before = order[key]
      order[key] = value
      assert.is_nil((message.encode(order)), key)
      order[key] = before
    end
    local recall = { type = "recall" }
    assert.same(recall, message.decode(assert(message.encode(recall)), ALL))
    assert.is_nil((message.encode { type = "outcome", number = 1, outcome = "lost" }))
    assert.is_nil((message.encode { type = "outcome", number = 1, outcome = "issued",
      certificate = ("x"):rep(message.CERTIFICATE_MAX + 1) }))
  end)

  it("is which keys of tokens are wanted, and which there are", function()
    for _, said in ipairs { { type = "renew", source = 1 },
      { type = "keys", source = 2, set = "{}", age_s = 7 },
      { type = "keys", source = 2, problem = "away" } } do
      assert.same(said, message.decode(assert(message.encode(said)), ALL))
    end
    assert.is_nil((message.encode { type = "renew", source = 0 }))
    assert.is_nil((message.encode { type = "keys", source = 1, age_s = -1 }))
    assert.is_nil((message.encode { type = "keys", source = 1,
      set = ("x"):rep(message.JWKS_MAX + 1) }))
  end)

  it("of a shadow has no handle and no facts: nothing follows from it", function()
    local said = { type = "shadow", id = "w-1", verdict = "approve", subject = { { "CN", "a" } },
      rule = "r", missing = "rate a" }
    local packet = assert(message.encode(said))
    local got = assert(message.decode(packet, ALL))
    assert.same({ "shadow", "w-1", "approve", "a", "rate a" },
      { got.type, got.id, got.verdict, got.subject[1][2], got.missing })
    for _, field in ipairs { "handle", "facts", "trace" } do
      said[field] = "x"
      assert.is_nil(message.encode(said))
      said[field] = nil
    end
    refused(packet:sub(1, -2) .. "\17\0", "field 17 is unknown")
  end)

  it("carries JSON as one whole list, or not at all", function()
    for _, list in ipairs { "[]", '[[0,"rule","a","-",1,"\\u001b"],{"more":1}]',
      (" [ %s ] "):format(("[],"):rep(999) .. "[]"), ("["):rep(64) .. ("]"):rep(64) } do
      local got = assert(message.decode(p.finish { trace = p.bytes(list), outside = p.bytes(list) },
        ALL))
      assert.same({ list, list }, { got.trace, got.outside })
    end
    for _, text in ipairs { "", "[", "{}", "1", "null", "[]]", "[] x", "[],[]", "[1,]", "['a']",
      '["\xff"]', '["\27"]', '["a\0"]', "[]\0", '["\\ud800"]', '[{"a"}]', "[NaN]",
      ("["):rep(65) .. ("]"):rep(65) } do
      refused(p.finish { trace = p.bytes(text) }, "trace: not a list in JSON")
      refused(p.finish { outside = p.bytes(text) }, "outside: not a list in JSON")
    end
  end)

  it("gives the id of one that breaks off after it", function()
    local _, _, id = message.decode(p.answer({}, "\200"), ALL)
    assert.equal("w-1", id)
    for _, packet in ipairs { "garbage", "\1\3\0", p.answer { id = p.bytes "a b" },
      p.answer():sub(1, 6) } do
      local got, err
      got, err, id = message.decode(packet, ALL)
      assert.same({ "nil", "table", "nil" }, { type(got), type(err), type(id) })
    end
  end)
end)

describe("a table", function()
  local function refusal(changes)
    local value = { type = "finish", id = "w-1", handle = "h", verdict = "approve" }
    for key, item in pairs(changes) do value[key] = item end
    local packet, err = message.encode(value)
    assert.is_nil(packet)
    return err.message
  end

  it("is not written when it is not one of the messages", function()
    assert.equal("type: not that of a message", refusal { type = "x" })
    assert.equal("type: not that of a message", refusal { type = 1 })
    assert.equal("extra: unknown", refusal { extra = 1 })
    assert.equal("?: unknown", refusal { [1] = 1 })
    assert.equal("status: unknown", refusal { status = 500 })
    assert.equal("verdict: not one of approve, reject, pending, unavailable, error",
      refusal { verdict = "?secret?" })
    assert.equal("verdict: must be a string, not number", refusal { verdict = 1 })
    assert.equal("handle: is missing", select(2, message.encode {
      type = "finish", id = "a", verdict = "reject" }).message)
    assert.equal("renewal: must be true or false, not number", refusal { renewal = 1 })
    assert.equal("lifetime: must be a whole number, not number", refusal { lifetime = 1.5 })
    assert.equal("lifetime: must be a whole number, not string", refusal { lifetime = "90" })
    assert.equal("reason: must be a string, not number", refusal { reason = 12 })
  end)

  it("is not written when a list or a map in it is none", function()
    assert.equal("san: must be a list, not string", refusal { san = "DNS:a" })
    assert.equal("san: must be a list without gaps and names", refusal { san = { "a", x = "b" } })
    assert.equal("san[2]: must be a string, not number", refusal { san = { "a", 1 } })
    assert.equal("san: too many entries", refusal { san = table.pack(("x"):rep(129):byte(1, -1)) })
    assert.equal("subject[1].value: is missing", refusal { subject = { { "CN" } } })
    assert.equal("subject[1].?: unknown", refusal { subject = { { "CN", "a", "+" } } })
    assert.equal("subject[1].note: unknown", refusal { subject = { { "CN", "a", note = 1 } } })
    assert.equal("facts: must be a table, not string", refusal { facts = "x" })
    assert.equal("facts: a name that is no string", refusal { facts = { "a" } })
    assert.equal("facts.a: must be a string, a finite number or a boolean, not table",
      refusal { facts = { a = {} } })
    assert.equal("facts.a?b: not UTF-8", refusal { facts = { ["a\nb"] = "\xff" } })
    local many = {}
    for i = 1, 65 do many["k" .. i] = i end
    assert.equal("facts: too many entries", refusal { facts = many })
  end)

  it("is read as it is, whatever its metatable says", function()
    local facts = setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error })
    local packet = assert(message.encode(setmetatable({ type = "finish", id = "a", handle = "h",
      verdict = "approve", facts = facts }, { __index = error })))
    assert.same({ a = 1 }, message.decode(packet, ALL).facts)
  end)

  it("is written after one that was refused", function()
    local good = { type = "finish", id = "a", handle = "h", verdict = "reject" }
    local packet = assert(message.encode(good))
    good.san = {}
    for i = 1, 128 do good.san[i] = ("x"):rep(1024) end
    good.facts = {}
    for i = 1, 64 do good.facts["fact" .. i] = ("x"):rep(4096) end
    local got, err = message.encode(good)
    assert.is_nil(got)
    assert.same({ "too_large", "the packet is too large" }, { err.code, err.message })
    good.san, good.facts = nil, nil
    assert.equal(packet, message.encode(good))
  end)
end)
