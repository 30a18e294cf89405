--- The schema of FLEET.lua: which devices there are, and what befalls them and their server.
local duration = require "lest.duration"
local schema = require "lest.base.schema"

local s = schema
local M = {}

local text <const> = s.string { max = 4096 }
local long <const> = duration.field { min = 1, max = 100 * 365 * 86400 }
local real <const> = duration.field { min = 1, max = 86400 }

-- A part of a whole: 0.05 is one of twenty.
local share <const> = s.custom("a share, as 0.05", function(value)
  if type(value) ~= "number" then return nil end
  if not (value > 0 and value <= 1) then
    return nil, ("%s is no share from 0 to 1"):format(value)
  end
  return value + 0.0
end)

-- What an agent's identity has; lest.agent.load looks into it.
local identity <const> = s.custom("keys of an identity of AGENT.lua", function(value)
  return type(value) == "table" and value or nil
end)

--- What the devices of a group do that others do not.
M.HABITS = { "away", "power", "hammer", "wrong_secret", "broken_csr" }

local group <const> = s.record {
  share = share,
  away = s.optional(long), every = s.optional(long),
  power = s.optional(share),
  hammer = s.optional(long), wrong_secret = s.optional(long), broken_csr = s.optional(long),
}

local event <const> = s.record {
  at = long,
  outage = s.optional(long),
  run = s.optional(s.list(text, { max = 64 })),
  name = s.optional(s.string { max = 80 }),
}

--- Devices against a server that is there, in real time, for figures.
M.load = s.record {
  renewals = s.optional(s.integer { min = 0, max = 1000 }, 1),
  rate = s.optional(s.integer { min = 1, max = 100000 }),
}

M.fleet = s.record {
  server = s.optional(text),
  url = s.optional(text), trust = s.optional(text), secrets = s.optional(text),
  devices = s.integer { min = 1, max = 100000 },
  name = s.optional(s.string { max = 32 }, "device"),
  duration = s.optional(long),
  arrival = s.optional(long),
  step = s.optional(duration.field { min = 1, max = 86400 }),
  concurrency = s.optional(s.integer { min = 1, max = 1000 }, 50),
  seed = s.optional(s.integer { min = 0 }, 1),
  device = s.optional(identity),
  groups = s.optional(s.list(group, { max = 32 })),
  events = s.optional(s.list(event, { max = 256 })),
  load = s.optional(M.load),
  start = s.optional(real, "30s"),
  out = s.optional(text, "fleet-out"),
}

return M
