--- `lest check`: what of a server's configuration ends when, what breaks first, what to do.
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local expiry = require "lest.tool.check.expiry"
local in_use = require "lest.tool.ca.in_use"
local json = require "lest.json"
local load_config = require "lest.server.config.load"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest check",
    summary = "Say what of a server ends when: its certificate, its CAs and what is above them, "
      .. "anchors, the CRLs that it reads and that it publishes, credentials; what breaks first, "
      .. "and what to do. The exit code is for monitoring: 0 where all is well, 1 where something "
      .. "ends within --within or is to be looked at, 2 where something has expired or cannot be "
      .. "read. `lest serve --check` says whether the server would start.",
    example = "lest check --config /etc/lest/server.lua --within 30d",
  }
  parser:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration."
  parser:option "--within":argname "DURATION":default "30d":convert(support.duration)
    :description "What ends so soon is a warning. What renews itself is one when it is overdue."
  parser:flag "--no-ledger"
    :description("Do not ask the ledger: for the CRLs that are published, credentials, and "
      .. "certificates whose CA is in the configuration no more.")
  parser:flag "--json":description "Print JSON."
  return parser
end

-- What the ledger says; where it was not asked for all, also why.
local function ask_ledger(options)
  if options.no_ledger then return {} end
  local issuers, err = in_use.issuers(options.config)
  if not issuers then return {}, tostring(err) end
  local ends
  ends, err = in_use.ends(options.config, options.within)
  return { issuers = issuers, ends = ends }, not ends and tostring(err) or nil
end

local CODES <const> = { ok = 0, warning = 1, expired = 2, broken = 2 }

local function when(item, now)
  if not item.ends then return item.is_broken and "?" or "-" end
  local left = item.ends - now
  return ("%s (%s)"):format(clock.text(item.ends):sub(1, 10), left >= 0
    and "in " .. duration.format(left) or duration.format(-left) .. " ago")
end

local function name_of(item)
  return item.subject and ("%s, %s"):format(item.what, item.subject) or item.what
end

local function tell(item)
  io.write("\n", item.state, ": ", item.key, ": ", support.clean(name_of(item)), "\n")
  if item.file then io.write("  file: ", support.clean(item.file), "\n") end
  if item.problem then io.write("  problem: ", support.clean(item.problem), "\n") end
  if item.ends then io.write("  ends: ", clock.text(item.ends), "\n") end
  io.write("  then: ", item.breaks, "\n  do: ", item.fix, "\n")
end

local function print_items(items, now)
  local lines = {}
  for i, item in ipairs(items) do
    lines[i] = { item.state, when(item, now), item.key, name_of(item) }
  end
  support.print_columns({ "STATE", "ENDS", "KEY", "WHAT" }, lines, nil,
    { line = support.line_columns(1) })
  for _, item in ipairs(items) do
    if item.state ~= "ok" then tell(item) end
  end
  local first
  for _, item in ipairs(items) do
    if not (item.renews or item.is_as_it_should) then first = first or item end
  end
  if first and first.state == "ok" and first.ends then
    io.write("\nFirst to end: ", first.key, ", ", when(first, now), ". Then ", first.breaks,
      ".\nDo: ", first.fix, ".\n")
  end
end

local function object_of(item)
  return json.object { key = item.key, what = item.what, file = item.file, subject = item.subject,
    not_before = item.begins, not_after = item.ends, state = item.state, problem = item.problem,
    breaks = item.breaks, fix = item.fix }
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, function(options)
    local config, err = load_config.load(options.config)
    if not config then return nil, err end
    local said, unasked = ask_ledger(options)
    if unasked then
      support.complain("lest check", "the ledger was not asked (--no-ledger): " .. unasked)
    end
    local now, worst = core.clock.wall_us() // 1000000, "ok"
    local items = expiry.of(config, now, said)
    for _, item in ipairs(items) do
      item.state = expiry.state(item, now, options.within)
      if CODES[item.state] > CODES[worst] then worst = item.state end
    end
    if options.json then
      local objects = {}
      for i, item in ipairs(items) do objects[i] = object_of(item) end
      support.print_json(json.object { state = worst, exit_code = CODES[worst], items = objects })
    else
      print_items(items, now)
    end
    return CODES[worst]
  end)
end

return M
