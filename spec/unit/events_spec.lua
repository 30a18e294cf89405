-- Every event that a server writes into its log is in the table of OPERATING.md, and no other is.
local process = require "support.process"

-- How an event is named where it is written; a name in C that is chosen first stands in `why`.
local PATTERNS <const> = {
  lua = { 'core%.log%.write%(%s*"%l+",%s*"([^"]+)"', 'core%.log%.write%(level,%s*"([^"]+)"',
    'core%.log%.write%(kind [^,]*,%s*"([^"]+)"',
    'lines%.new%s*%(?%s*"([^"]+)"' },
  c = { 'lest_log%(%s*LEST_LOG_%u+,%s*"([^"]+)"', 'lest_log_write%(%s*LEST_LOG_%u+,%s*"([^"]+)"',
    'lest_log_write%(well [^,]*,%s*"([^"]+)"', 'net_lines_init%([^"]*"([^"]+)"',
    'write_about%(relay, LEST_LOG_%u+,%s*"([^"]+)"', 'why = "(child [^"]+)"' },
}

local function written()
  local found = {}
  local files = process.must { "find", "csrc", "lua/lest/server", "lua/lest/policy",
    "lua/lest/task.lua", "lua/lest/client.lua", "-name", "*.c", "-o", "-name", "*.lua" }
  for path in files:gmatch "[^\n]+" do
    -- What a comment shows is no event.
    local text = process.read(path):gsub("\n%s*%-%-[^\n]*", "\n")
    for _, pattern in ipairs(PATTERNS[path:match "%.(%l+)$"]) do
      for event in text:gmatch(pattern) do found[event] = path end
    end
  end
  return found
end

--- The names in the first column of the table of events, as a set.
local function documented()
  local named = {}
  local log = process.read("OPERATING.md"):match "\n## Log\n(.-)\n## "
  for row in log:gmatch "\n|([^|]*)|" do
    for event in row:gmatch "`([^`]+)`" do named[event] = true end
  end
  return named, log
end

describe("the table of events in OPERATING.md", function()
  it("has every event that a server writes", function()
    local named, count = documented(), 0
    for event, path in pairs(written()) do
      count = count + 1
      assert.is_true(event == "request" or named[event] or false, event .. ", of " .. path)
    end
    assert.is_true(count > 40)
  end)

  it("has no event that none writes", function()
    local events = written()
    for event in pairs(documented()) do
      -- Two are the sentence of an error, in the event and in the message of another one.
      local known = events[event] or event == "the ledger's disk does not answer"
        or event == "was replaced by another file"
      assert.is_truthy(known, event)
    end
  end)
end)
