--- One worker of spec/mutate/mutate.lua: plants the mutants that no other worker has taken, in its
--- own tree.
---   lest run spec/mutate/worker.lua WORK NUMBER [WORD...]
--- What came of each is a line on standard output, and on standard error for who waits.
package.path = "spec/?.lua;" .. package.path
local mutants = require "mutate.mutants"
local process = require "support.process"

-- A mutant that hangs is seen.
local SECONDS <const> = 120

local work, number = arg[1], arg[2]
local tree = ("%s/tree%s"):format(work, number)

--- The first spec that failed, or what else was seen.
local function what_failed(out)
  return out:match "\nFAILED: ([^\n]*)" or out:match "\nERROR: ([^\n]*)" or "the run"
end

--- Build if need be, and run the specs.
---@return string how
---@return string what
local function try(mutant)
  if mutant.file:find "%.[ch]$" then
    local code, out = process.run("cmake --build --preset release --target lest", { dir = tree })
    if code ~= 0 then return "does not build", out:match "[^\n]*error:[^\n]*" or "" end
  end
  for _, spec in ipairs(mutant.specs) do
    local code, out = process.run({ "spec/support/parallel", "release", "1", SECONDS, spec },
      { dir = tree })
    if code ~= 0 and mutant.reason then return "seen, though", mutant.reason end
    if code ~= 0 then return "seen", what_failed(out) end
  end
  if mutant.reason then return "excused", mutant.reason end
  return "missed", table.concat(mutant.specs, " ")
end

for i, mutant in ipairs(mutants.select(table.move(arg, 3, #arg, 1, {}))) do
  local claim = ("mkdir %s/taken/%d 2>/dev/null"):format(work, i)
  if not mutants.problem(mutant) and os.execute(claim) then
    local path = tree .. "/" .. mutant.file
    local original = process.read(path)
    process.write(path, assert(mutants.plant(mutant, original)))
    local how, what = try(mutant)
    process.write(path, original)
    local line = ("%-8s  %s: %s\n"):format(how, mutant.title, what)
    io.stderr:write(line)
    io.write(line)
    io.flush()
  end
end
