-- Handshakes without certificates, at both ends.
local SERVER <const> = { "spec/protocol/psk_spec.lua" }
local PASSWORD <const> = { "spec/protocol/srp_spec.lua" }
local FAULT <const> = { "spec/fault/handshake_spec.lua" }
local IDENTITY <const> = { "spec/unit/net/identity_spec.lua" }

return {
  { file = "lua/lest/server/authority/identities.lua", specs = FAULT,
    { "who has no key is told so", "local found = holder or nobody",
      'local found = holder or error { code = "none" }', specs = SERVER },
    { "a grant of nobody's making",
      "if not secret.equal(mac(self, channel, parts), grant:sub(1, MAC_LEN)) then return nil end",
      "" },
    { "a grant is another worker's", 'string.pack("I4", channel.worker)', 'string.pack("I4", 1)' },
    { "a kind that no address takes", "if not self.takes[seek.kind] then", "if false then" },
    { "a salt that each start changes", "self.seed = seed(self)",
      "self.seed = secret.random_bytes(32)", specs = PASSWORD },
    { "a password is guessed from many networks",
      'seek.kind == "srp" and seek.name or nil', "nil" },
    { "two handshakes are one", "self.given = self.given + 1", "" },
    { "a stranger's share is the worker's",
      "if attempt.is_limited then",
      "if self.asked:take(channel.worker) or attempt.is_limited then" },
    { "a success is a failure", "  attempt:uncount()", "" },
    { "guesses are not counted", "  attempt:count()", "" },
    { "as many keys as are asked for", "if self.asked:take(channel.worker) then", "if false then" },
  },

  { file = "lua/lest/server/ledger/credentials.lua", specs = SERVER,
    { "what was removed meanwhile", "  local rows, err = live(self, kind, name, now, holder)",
      "  local rows, err = live(self, kind, name, 0, holder)" },
  },

  { file = "lua/lest/server/ledger/secrets.lua", specs = PASSWORD,
    { "one salt for all", "secret.random_bytes(SRP_SALT)", '("s"):rep(SRP_SALT)' },
    { "one salt for all strangers", 'bytes "salt":sub(1, SRP_SALT)', '("s"):rep(SRP_SALT)' },
  },

  { file = "csrc/net/client_key.c", specs = PASSWORD,
    { "any group of RFC 5054", "SSL_CTX_set_srp_strength(ctx, PKI_SRP_BITS_MIN)",
      "SSL_CTX_set_srp_strength(ctx, 1024)", specs = { "spec/interop/srp_spec.lua" } },
  },

  { file = "csrc/pki/key/srp.c", specs = { "spec/unit/pki/key/secret_spec.lua" },
    { "a small group", "bits >= PKI_SRP_BITS_MIN ?", "bits > 0 ?" },
  },

  { file = "lua/lest/base/psk.lua", specs = SERVER,
    { "any text", 'not hex:find "^%x+$"', "false" },
    { "a short key", "#hex < 2 * MIN", "false" },
  },

  { file = "csrc/net/tls_suites.c", specs = SERVER,
    { "no ephemeral key", '"DHE-PSK-AES128-GCM-SHA256:', '"PSK-AES256-GCM-SHA384:' },
  },

  { file = "csrc/net/connection.c", specs = IDENTITY,
    { "as many fibres as are asked for", "c->service->asking >= ASKING_MAX", "false" },
  },

  { file = "csrc/net/client_peer.c", specs = SERVER,
    { "any server with a certificate", "return refuse_certificate(ctx, peer);", "return 1;" },
  },
}
