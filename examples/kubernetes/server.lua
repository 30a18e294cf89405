-- A server that certifies the pods of a cluster by policies/kubernetes.lua, in the folder that
-- `lest ca init` made (where root is to start it, with the `user`, `authority_user` and `ledger`
-- from there); its jwks.json is fetched by the script beside this file. Or the server fetches it:
--   jwks = "https://10.0.0.1:6443/openid/v1/jwks", jwks_trust = "cluster.pem",
--   jwks_token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token",
return {
  listen = { "[::]:8443" },
  tls = { auto = { names = { "est.example.com", "localhost" } } },
  ledger = "ledger.db",
  ca = { cert = "ca.pem", key = "ca.key" },
  profiles = {
    pod = { lifetime = "24h", keys = { "ec:P-256" }, names = "policy", subject = { "CN" },
      san = { "URI" }, eku = { "clientAuth", "serverAuth" } },
  },
  labels = {
    default = {
      profile = "pod",
      auth = "bearer",
      bearer = {
        jwks = "jwks.json",
        issuer = "https://kubernetes.default.svc.cluster.local", -- --service-account-issuer
        audience = "lest", -- as in pod.yaml
        algorithms = { "RS256", "ES256" },
      },
      policy = { file = "kubernetes.lua", options = { accounts = { "plant/*" } } },
    },
  },
}
