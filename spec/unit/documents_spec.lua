-- The documents cite what is there: each path that they name, and each function after its colon.
local process = require "support.process"

local DOCUMENTS <const> = { "ARCHITECTURE.md", "CHANGELOG.md", "OPERATING.md", "README.md",
  "SECURITY.md" }
local ROOTS <const> = { csrc = true, lua = true, spec = true, policies = true, examples = true }

--- What a document cites: { line, path, names }.
---   csrc/net/server.c:on_accept,take   two functions of a file
local function citations(text)
  local found, number = {}, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    for word in line:gmatch "[%w_./:,-]+" do
      local path, names = word:gsub("^%./", ""):match "^([^:]*):?(.*)$"
      local root = path:match "^(%w+)/"
      if ROOTS[root] then
        table.insert(found, { line = number, path = path:gsub("[.,/]+$", ""), names = names })
      end
    end
  end
  return found
end

--- What is wrong with one citation, or nil.
local function problem(citation)
  if not process.exists(citation.path) then return "there is no " .. citation.path end
  if citation.names == "" then return nil end
  local text = process.read(citation.path)
  for name in citation.names:gmatch "[%w_]+" do
    if not text:find("%f[%w_]" .. name .. "%f[^%w_]") then
      return ("%s has no '%s'"):format(citation.path, name)
    end
  end
end

describe("a document", function()
  for _, document in ipairs(DOCUMENTS) do
    it(document .. " cites only files and functions that are there", function()
      local problems = {}
      for _, citation in ipairs(citations(process.read(document))) do
        local what = problem(citation)
        if what then table.insert(problems, ("%s:%d: %s"):format(document, citation.line, what)) end
      end
      assert.same({}, problems)
    end)
  end

  it("that cites what is not there is found", function()
    for text, expected in pairs {
      ["see `csrc/net/nothing.c`"] = "there is no csrc/net/nothing.c",
      ["(lua/lest/nothing/)."] = "there is no lua/lest/nothing",
      ["`csrc/net/server.c:take,no_such`"] = "csrc/net/server.c has no 'no_such'",
    } do
      local all = citations(text)
      assert.equal(1, #all)
      assert.equal(expected, problem(all[1]))
    end
    assert.same({}, citations "no path: https://host/csrc/x, lua5.4, either/or")
  end)
end)
