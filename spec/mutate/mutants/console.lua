-- Mutants of the console: what an operator's statement reaches, and what becomes of what is parked.
local CONSOLE <const> = { "spec/unit/lua/server/worker/console_spec.lua" }
local DESK <const> = { "spec/policy/desk_spec.lua" }
local TERMINAL <const> = { "spec/unit/lua/tool/repl/attached_spec.lua" }
local ROOM <const> = "lua/lest/server/worker/console"

return {
  { file = ROOM .. ".lua", specs = CONSOLE,
    { "anybody writes", "if frame.write and not may_write(self, peer.uid) then", "if false then" },
    { "the account of the workers writes", "return uid == 0 or (not self.is_root and",
      "return uid == 0 or (" },
    { "sessions without end", ">= SESSIONS_MAX", "< 0" },
    { "nobody needs a session", 'elseif not session and frame.act ~= "open" then',
      "elseif false then" },
    { "a prompt that has gone holds on", 'return self:leave(connection, "the prompt has gone")',
      "return" },
    { "control that has ended holds on",
      'self:release "the control role has ended"', "return" },
  },

  { file = ROOM .. "/environment.lua", specs = CONSOLE,
    { "a file of lest's policy", '"address", "all",', '"address", "file", "all",' },
    { "a shell", '"clock", "date",', '"clock", "execute", "date",' },
    { "a global of raw tables", '"rawlen", "select",', '"rawlen", "rawset", "select",' },
    { "the console's own words can be assigned", "if verbs[key] then M.raise((",
      "if false then M.raise((" },
    { "what is kept has no end", "if state.values > KEPT_VALUES or", "if false and" },
  },

  { file = ROOM .. "/look.lua", specs = CONSOLE,
    { "what is looked at can be changed",
      'error("what you look at cannot be changed here", 2)', "" },
    { "the original of a request", '["lest.csr"] = function', '["no.csr"] = function' },
    { "functions are given to all", "return self.calls and value or", "return value or" },
  },

  { file = ROOM .. "/facts.lua", specs = CONSOLE,
    { "a policy's options are shown", '"anchors", "auth",', '"anchors", "policies", "auth",' },
    { "paths of keys are shown", '"ciphers", "client', '"key", "ciphers", "client' },
  },

  { file = ROOM .. "/session.lua", specs = CONSOLE,
    { "a statement runs as long as it waits", "if slices >= SLICES_MAX then", "if false then" },
    { "no turn for others", "MEMORY, SLICE_MS)", "MEMORY)" },
    { "memory without end", "* 1000, MEMORY,", "* 1000, 0," },
    { "two statements at a time", "if self.statement then return", "if false then return" },
  },

  { file = ROOM .. "/verbs.lua", specs = CONSOLE,
    { "anybody answers", 'for_write(session, "answer")', "" },
    { "anybody tries a policy", 'for_write(session, "policy.reload")', "" },
    { "any table is a verdict", "if not policy.is_verdict(verdict) then",
      'if type(verdict) ~= "table" then' },
  },

  { file = ROOM .. "/holding.lua", specs = CONSOLE,
    { "a policy that was tried stays", "if self.policy ~= self.request.label.policy then",
      "if false then" },
    { "parked for ever", 'self:release "its answer is due soon"', "" },
    { "the decision's time runs on", "if limit then limit:defer(math.max(",
      "if false then limit:defer(math.max(" },
    { "nobody is named", "facts.operator = who", "" },
  },

  { file = ROOM .. "/parking.lua", specs = CONSOLE,
    { "all are parked", "if self.parked >= self.most then", "if false then" },
    { "what passes by is not counted", "self.passed_by = self.passed_by + 1", "" },
    { "a break for one is for all", "by.times = by.times - 1", "" },
  },

  { file = "lua/lest/tool/repl/attached.lua", specs = TERMINAL,
    { "what was not typed is answered", "if answerer and names(code, what) then",
      "if answerer then" },
    { "a part of a word", '"%f[%w_]" .. word .. "%f[^%w_]"', "word" },
    { "a reload by another name", '"%f[%w_]policy%.reload', '"policy%.reload' },
  },

  { file = "lua/lest/tool/repl/remote.lua", specs = TERMINAL,
    { "what is printed as it came", "terminal.safe((line:gsub(", "tostring((line:gsub(" },
  },

  { file = "lua/lest/tool/repl/stops.lua", specs = TERMINAL,
    { "what happens as it came", "return terminal.line(tostring(text), LINE_MAX)",
      "return tostring(text)" },
  },

  { file = "lua/lest/tool/policy/specs.lua",
    specs = { "spec/unit/lua/tool/policy/test_spec.lua", "spec/fault/reload_spec.lua" },
    { "a spec that ends the process passes", "  M.refuse_exit()\n  local", "  local" },
  },

  { file = "lua/lest/desk/account.lua", specs = DESK,
    { "a policy as root", "if core.process.uid ~= 0 then return true end", "do return true end" },
    { "globals that can be set", "  globals.close()\n", "" },
  },

  { file = "lua/lest/desk/record.lua", specs = DESK,
    { "what the record has not is decided", "local missing = source.missing and",
      "local missing = false and" },
    { "answers of the decision before", "  self.source = nil\n", "" },
  },

  { file = "lua/lest/desk/stepping.lua", specs = DESK,
    { "no stop", "held.is_stepping = true", "held.is_stepping = false" },
  },

  { file = "lua/lest/tool/repl/desk.lua", specs = DESK,
    { "a policy ends the prompt", "  specs.refuse_exit()\n", "" },
    { "the policy of before", "    self.files[each.file] = read[each.file]\n", "" },
    { "modules of before", "package.loaded[name] = nil", "package.loaded[name] = true" },
  },

  { file = "lua/lest/base/portable.lua", specs = { "spec/unit/lua/base/portable_spec.lua" },
    { "tables without end", "if at <= M.ITEMS then", "if true then" },
    { "levels without end", "if state.depth >= M.DEPTH then", "if false then" },
    { "bytes without end", "if state.bytes < EACH then", "if false then" },
    { "the name of a class as it came", 'match "^[%w._-]+$"', 'match "^.+$"', specs = TERMINAL },
  },

  { file = "lua/lest/server/control/query.lua",
    specs = { "spec/unit/lua/server/control/query_spec.lua" },
    { "rows without end", "max = LIMIT_MAX", "max = 1 << 30" },
  },
}
