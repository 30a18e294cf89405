--- `lest policy fuzz`: search a request for which what must hold of a policy does not.
local as_user = require "lest.tool.policy.as_user"
local core = require "lest.core"
local desk_options = require "lest.testing.policy"
local fail = require "lest.base.fail"
local properties = require "lest.testing.properties"
local reach = require "lest.tool.policy.reach"
local search = require "lest.testing.search"
local specs = require "lest.tool.policy.specs"
local support = require "lest.tool.command.support"
local traffic = require "lest.tool.policy.traffic"

local M = {}

local SECONDS_MAX <const> = 86400
local AT_ONCE <const> = 20 -- requests of one property before the next one's turn

local function seconds(text)
  local number = support.duration(text)
  if number and number >= 1 and number <= SECONDS_MAX then return number end
  return nil, ("'%s' is no time from 1 s to 1 d"):format(text)
end

local function seed(text)
  local number = math.tointeger(tonumber(text, 10))
  if number and number >= 0 then return number end
  return nil, ("'%s' is no whole number"):format(text)
end

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "fuzz",
    summary = "Search a request that breaks what testing.always and testing.never of a spec state, "
      .. "or, of a policy alone, one for which it fails. Requests are of every kind (principals, "
      .. "names in every encoding, keys, times, approvals, inventories away), made of those of the "
      .. "spec or recorded ones, and of the words of the policy, its spec and its data; what is "
      .. "found is made smaller and printed as a test to paste. Exit code 0: nothing was found; 1: "
      .. "something was; 2: nothing, but a property was never tried, as where no request was "
      .. "approved.",
    example = "lest policy fuzz policy_spec.lua --seconds 30",
  })
  command:argument "file":description "A spec, which ends in _spec.lua, or a policy."
  command:option "--seconds":argname "TIME":convert(seconds):default "30s"
    :description "How long it searches: 30, or 5m."
  command:option "--seed":argname "N":convert(seed)
    :description "The same search again, as far as it gets in the time; printed if absent."
  command:option "--config":argname "SERVER.lua"
    :description("Of a policy: the configuration with its options and profiles. Where root types "
      .. "this, policies and specs run as its `user`, which must be able to read them, and without "
      .. "this option as root, with a warning.")
  command:option "--label":argname "LABEL":description "Of the configuration."
  command:flag "--recorded"
    :description "Begin with the newest requests in the ledger of --config, and change them."
end

-- The properties of a spec, which runs once for that; its other tests do no harm.
local function of_spec(file)
  properties.collected = {}
  local outcome, err = specs.run { paths = { file }, is_quiet = true }
  local found = properties.collected
  properties.collected = nil
  if not outcome then return nil, err end
  if #found == 0 then
    return fail("usage", file .. " states nothing with testing.always or testing.never"
      .. (outcome.failed > 0 and ", and does not pass: lest policy test says why" or ""))
  end
  return found
end

local function of_policy(options)
  local absolute = core.file.absolute
  specs.refuse_exit()
  local ok, policy = pcall(desk_options.new, absolute(options.file), {
    config = options.config and absolute(options.config), label = options.label })
  if not ok then return fail("policy", (tostring(policy):gsub("^.-testing%.policy: ", ""))) end
  policy.given_file = options.file:match "[^/]*$"
  return { properties.never_fails(policy) }
end

local function print_found(found, seed_text)
  io.write("found by seed ", seed_text, ":\n\n")
  for line in (properties.text(found) .. "\n"):gmatch "([^\n]*)\n" do
    io.write(support.clean(line), "\n")
  end
end

-- A turn of every property.
local function take_turn(searches)
  local count = 0
  for _, each in ipairs(searches) do
    local found = each:go_on(AT_ONCE)
    count = count + each.count
    if found then return count, found end
  end
  return count
end

-- All properties in turn until the time is over or one is broken.
local function search_all(list, options, recorded)
  local reached, searches = {}, {}
  for i, property in ipairs(list) do
    searches[i] = search.new(property, options.seed + i - 1, reached, recorded)
  end
  local began = core.clock.monotonic_ms()
  local now, shown, count, found = began, began, 0, nil
  while not found and now < began + options.seconds * 1000 do
    count, found = take_turn(searches)
    now = core.clock.monotonic_ms()
    if now - shown >= 1000 then
      shown = now
      support.status(("%d requests, %s, %d s"):format(count, reach.text(reached),
        (now - began) // 1000))
    end
  end
  support.status()
  return found, count, reached, searches
end

-- What was not tried: rules that were not asked, properties that nothing came near to.
local function print_rest(searches, reached)
  local untried = 0
  for _, each in ipairs(searches) do
    local why = each:untried()
    untried = untried + (why and 1 or 0)
    local remark = why and "; NEVER TRIED: " .. why
      or not each.verdicts.approve and "; no request was approved" or ""
    io.write(("  %s: %s%s\n"):format(support.clean(each.property.name), each:summary(), remark))
  end
  for _, name in ipairs(reach.missing(reached)) do
    io.write("  never asked as a rule or test: ", support.clean(name), "\n")
  end
  return untried
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  if not core.system.exists(options.file) then
    return fail("usage", options.file .. ": there is no such file")
  end
  options.seed = options.seed or core.clock.wall_us() % 1000000
  local is_spec = options.file:find "_spec%.lua$" ~= nil
  if is_spec and not options.recorded and options.label then
    support.usage "--label is of a policy; a spec says it itself"
  elseif options.recorded and not options.config then
    support.usage "--recorded wants the --config that has the ledger"
  end
  local recorded, list, ok, err
  if options.recorded then recorded, err = traffic.plans(options.config, options.label) end
  if not err then ok, err = as_user.enter("lest policy fuzz", options.config) end
  if not ok then return nil, err end
  reach.start()
  if is_spec then list, err = of_spec(options.file) else list, err = of_policy(options) end
  if not list then return nil, err end
  local found, count, reached, searches = search_all(list, options, recorded)
  if found then print_found(found, ("%d, after %d requests"):format(options.seed, count)) end
  if found then return 1 end
  io.write(("%d requests of seed %d, %d %s, %s\n"):format(count, options.seed, #list,
    #list == 1 and "property" or "properties", reach.text(reached)))
  local untried = print_rest(searches, reached)
  io.write(untried == 0 and "nothing was found\n" or ("nothing was found, but %d %s never tried\n")
    :format(untried, untried == 1 and "property was" or "properties were"))
  return untried == 0 and 0 or 2
end

return M
