--- lest-fleet.lua(5): a fleet that is simulated, from its shape and the meaning of each key.
local keys = require "lest.tool.manual.keys"
local meaning = require "lest.fleet.meaning"
local shape = require "lest.fleet.shape"

local EXAMPLE <const> = [[
return {
  devices = 200, duration = "1y", arrival = "60d",
  device = { renew_at = 1 / 2, anchors_every = "14d" },
  groups = { { share = 0.05, away = "40d", every = "120d" } },
  events = { { at = "170d", outage = "14d" } },
}]]

local ORDER <const> = { "devices", "duration", "arrival", "device", "groups", "events", "server",
  "trust", "load", "url", "secrets", "out" }

local page <const> = {
  name = "lest-fleet.lua", section = 5, manual = "File Formats",
  summary = "a fleet of devices that is simulated",
  { title = "DESCRIPTION",
    "What `lest fleet` simulates is a Lua file that returns a table; `lest fleet --check` says "
      .. "whether it is right. Paths are relative to the file's folder. A duration is a number of "
      .. "seconds or a text with units: `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"90d\"`, `\"1y\"`. No "
      .. "other keys are taken.",
    "Limits a minute stay in real time, in which a day may last some milliseconds: where devices "
      .. "that guess secrets are refused for their number, raise `limits` of the server. All "
      .. "devices have one address.",
  },
}

for _, section in ipairs(keys.sections(shape.fleet.fields, meaning, ORDER)) do
  table.insert(page, section)
end

table.insert(page, { title = "FILES",
  { term = "`OUT/hours.csv`", "For each hour: devices that got their first certificate "
    .. "(`first`), renewals in time (`renewed`) and after the end (`by_expired`, `by_bootstrap`), "
    .. "requests for trust anchors alone, for what is pending, failures, what was refused of the "
    .. "ill ones, power cuts; then how many devices had a first certificate, were without a valid "
    .. "one, and away." },
  { term = "`OUT/fleet.svg`", "The same as a picture." },
  { term = "`OUT/server.log`", "What the server wrote, by the simulation's clock." },
})
table.insert(page, { title = "EXAMPLE", { code = EXAMPLE } })
table.insert(page, { title = "SEE ALSO",
  "`lest-fleet`(1), `lest-agent.lua`(5); OPERATING.md, \"Simulating a fleet\"" })

return page
