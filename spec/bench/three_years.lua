-- The fleet that lest is held against: a thousand devices for three years, with a new root, a
-- server that renews its own certificate all the while, two weeks without it, and one of twenty
-- devices away for months, again and again. Nobody is to be lost who could have been saved, and no
-- week may have more than twice its share of renewals. It takes some minutes of both processors
-- (in steps of half a day what is due then comes in flocks, fourteen or fifteen a week):
--   build/release/bin/lest fleet spec/bench/three_years.lua --out /tmp/three-years
local function rollover(at, step, name)
  return { at = at, name = name, run = { "lest", "ca", "rollover", "{server}", step } }
end

return {
  devices = 1000, duration = "3y", arrival = "45d", step = "3h", concurrency = 20,
  device = { renew_at = 1 / 2, anchors_every = "60d", preemptive = true },
  groups = {
    { share = 0.05, away = "100d", every = "300d" },
    { share = 0.02, power = 0.2 },
  },
  events = {
    { at = "300d", outage = "14d" },
    rollover("500d", "begin", "the next root"),
    rollover("600d", "switch", "it signs"),
    rollover("800d", "finish", "the old one goes"),
  },
}
