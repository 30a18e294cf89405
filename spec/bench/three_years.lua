-- The fleet that lest is held against: a thousand devices for three years, with new certificates of
-- the server, two weeks without it, and one of twenty devices away for months, again and again.
-- Nobody is to be lost who could have been saved, and no week may have more than twice its share of
-- renewals. It takes some minutes of both processors:
--   build/release/bin/lest fleet spec/bench/three_years.lua --out /tmp/three-years
local function renew_server(at)
  return { at = at .. "d", name = "server certificate",
    run = { "lest", "ca", "server-cert", "{server}" } }, { at = at + 1 .. "d", name = "reload",
    run = { "lest", "policy", "reload", "--config", "{server}/server.lua" } }
end

local events = { { at = "500d", outage = "14d" } }
for _, at in ipairs { 300, 640, 980 } do
  events[#events + 1], events[#events + 2] = renew_server(at)
end

return {
  devices = 1000, duration = "3y", arrival = "45d", step = "8h", concurrency = 20,
  device = { renew_at = 1 / 2, anchors_every = "60d", preemptive = true },
  groups = {
    { share = 0.05, away = "100d", every = "300d" },
    { share = 0.02, power = 0.2 },
  },
  events = events,
}
