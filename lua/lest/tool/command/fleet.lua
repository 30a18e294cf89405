--- `lest fleet [FLEET.lua]`: thousands of simulated devices against a real server.
local burst = require "lest.fleet.burst"
local core = require "lest.core"
local load = require "lest.fleet.load"
local plot = require "lest.fleet.plot"
local report = require "lest.fleet.report"
local simulations = require "lest.fleet.simulation"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest fleet"
local DEFAULT <const> = "./fleet.lua"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Simulate a fleet over years: devices that bootstrap, renew, go away, lose their "
      .. "power and misbehave, each with the machinery of lest agent, against a real server that "
      .. "follows the simulation's clock. Prints what an operator asks, and writes hours.csv, "
      .. "fleet.svg and the server's log to the folder `out`. Exit code 1: a device was lost that "
      .. "could have had a certificate.",
    example = "lest fleet examples/fleet.lua",
  }
  parser:argument "file":args "?"
    :description "What there is and what happens; ./fleet.lua by default."
  parser:option "--devices":argname "NUMBER":convert(math.tointeger)
    :description "So many devices in place of those of the file, to try it."
  parser:option "--out":argname "FOLDER"
    :description "Where results go, in place of the file's word."
  parser:flag "--check" :description "Only say whether the file is right."
  parser:flag "--json" :description "Print the figures as JSON."
  return parser
end

local function write(fleet, simulation, figures)
  local ok, err = core.file.write(fleet.out .. "/hours.csv", report.csv(simulation.tally))
  if ok then ok, err = core.file.write(fleet.out .. "/fleet.svg", plot.svg(simulation, figures)) end
  if not ok then return nil, err end
  return true
end

local function print_figures(fleet, figures, as_json)
  if as_json then return support.print_json(figures) end
  for _, row in ipairs(report.rows(figures)) do print(("%-14s%s"):format(row[1], row[2])) end
  print(("%-14s%s"):format("files", ("%s/fleet.svg, hours.csv, server.log"):format(fleet.out)))
end

local function simulate(fleet, options)
  local simulation, err = simulations.new(fleet)
  if not simulation then return nil, err end
  local progress <close> = support.progress "starting the server"
  local ok
  ok, err = simulation:run(function(share)
    progress:update(("%s, %d %%"):format(os.date("!%Y-%m-%d"), share * 100 // 1))
  end)
  if not ok then return nil, err end
  local figures = report.figures(simulation)
  ok, err = write(fleet, simulation, figures)
  if not ok then return nil, err end
  progress:close()
  print_figures(fleet, figures, options.json)
  return figures.lost > 0 and 1 or 0
end

local function put_load(fleet, options)
  local progress <close> = support.progress "starting"
  local figures, err = burst.run(fleet, function(name, share)
    progress:update(("%s, %d %%"):format(name, share * 100 // 1))
  end)
  if not figures then return nil, err end
  progress:close()
  if options.json then
    support.print_json(figures)
  else
    local rows = burst.rows(figures)
    support.print_columns(table.remove(rows, 1), rows)
  end
  return next(figures.errors) and 1 or 0
end

local function run(options)
  local file = options.file or DEFAULT
  local fleet, err = load.file(file, { devices = options.devices,
    out = options.out and core.file.absolute(options.out) })
  if not fleet then return nil, err end
  if options.check then
    io.write(file, ": ok\n")
    return 0
  end
  if fleet.load then return put_load(fleet, options) end
  return simulate(fleet, options)
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, run)
end

return M
