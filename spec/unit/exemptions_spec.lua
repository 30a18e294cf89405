-- The requirements that have no spec (spec/conformance.exempt) are choices: each with a reason of
-- its own, none only put off but what is of CoAP, and none that a spec names all the same.
local process = require "support.process"

local ID <const> = "%d%d%d%d%-[%w.]+%-%l+"

--- Headings and entries, in order: { heading =, line = } and { id =, reason =, line =, of = }.
local function read()
  local entries, headings, number = {}, {}, 0
  for line in (process.read "spec/conformance.exempt" .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if line:match "^# " then
      table.insert(headings, { heading = line:sub(3), line = number, count = 0 })
    elseif line ~= "" then
      local id, reason = line:match("^(" .. ID .. ") (.+)$")
      assert(id, ("line %d is neither a heading nor an id and a reason: %s"):format(number, line))
      local heading = headings[#headings]
      heading.count = heading.count + 1
      table.insert(entries, { id = id, reason = reason, line = number, of = heading.heading })
    end
  end
  return entries, headings
end

describe("the requirements without a spec", function()
  it("are each there once, under a heading that has some, with a reason", function()
    local entries, headings = read()
    local seen = {}
    for _, entry in ipairs(entries) do
      assert.is_nil(seen[entry.id], entry.id .. " stands twice")
      seen[entry.id] = true
      assert.is_true(#entry.reason >= 15, entry.id .. " has no reason")
    end
    table.remove(headings, 1) -- of the whole
    for _, heading in ipairs(headings) do
      assert.is_true(heading.count > 0, "nothing stands under: " .. heading.heading)
    end
  end)

  it("are put off for nothing but CoAP", function()
    for _, entry in ipairs(read()) do
      local text = (entry.reason .. " " .. entry.of):lower()
      local is_put_off = text:find "%f[%w]later%f[%W]" or text:find "%f[%w]yet%f[%W]"
        or text:find "to come"
      assert.is_true(not is_put_off or text:find "coap" ~= nil, entry.id .. ": " .. entry.reason)
    end
  end)

  it("are named by no spec", function()
    local titles = process.must { "sh", "-c", "find spec -name '*_spec.lua' -exec cat {} + | "
      .. "tr '\\n' ' ' | sed 's/\" *\\.\\. *\"//g'" }
    local named = {}
    for ids in titles:gmatch '%f[%w_]it[ (]*"([%w. -]+)' do
      for id in ids:gmatch(ID) do named[id] = true end
    end
    assert.is_true(named["7030-3.5-a"])
    for _, entry in ipairs(read()) do assert.is_nil(named[entry.id], entry.id) end
  end)
end)
