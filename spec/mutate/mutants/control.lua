--- The control socket: what a visitor may do there, and how much.
local ROOM <const>, TOOL <const> = "lua/lest/server/control", "lua/lest/tool"
local ERRAND <const>, CONTROL <const> = { "spec/fault/errand_spec.lua" },
  { "spec/fault/control_spec.lua" }
local BACKUP <const>, RELOAD <const> = { "spec/fault/backup_spec.lua" },
  { "spec/fault/reload_spec.lua" }

return {
  { file = ROOM .. "/visitors.lua", specs = CONTROL,
    { "any account comes in", "if peer.uid == 0 or peer.uid == options.uid then",
      "if true then" },
    { "any group comes in", "(peer.gid == options.group or", "(true or" },
    { "one account has all places", "or (self.by_uid[peer.uid] or 0) >= PER_ACCOUNT", "" },
  },

  { file = ROOM .. "/children.lua", specs = ERRAND,
    { "root has no place of its own", "return self.count >= ACCOUNTS", "return self.count >= ALL" },
    { "processes without number", "if uid == 0 then return self.count >= ALL end",
      "if uid == 0 then return false end" },
  },

  { file = ROOM .. "/commands.lua", specs = ERRAND,
    { "any command runs", "elseif not row then", "elseif false then" },
    { "a second command of one connection", "elseif visitor.command then", "elseif false then" },
    { "two copies at once", "elseif row.output and self:is_copying() then", "elseif false then",
      specs = BACKUP },
    { "pieces without end", "if files.pieces >= PIECES_MAX or", "if" },
    { "one account's files fill the room", "<= ACCOUNTS and", "<= ALL or" },
    { "names of files cost nothing", "local counted = #path + #data", "local counted = #data" },
    { "a command goes on for nobody", "child.leaving = core.loop.timer(LEFT_MS,",
      "child.leaving = core.loop.timer(LEFT_MS * 1000," },
  },

  { file = ROOM .. "/errand.lua", specs = ERRAND,
    { "any option is taken", "if forbidden then", "if false then" },
    { "a file is written by its name", "if row.output and not support.output then",
      "if false then" },
    { "a member acts as another", "if options.operator and not self:may_name_others() then",
      "if false then" },
    { "a member's word for sudo is taken", "self.peer.uid == 0 and self.sudo_user",
      "self.sudo_user" },
  },

  { file = ROOM .. "/queries.lua", specs = CONTROL,
    { "questions without end", "if #visitor.queries >= WAITING_MAX then", "if false then" },
  },

  { file = ROOM .. "/reloads.lua", specs = RELOAD,
    { "a member reloads at will", "if left_ms <= 0 or", "if true or" },
    { "root has to wait", "or self.may_always(uid) then", "then" },
  },

  { file = TOOL .. "/handover.lua", specs = ERRAND,
    { "a copy that failed is kept", "if done and done.code == 0 and output then",
      "if output then", specs = BACKUP },
    { "what is there is taken for new", "if into and core.system.exists(into) then",
      "if false then", reason = "the link at the end refuses it, too" },
  },

  { file = TOOL .. "/printer.lua", specs = { "spec/unit/lua/tool/printer_spec.lua" },
    { "a terminal obeys", "if self.is_terminal then", "if false then" },
    { "a cut character is no character", 'return #tail < length and tail or ""', 'return ""' },
  },

  { file = "csrc/ledger/sqlite_backup.c", specs = BACKUP,
    { "a copy stays where its process died", "if (!stays)", "if (false)" },
  },

  { file = "csrc/host/supervisor/supervisor.c", specs = RELOAD,
    { "a spec's processes outlive it", "kill(-pid, SIGKILL);", "" },
  },
}
