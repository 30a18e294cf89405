-- A pod's certificate, by the token of its service account: `lest agent --once` gets it before the
-- pod's containers start, and `lest agent` keeps it. pod.yaml, beside this file, mounts all that is
-- named here. Whoever serves reads /var/run/lest/tls/tls.crt and tls.key, which change at once.
return {
  state = "/var/run/lest/state",
  identities = {
    pod = {
      url = "https://est.example.com:8443",
      trust = "ca.pem",
      bearer_file = "/var/run/secrets/lest/token", -- the cluster renews it: it is read each time
      subject = "CN=pod", -- the server names it after the service account
      server_names = true,
      -- No certificate outlives the account by more than its own time: the cluster makes tokens no
      -- more once the account or the pod is gone.
      renewal = { credential = true },
      files = { { folder = "/var/run/lest/tls" } },
    },
  },
}
