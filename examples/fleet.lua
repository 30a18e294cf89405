-- A fleet over a year: `lest fleet examples/fleet.lua` makes a server of its own, lets 200 devices
-- live with it, and draws what happened (fleet-out/fleet.svg). `--devices 20` is a quick look.
return {
  devices = 200, duration = "1y", arrival = "60d",
  -- What each device's agent is told, as an identity of AGENT.lua is. Half of a life is left when
  -- renewals begin, so that two weeks' worth of them can be caught up with without a herd.
  device = { renew_at = 1 / 2, anchors_every = "14d" },
  groups = {
    { share = 0.05, away = "40d", every = "120d" }, -- in a drawer now and then
    { share = 0.05, power = 0.2 }, -- one of five steps ends with the power
    { share = 0.01, hammer = "1d" }, -- renews all the time
    { share = 0.01, wrong_secret = "2d" }, -- guesses
    { share = 0.01, broken_csr = "2d" },
  },
  events = {
    { at = "170d", outage = "14d" },
    { at = "60d", name = "the next root", run = { "lest", "ca", "rollover", "{server}", "begin" } },
    { at = "200d", name = "it signs", run = { "lest", "ca", "rollover", "{server}", "switch" } },
    { at = "330d", name = "the old one goes",
      run = { "lest", "ca", "rollover", "{server}", "finish" } },
  },
}
