-- Mutants of the agent: what is on the disk before what, what replaces a certificate, whose word
-- counts for trust and for time.
local AGENT <const> = { "spec/protocol/agent_spec.lua" }
local STORE <const> = { "spec/unit/lua/agent/store_spec.lua" }
local FOLDER <const> = { "spec/unit/base/folder_spec.lua" }
local SCHEDULE <const> = { "spec/unit/lua/agent/schedule_spec.lua" }
local YEARS <const> = { "spec/protocol/agent_years_spec.lua" }
local ROOM <const> = "lua/lest/agent/"

return {
  { file = "csrc/base/folder.c", specs = FOLDER,
    { "a lock for all", "flock(*fd, LOCK_EX | LOCK_NB)", "flock(*fd, LOCK_SH | LOCK_NB)" },
    { "a lock behind a link", "O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600", "O_CLOEXEC, 0600" },
    { "a file is a folder", " && S_ISDIR(info.st_mode))\n        return LEST_OK",
      ")\n        return LEST_OK" },
    { "a file becomes a link", "if (is_there(path) && !is_link(path))", "if (false)" },
    { "in two steps", "if (symlink(target, next) < 0 ||",
      "if (unlink(path), symlink(target, next) < 0 ||" },
  },
  { file = ROOM .. "store.lua", specs = STORE,
    { "any key", " and key:public_der() == cert.public_key.der", "" },
    { "a broken generation", "    if whole then\n      if number ==",
      "    if true then\n      if number ==" },
    { "never finished", "if whole then return promote(self) ~= nil end", "" },
    { "a key for all accounts", "folder.ensure(path, 448)", "folder.ensure(path, 511)" },
  },
  { file = ROOM .. "identity.lua", specs = AGENT,
    { "any name", "#changed > 0 and not self.options.server_names", "false" },
    { "a new key each time", "  local key, request = self.place:pending()\n",
      "  local key, request = nil, nil\n", specs = { "spec/fault/agent_spec.lua" } },
    { "a key that nobody keeps", "  ok, err = self.place:begin(key, request_of(self, way, now))\n",
      "  ok, err = true, nil\n" },
    { "any clock", "if not is_time_known(self, now) then", "if false then" },
    { "all at once after an outage", "    if at then\n      memory.retry,",
      "    if false then\n      memory.retry," },
    { "other ways than those that were told", "  return self.options.fallbacks\n",
      '  return { "expired", "bootstrap", "operator" }\n', specs = YEARS },
  },
  { file = ROOM .. "anchors.lua", specs = YEARS,
    { "what was learnt before an operator's word", "if word and memory.trust ~= word then",
      "if not memory.trust then" },
  },
  { file = ROOM .. "schedule.lua", specs = SCHEDULE,
    { "sparser near the end", "most = math.min(most, math.max(LEAST_S, (ends - now) / PARTS))",
      "most = most" },
    { "a server that puts off for ever", "pause = math.max(pause, math.min(asked, ASKED_MOST_S))",
      "pause = math.max(pause, asked)" },
    { "before the server wants it", "return now + asked + math", "return now + math" },
  },
  { file = ROOM .. "load.lua", specs = { "spec/unit/lua/agent/load_spec.lua" },
    { "no way to know the server",
      "if not each.trust and not each.fingerprint and not by_handshake", "if false" },
  },
}
