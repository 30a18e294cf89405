-- A web server's certificate that renews by itself: `lest agent` keeps it in a folder that nginx
-- reads, and has nginx read it again. As /etc/lest/agent.lua, with nginx.conf beside this file:
--   lest agent --check /etc/lest/agent.lua
--   lest agent --once /etc/lest/agent.lua    the first one, by the password in /etc/lest/secret
--   systemctl enable --now lest-agent        with ReadWritePaths=/etc/nginx/tls in a drop-in
return {
  state = "/var/lib/lest-agent",
  identities = {
    web = {
      url = "https://est.example.com:8443",
      trust = "ca.pem",
      username = "www.example.com",
      password_file = "secret",
      subject = "CN=www.example.com",
      san = { "DNS:www.example.com" },
      -- Certificate, key and anchors change by the switch of one link: nginx, whenever it starts,
      -- never finds the key of another certificate. Only root reads the key, as nginx does before
      -- it becomes its user.
      files = { { folder = "/etc/nginx/tls" } },
      hooks = { { command = { "nginx", "-t", "-q" } }, { command = { "nginx", "-s", "reload" } } },
      -- What nginx does not take is not left for its next start.
      rollback = true,
    },
  },
}
