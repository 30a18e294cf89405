--- Plants the mutants of spec/mutate/mutants: see `spec/mutate/run --help`.
---
--- Each worker (spec/mutate/worker.lua) has a copy of the tree, built once. It takes the next
--- mutant that no other has, plants it, runs its specs and takes it out again. In Lua that needs no
--- build, in C one of the binary alone.
package.path = "spec/?.lua;" .. package.path
local mutants = require "mutate.mutants"
local process = require "support.process"

local function usage()
  io.write [[
Plants small mistakes in the code, one at a time, each in a copy of the tree, and tells whether the
specs that it names see them. Ends with 1 if one is missed that has no reason, or does not apply.
  spec/mutate/run [--check] [--jobs N] [--keep FOLDER] [WORD...]
--check: only tell whether each mutant still applies to the tree
--jobs: how many workers (default: one a core)
--keep: where the copies are, and stay, so that the next run builds less
WORD: only mutants that have one of these in their file's name or in their own
]]
end

local function fail(...)
  io.stderr:write("spec/mutate/run: ", string.format(...), "\n")
  os.exit(2)
end

local function parse_arguments(words)
  local options = { jobs = math.tointeger(tonumber(process.capture "nproc")), words = {} }
  local i = 1
  while words[i] do
    if words[i] == "--help" or words[i] == "-h" then
      usage()
      os.exit(0)
    elseif words[i] == "--check" then
      options.check = true
    elseif words[i] == "--jobs" then
      i = i + 1
      options.jobs = math.tointeger(tonumber(words[i])) or fail "--jobs takes a number"
    elseif words[i] == "--keep" then
      i = i + 1
      options.keep = words[i] or fail "--keep takes a folder"
    elseif words[i]:find "^%-" then
      fail("'%s' is not understood (--help)", words[i])
    else
      table.insert(options.words, words[i])
    end
    i = i + 1
  end
  return options
end

--- Tell of the mutants that do not apply to the tree.
---@return table[] others
local function applicable(all)
  local others = {}
  for _, mutant in ipairs(all) do
    local problem = mutants.problem(mutant)
    if problem then
      print(("does not apply  %s: %s"):format(mutant.title, problem))
    else
      table.insert(others, mutant)
    end
  end
  return others
end

--- A copy of the tree as it is, with what is not committed, built. One that is there already takes
--- what has changed; a file gets a new time then, so that nothing of a mutant stays built.
local function make_tree(folder)
  process.must(([[
    tree=%s
    mkdir -p "$tree"
    git ls-files --cached --others --exclude-standard | while read -r file; do
      [ ! -f "$file" ] || cmp -s "$file" "$tree/$file" ||
        cp --parents --preserve=mode "$file" "$tree"
    done
    cd "$tree"
    chmod -R a+rX .
    [ -f build/release/build.ninja ] || cmake --preset release >/dev/null
    cmake --build --preset release >build.log 2>&1 || { cat build.log >&2; exit 1; }]]):format(
    process.quote(folder)))
end

--- Run spec files in a tree; the words of the failures where there are any.
local function run_specs(tree, jobs, files)
  local words = { "spec/support/parallel", "release", jobs, 300 }
  table.move(files, 1, #files, #words + 1, words)
  local code, out = process.run(words, { dir = tree })
  if code == 0 then return nil end
  return out:sub((out:find "\nFAILED: " or out:find "\nERROR: " or 1))
end

--- The specs must pass where nothing is planted: else what they say of a mutant means nothing.
--- Those that fail beside others are tried once more, alone.
local function run_baseline(tree, all, jobs)
  local seen, files, again = {}, {}, {}
  for _, mutant in ipairs(all) do
    for _, spec in ipairs(mutant.specs) do
      if not seen[spec] then table.insert(files, spec) end
      seen[spec] = true
    end
  end
  local failures = run_specs(tree, jobs, files)
  for spec in (failures or ""):gmatch "spec/[%w_/]+_spec%.lua" do
    if seen[spec] then table.insert(again, spec) end
    seen[spec] = nil
  end
  if again[1] then failures = run_specs(tree, 1, again) end
  if failures then fail("the specs fail without any mutant:\n%s", failures) end
end

--- Start the workers and wait for them. Their lines come as they are made, in any order.
local function run_workers(work, jobs, words)
  local pipes = {}
  for i = 1, jobs do
    local line = { LEST_PREFIX .. "/bin/lest", "run", "spec/mutate/worker.lua", work, i }
    table.move(words, 1, #words, #line + 1, line)
    pipes[i] = assert(io.popen(process.line(line)))
  end
  local lines = {}
  -- One after the other would show the others' late: they write to the terminal themselves, and
  -- here is what counts.
  for _, pipe in ipairs(pipes) do
    for line in pipe:lines() do table.insert(lines, line) end
    pipe:close()
  end
  return lines
end

local function report(lines, count)
  local tally = {}
  for _, line in ipairs(lines) do
    local how = line:match "^(.-) *  "
    tally[how] = (tally[how] or 0) + 1
  end
  local seen, excused = tally.seen or 0, tally.excused or 0
  print(("\n%d mutants: %d seen (%.1f %%), %d not seen for a reason, %d missed, %d broken"):format(
    count, seen, 100 * seen / math.max(1, count), excused, tally.missed or 0,
    count - seen - excused - (tally.missed or 0)))
  return seen + excused == count
end

---@return boolean good
local function main()
  local options = parse_arguments(arg)
  local all = mutants.select(options.words)
  if #all == 0 then fail "no mutant is named so" end
  local good = applicable(all)
  if options.check then
    print(("%d mutants, %d do not apply"):format(#all, #all - #good))
    return #all == #good
  end
  local work = options.keep or process.folder()
  local cleanup <close> = setmetatable({}, { -- luacheck: ignore 211
    __close = function()
      if not options.keep then os.execute("rm -rf " .. process.quote(work)) end
    end })
  process.must(("mkdir -p %s; cd %s && chmod 755 . && rm -rf taken && mkdir taken"):format(
    process.quote(work), process.quote(work)))
  local jobs = math.min(options.jobs, #good)
  for i = 1, jobs do make_tree(("%s/tree%d"):format(work, i)) end
  run_baseline(work .. "/tree1", good, jobs)
  return report(run_workers(work, jobs, options.words), #all)
end

os.exit(main())
