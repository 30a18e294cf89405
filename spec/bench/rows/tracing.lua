--- Row: an enrollment that a policy of five rules of the kit decides. With --against a build from
--- before a change to what a decision notes, the ratio is what that costs.
local process = require "support.process"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local THREADS <const> = 16

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = policy.first {
    policy.unless(policy.address { "127.0.0.0/8", "::1" }, policy.reject "not from there"),
    policy.when(policy.principal { kind = "certificate" }, policy.reject "a password, please"),
    policy.unless(policy.key { type = { "ec:P-256", "ec:P-384" } }, policy.reject "use P-256"),
    policy.when(policy.all { policy.principal { name = "test-*" },
      policy.time { days = "mon-fri" } }, policy.pending()),
    policy.named("devices", policy.when(policy.principal { name = "device-*" },
      policy.own_name())),
  },
}
]]

local function start(context, scope)
  local sides = {}
  for i, build in ipairs(context.builds) do
    local side = scope(sides_module.make(build,
      { requests = context.rounds * context.enrollments + 1 }))
    process.write(side.dir .. "/policy.lua", POLICY)
    side:run()
    side.parts = rounds.split(side.requests, rounds.counts(context.rounds, context.enrollments))
    side:load(side.parts[1], { count = 1, threads = 1 })
    sides[i] = side
  end
  return sides
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local sides = start(context, scope)
  local results = rounds.run(sides, context.rounds, function(side, round)
    return side:load(side.parts[round + 1], { count = context.enrollments, threads = THREADS })
  end)
  local data, lines = {}, {}
  for i, side in ipairs(sides) do
    data[side.name] = { cpu_us = rounds.of(results[i], "cpu_us") }
    lines[i] = ("  %-10s %7.0f us of CPU an enrollment"):format(side.name, data[side.name].cpu_us)
  end
  if sides[2] then
    local found = rounds.ratio(results[1], results[2], "cpu_us")
    data.ratio = found
    lines[#lines + 1] = ("  lest / against %6.3f (%.3f to %.3f)"):format(found.ratio, found.least,
      found.most)
  end
  return data, lines
end
