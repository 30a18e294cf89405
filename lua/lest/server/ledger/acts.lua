--- What operators did: who changed what, noted before it is tried, and how it ended after that. One
--- without a result was tried by a process that ended first.
local core = require "lest.core"
local page = require "lest.server.ledger.page"
local terminal = require "lest.base.terminal"

local M = {}

---@class lest.operator.who
---@field uid integer as the kernel says
---@field account? string its name, or that of the person behind sudo
---@field operator? string the name that they gave themselves
---@field through "socket"|"file"

local TEXT_MAX <const> = 200

-- What an operation is about, of its arguments. No argument else is kept: one may be a password.
local CHANGES <const> = {
  credential_add = "name", credential_remove = "name", pending_approve = "id",
  pending_reject = "id", cert_revoke = "serial", cert_revoke_device = "device",
  cert_revoke_named = "name",
  cert_revoke_key = "key_hash", cert_import = "label", ledger_backup = "file",
  outbox_retry = "id", outbox_drop = "id", outbox_retry_failed = "label",
  outbox_drop_failed = "label",
  credential_add_all = function(arguments) return #arguments.prepared .. " credentials" end,
  credential_remove_all = function(arguments) return #arguments.made .. " credentials" end,
}

local function subject_of(operation, arguments)
  local kind = CHANGES[operation]
  local subject = type(kind) == "function" and kind(arguments) or arguments[kind]
  return subject and tostring(subject)
end

-- What was given is noted also where the operation then refuses it.
local function shown(text)
  return text and terminal.line(text, TEXT_MAX)
end

--- Call fn, which is this operation; where it changes something, note who does it.
---@param ledger lest.ledger
---@param who lest.operator.who?
---@param operation string
---@param arguments table
---@param fn fun(): any, any
---@return any
---@return any
function M.note(ledger, who, operation, arguments, fn)
  if not who or not CHANGES[operation] then return fn() end
  local row = { time_us = core.clock.wall_us(), uid = who.uid, operation = operation }
  local ok, problem = ledger:run("act_begin", { time_us = row.time_us, uid = row.uid,
    operation = operation, account = shown(who.account), operator = shown(who.operator),
    through = who.through, subject = shown(subject_of(operation, arguments)) })
  if not ok then return nil, problem end
  local result, err = fn()
  row.result = result and "ok" or core.error.is(err) and err.code or "error"
  ledger:run("act_end", row)
  return result, err
end

--- A page of them, the newest first.
function M.list(operator, arguments)
  return page.read(operator.ledger, "act_list", {}, arguments)
end

return M
