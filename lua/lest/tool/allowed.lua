--- Operators' commands that a server which runs does: which, with which options. There it is the
--- same command, in a process that the control role forks for it (server/control/errand).
local M = {}

---@class lest.errand.row
---@field options string[] what may be given besides what all have; nothing else may
---@field files? string[] of these, those that name files, which are read here
---@field output? string of these, the one that names the file which is written here

-- What every command has. `config`, `control` and `direct` are for the terminal's side alone.
local COMMON <const> = { "subcommand", "config", "control", "json", "wide", "limit" }
local NARROWED <const> = { "principal_name", "device", "label", "part", "since" }

local function narrowed(more)
  return { options = table.move(NARROWED, 1, #NARROWED, #more + 1, more) }
end

local decision <const> = { options = { "id", "operator", "note", "tell", "hold_s" } }

--- Nothing else runs there.
---@type table<string, table<string, lest.errand.row>> by command and subcommand
M.ALLOWED = {
  credential = {
    add = {
      options = { "name", "from", "another", "kind", "realm", "password_file", "reusable",
        "expires", "facts" },
      files = { "from", "password_file" },
    },
    list = { options = { "name" } }, show = { options = { "name" } },
    remove = { options = { "name" } },
  },
  pending = {
    list = { options = { "state" } }, show = { options = { "id" } },
    approve = decision, reject = decision,
  },
  cert = {
    list = narrowed { "serial", "state", "expires_before", "expires_after", "not_renewed" },
    show = { options = { "serial" } }, issuers = { options = {} },
    revoke = {
      options = { "serial", "device", "key", "name", "exact", "yes", "reason", "challenge_file",
        "superseded_by" },
      files = { "key", "challenge_file" },
    },
    import = { options = { "files", "label" }, files = { "files" } },
  },
  outbox = {
    list = { options = { "state", "label" } },
    retry = { options = { "id", "failed", "label" } },
    drop = { options = { "id", "failed", "label" } },
  },
  request = {
    list = narrowed { "until_time", "refused_early", "id", "serial", "verdict" },
    show = { options = { "id" } }, record = { options = { "what" } },
  },
  ledger = {
    acts = { options = {} }, ends = { options = { "within" } },
    backup = { options = { "file" }, output = "file" },
  },
  explain = { [""] = { options = { "what" } } },
  log = { [""] = narrowed { "until_time", "verdict", "follow" } },
}

--- Most bytes of all files of a command.
M.FILES_MAX = 16 * 1024 * 1024

--- The stream of the file that a command writes, beside 1 and 2 of what it prints.
M.OUTPUT = 3

--- The row of a command: by its subcommand, or "" where it has none.
---@param command string
---@param subcommand string?
---@return lest.errand.row?
function M.row(command, subcommand)
  local rows = M.ALLOWED[command]
  return rows and (rows[""] or rows[subcommand or ""])
end

--- The first option that may not be given there.
---@param row lest.errand.row
---@param options table
---@return string?
function M.forbidden(row, options)
  local known = { [options.subcommand or ""] = true } -- as argparse has it
  for _, list in ipairs { COMMON, row.options } do
    for _, name in ipairs(list) do known[name] = true end
  end
  for name, value in pairs(options) do
    if value and not known[name] then return name end
  end
end

return M
