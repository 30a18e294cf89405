-- Connections from a balancer: who the client is.
local PROXY <const> = { "spec/unit/net/proxy_spec.lua" }
local CONFIG <const> = { "spec/unit/lua/server/config/load_spec.lua" }

return {
  { file = "csrc/net/proxy.c", specs = PROXY,
    { "another family's port", "if (!net_address_read_port(port, &number))",
      "if (net_address_read_port(port, &number) && number > 65535)" },
    { "words behind the last", "count != TEXT_WORDS ||", "count < TEXT_WORDS ||" },
    { "an address that is called and is none",
      "!read_client(words[1], words[3], words[5], &unused) ||", "(unused.len != 0) ||" },
    { "a line without its carriage return", "data[at] != '\\r' || data[at + 1]", "data[at + 1]" },
    { "another command", "if (len > 12 && data[12] != LOCAL && data[12] != PROXY)",
      "if (len > 12 && data[12] >> 4 != 2)" },
    { "UDP", "data[13] != TCP4 && data[13] != TCP6)", "!(data[13] & 0x30))" },
    { "a header that is too long", "if (size > NET_PROXY_MAX - HEAD)",
      "if (size > 2 * NET_PROXY_MAX)" },
    { "too short for its addresses", "size < (data[13] == TCP4 ? 12 : 36)", "size < 12" },
    { "entries that are malformed", "if (size > len - at)", "if (false)" },
    { "a wrong checksum", " || !crc_fits(data, len, at)", "" },
  },

  { file = "csrc/net/address.c", specs = PROXY,
    { "a leading zero", " || (len > 1 && text[0] == '0')", "" },
    { "every network", "if ((!is_v4 || networks[i].bits >= NET_NETWORK_V4_BITS) && has(",
      "if (is_known || has(" },
  },

  { file = "csrc/net/connection_proxy.c", specs = PROXY,
    { "more than the header is taken",
      "verdict == NET_PROXY_MORE ? got : header.len - before", "got" },
    { "a client without a limit", "service->limits.connections_per_address_max", "INT32_MAX" },
    { "a client is counted as the balancer", "client ? net_peer_key(client) : c->key", "c->key" },
  },

  { file = "csrc/net/server.c", specs = PROXY,
    { "anybody is a balancer", "if (socket->balancers_count == 0 ||", "if (true ||" },
  },

  { file = "csrc/net/service.c", specs = PROXY,
    { "a balancer that names nobody has all places", "service->limits.connections_max / 2 + 1",
      "service->limits.connections_max" },
  },

  { file = "csrc/host/supervisor/supervisor.c", specs = { "spec/fault/health_spec.lua" },
    { "who comes to a server that stops hangs",
      "host_listeners_close(supervisor->current->setup.listen, "
        .. "supervisor->current->setup.listen_count);", "" },
  },

  { file = "lua/lest/server/config/listen.lua", specs = CONFIG,
    { "everybody is a balancer", "if parsed.bits == 0 then", "if false then" },
    { "a balancer of no form", "if not parsed then return nil, problem end",
      'if not parsed then parsed = network.parse "::1" end' },
  },
}
