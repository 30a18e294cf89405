-- A sensor that reaches a gateway alone: `lest agent` asks there, with messages that it has signed,
-- and verifies the server's answers itself. The gateway is lest-forward.service, the server
-- server.lua, both beside this file. Without a gateway, the same goes by a stick: leave `gateway`
-- out, and
--   lest agent export /media/stick/requests.pem agent.lua
--   lest agent import /media/stick/requests.pem.answer agent.lua
return {
  state = "state",
  identities = {
    sensor1 = {
      url = "https://est.example.com:8443", -- the server, which is known to the gateway
      gateway = "http://192.0.2.1:8080",
      trust = "ca.pem",
      challenge_file = "secret", -- of the first certificate; it is never sent
      subject = "CN=sensor1",
      key = "ec:P-256",
      fallbacks = { "expired", "operator" }, -- the secret was good once
    },
  },
}
