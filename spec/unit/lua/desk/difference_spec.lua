-- Two decisions of one request are compared by verdict, and of approvals by what would be issued;
-- many differences are told in few groups, whatever a policy says to each request.
local core = require "lest.core"
local difference = require "lest.desk.difference"

local function request(i)
  return { id = ("r%03d"):format(i), time = i, label = "default", name = "device" .. i,
    subject = "CN=device" .. i }
end

describe("a comparison of two decisions", function()
  local function approval(terms)
    local position = { verdict = "approve", subject = "CN=a", san = "DNS:a", profile = "p",
      lifetime = 60 }
    for key, value in pairs(terms or {}) do position[key] = value end
    return position
  end

  it("finds another verdict, other names, another profile or lifetime", function()
    local was = approval()
    assert.is_nil(difference.change(was, approval()))
    assert.equal("approve -> reject", difference.change(was, { verdict = "reject" }))
    assert.equal("other names", difference.change(was, approval { subject = "CN=b" }))
    assert.equal("other names", difference.change(was, approval { san = "" }))
    assert.equal("other profile", difference.change(was, approval { profile = "q" }))
    assert.equal("other lifetime", difference.change(was, approval { lifetime = 61 }))
  end)

  it("takes other words for no difference, nor what one of the two does not know", function()
    assert.is_nil(difference.change({ verdict = "reject", reason = "no" },
      { verdict = "reject", reason = "never" }))
    assert.is_nil(difference.change({ verdict = "approve", subject = "CN=a" }, approval()))
  end)

  it("does not depend on the order of alternative names", function()
    local function position(san)
      return difference.position({ verdict = "approve", san = san })
    end
    assert.equal("DNS:a,DNS:b", position({ "DNS:b", "DNS:a" }).san)
    local given = { "DNS:b", "DNS:a" }
    position(given)
    assert.equal("DNS:b", given[1])
  end)
end)

describe("a tally", function()
  local YES <const> = { verdict = "approve" }
  local function no(reason, rule) return { verdict = "reject", reason = reason, rule = rule } end

  it("counts and groups by rule and reason, the most frequent first, with the newest examples",
    function()
      local tally = difference.new()
      tally:add(request(1), YES, YES)
      tally:add(request(2), YES, no("closed", "when at p.lua:3"))
      for i = 10, 19 do tally:add(request(i), YES, no("late", "when at p.lua:4")) end
      local plain = tally:plain()
      assert.same({ 1, 11, 2 }, { plain.same, plain.different, #plain.groups })
      local first = plain.groups[1]
      assert.same({ "approve -> reject", "when at p.lua:4", "late", 10 },
        { first.change, first.rule, first.reason, first.count })
      assert.equal("r019,r018,r017", first.examples[1].id .. "," .. first.examples[2].id .. ","
        .. first.examples[3].id)
      assert.equal(3, #first.examples)
    end)

  it("takes reasons for the same that differ by whom they name", function()
    local tally = difference.new()
    for i = 1001, 1050 do tally:add(request(i), YES, no("ask for CN=device" .. i)) end
    local plain = tally:plain()
    assert.equal(1, #plain.groups)
    assert.equal("ask for *", plain.groups[1].reason)
  end)

  it("is bounded where a policy says something else to each request, and loses no count", function()
    local tally = difference.new()
    for i = 1, 1000 do tally:add(request(i), YES, no("id " .. i * 7919, "rule " .. i % 700)) end
    for i = 1, 1000 do tally:leave_out("not decidable", "question " .. i * 7919, request(i)) end
    local plain = tally:plain()
    local count, left = 0, 0
    for _, group in ipairs(plain.groups) do count = count + group.count end
    for _, group in ipairs(plain.left_out) do left = left + group.count end
    assert.same({ 1000, 1000 }, { count, left })
    assert.is_true(#plain.groups + #plain.left_out <= 203)
  end)

  it("of several processes is one, by way of JSON", function()
    local parts, whole = { difference.new(), difference.new() }, difference.new()
    for i = 1, 40 do parts[i % 2 + 1]:add(request(i), YES, i % 4 == 0 and YES or no "x") end
    parts[1]:leave_out("corrupt", "its CSR cannot be read", request(7))
    for _, part in ipairs(parts) do
      whole:merge(core.json.decode(core.json.encode(part:plain())))
    end
    local plain = whole:plain()
    assert.same({ 10, 30, 1, 30 }, { plain.same, plain.different, #plain.groups,
      plain.groups[1].count })
    assert.equal("r039", plain.groups[1].examples[1].id)
    assert.same({ id = "r007", time = 7 }, plain.left_out[1].examples[1])
  end)

  it("has no text that a terminal or JSON would choke on", function()
    local tally = difference.new()
    local hostile = "\27[2J\255" .. ("x"):rep(5000)
    tally:add({ id = hostile, time = 1, label = "default", device = hostile },
      { verdict = "approve", subject = hostile }, no(hostile, hostile))
    local text = core.json.encode(tally:plain())
    assert.is_nil(text:find "[\27\255]")
    assert.is_true(#text < 4000)
  end)
end)
