-- Every fuzz target runs its whole corpus, in each preset (so under the sanitizers too).
local lfs = require "lfs"
local process = require "support.process"

local TARGETS <const> = { "body", "cert", "cmc", "crl", "csr", "csrattrs", "envelope",
  "http_request", "incoming", "json", "jwt", "message", "mixed", "ocsp", "path",
  "pkcs7", "proxy" }

describe("fuzz corpus", function()
  it("is there for every target, and nothing else is", function()
    for suffix, folder in pairs { ["_fuzz%.c"] = "spec/fuzz", [""] = "spec/fuzz/corpus" } do
      local found = {}
      for file in lfs.dir(folder) do
        found[#found + 1] = file:match("^([%w_]+)" .. suffix .. "$")
      end
      table.sort(found)
      assert.same(TARGETS, found)
    end
  end)

  for _, name in ipairs(TARGETS) do
    it("of " .. name .. " replays without a finding", function()
      local code, out, err = process.run { ("%s/fuzz-replay/%s_replay"):format(LEST_PREFIX, name),
        "spec/fuzz/corpus/" .. name }
      assert.equal(0, code, (out .. err):sub(-3000))
      assert.is_true(tonumber(out:match "(%d+) inputs\n$") > 0)
    end)
  end
end)
