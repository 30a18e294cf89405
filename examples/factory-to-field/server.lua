-- The owner's server for the device of agent.lua, in the folder that `lest ca init` made (where
-- root is to start it, with the `user`, `authority_user` and `ledger` from there). makers.pem has
-- the CA of the factory, devices.csv a column `serial` with what was bought. The policies are of
--   lest policy new allow-list --from allow-list
--   lest policy new strict-renewal --from strict-renewal
return {
  listen = { "[::]:8443" },
  tls = { auto = { names = { "est.example.com", "localhost" } } },
  ledger = "ledger.db",
  ca = { cert = "ca.pem", key = "ca.key" },
  anchors = { own = "ca.pem", factory = "makers.pem" },
  profiles = {
    device = { lifetime = "90d", keys = { "ec:P-256" }, eku = { "clientAuth" }, names = "policy",
      subject = { "CN", "serialNumber" } },
  },
  labels = {
    default = {
      profile = "device",
      auth = { "certificate" },
      policies = {
        { file = "allow-list.lua", options = { devices = "devices.csv", window = "90d" } },
        "strict-renewal.lua",
      },
    },
  },
}
