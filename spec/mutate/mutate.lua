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
  spec/mutate/run [--check] [--jobs N] [WORD...]
--check: only tell whether each mutant still applies to the tree
--jobs: how many workers (default: one a core)
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
    elseif words[i]:find "^%-" then
      fail("'%s' is not understood (--help)", words[i])
    else
      table.insert(options.words, words[i])
    end
    i = i + 1
  end
  return options
end

--- What of the table does not fit the tree, a line each.
local function problems_of(all)
  local lines = {}
  for _, mutant in ipairs(all) do
    local problem = process.exists(mutant.file)
      and select(2, mutants.plant(mutant, process.read(mutant.file))) or nil
    if not process.exists(mutant.file) then problem = "the file is not there" end
    for _, spec in ipairs(mutant.specs) do
      if not process.exists(spec) then problem = "there is no " .. spec end
    end
    if problem then
      table.insert(lines, ("does not apply  %s: %s"):format(mutant.title, problem))
    end
  end
  return lines
end

--- A copy of the tree as it is, with what is not committed, built.
local function make_tree(folder)
  process.must(([[
    mkdir %s
    git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null |
      tar -c -T - | tar -x -C %s
    cd %s
    chmod -R a+rX .
    cmake --preset release >/dev/null
    cmake --build --preset release >build.log 2>&1 || { cat build.log >&2; exit 1; }]]):format(
    folder, folder, folder))
end

--- The specs must pass where nothing is planted: else what they say of a mutant means nothing.
local function run_baseline(tree, all, jobs)
  local seen, specs = {}, {}
  for _, mutant in ipairs(all) do
    for _, spec in ipairs(mutant.specs) do
      if not seen[spec] then table.insert(specs, process.quote(spec)) end
      seen[spec] = true
    end
  end
  local code, out = process.run(("cd %s && spec/support/parallel release %d 300 %s"):format(tree,
    jobs, table.concat(specs, " ")))
  if code ~= 0 then fail("the specs fail without any mutant:\n%s", out) end
  print(("without a mutant: %s"):format(out:match "[^\n]*\n$"))
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

local options = parse_arguments(arg)
local all = mutants.select(options.words)
if #all == 0 then fail "no mutant is named so" end
local problems = problems_of(all)
for _, line in ipairs(problems) do print(line) end
if options.check or #problems > 0 then
  print(("%d mutants, %d do not apply"):format(#all, #problems))
  os.exit(#problems == 0)
end

local work = process.folder()
local cleanup <close> = setmetatable({}, { -- luacheck: ignore 211
  __close = function() os.execute("rm -rf " .. process.quote(work)) end })
process.must { "chmod", "755", work }
process.must { "mkdir", work .. "/taken" }
local jobs = math.min(options.jobs, #all)
for i = 1, jobs do make_tree(("%s/tree%d"):format(work, i)) end
run_baseline(work .. "/tree1", all, jobs)
local lines = run_workers(work, jobs, options.words)
if not report(lines, #all) then error("", 0) end
