-- The server for devices that reach it by a gateway, or by a stick: its label takes what holds
-- without a connection. In the folder that `lest ca init` made (where root is to start it, with the
-- `user`, `authority_user` and `ledger` from there). The policy is of
--   lest policy new own-name --from own-name
-- and the secret of each device of
--   lest credential add sensor1 --kind challenge --config server.lua
return {
  listen = { "[::]:8443" },
  tls = { auto = { names = { "est.example.com", "localhost" } } },
  ledger = "ledger.db",
  ca = { cert = "ca.pem", key = "ca.key" },
  cmc = { cert = "cmc.pem", key = "cmc.key" }, -- who signs the answers
  anchors = { own = "ca.pem" },
  profiles = {
    device = { lifetime = "90d", keys = { "ec:P-256" }, eku = { "clientAuth" },
      names = "principal" },
  },
  labels = {
    default = {
      profile = "device",
      policy = "own-name.lua",
      fullcmc = true,
      auth = { "certificate", "challenge" },
      lost_answer = "30d", -- as long as a stick may be on its way, and come again
      expired_grace = "90d", -- for the device that nobody came to in time
    },
  },
}
