-- Every fuzz target runs its whole corpus, in each preset (so under the sanitizers too).
local lfs = require "lfs"

describe("fuzz corpus", function()
  for file in lfs.dir "spec/fuzz" do
    local name = file:match "^(.+)_fuzz%.c$"
    if name then
      it("of " .. name .. " replays without a finding", function()
        local program = ("%s/fuzz-replay/%s_replay"):format(LEST_PREFIX, name)
        local pipe = assert(io.popen(("'%s' 'spec/fuzz/corpus/%s' 2>&1"):format(program, name)))
        local output = pipe:read "a"
        assert(pipe:close(), output:sub(-3000))
        assert.is_true(tonumber(output:match "(%d+) inputs\n$") > 0)
      end)
    end
  end
end)
