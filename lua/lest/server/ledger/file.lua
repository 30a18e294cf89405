--- The ledger's file, as an operator's command opens or makes it. A server opens its own, and makes
--- none (server/authority/setup).
---
---   local ledger <close>, err = file.open(config)
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

-- As root: become who owns the ledger. One that is not there yet is made where the server would
-- make it, in a folder that belongs to the authority's user alone.
local function become_owner(config)
  local ok, err = true, nil
  local root = core.system.user_id() == 0
  if root and config.authority_user and not core.system.exists(config.ledger) then
    local folder = config.ledger:match "^(.*)/[^/]*$"
    ok, err = core.process.own_folder(folder, config.authority_user)
  end
  if not ok then return nil, err end
  if not root then return config.ledger end
  -- Entered while it can be: what is above may be closed to the owner, as /root is.
  local folder, name = config.ledger:match "^(.*)/([^/]*)$"
  ok, err = core.system.enter(folder)
  if ok then ok, err = core.system.become_owner(config.ledger) end
  return ok and name, err
end

-- On a terminal, in one line that is written anew.
local function show_progress(seconds)
  if not core.system.is_terminal(2) then return end
  io.stderr:write(("\r\27[Kthe ledger is brought to this version (%d s)"):format(seconds))
  io.stderr:flush()
end

local function open(config, create)
  local path, err = become_owner(config)
  if not path then return nil, err end
  local told = false
  local ledger
  ledger, err = core.ledger.open(path, { create = create, progress = function(seconds)
    told = true
    show_progress(seconds)
  end })
  if told and core.system.is_terminal(2) then io.stderr:write "\r\27[K" end
  return ledger, err
end

--- Open the ledger of a configuration. As root this process becomes the ledger's owner first, and
--- stays so: no file of the ledger may belong to root.
---@param config { ledger: string, authority_user: string? } as lest.config gives it
---@return lest.ledger?
---@return lest.error? err
function M.open(config)
  local there, err = core.system.exists(config.ledger)
  if there == false then there, err = core.ledger.check(config.ledger) end
  if not there then return nil, err end
  return open(config, false)
end

--- Open the ledger of a configuration to read it alone: nothing is made or changed, and no other
--- process waits. As root this process becomes its owner, likewise.
---@param config { ledger: string, authority_user: string? }
---@return lest.ledger?
---@return lest.error? err
function M.open_to_read(config)
  local there, err = core.system.exists(config.ledger)
  local path = config.ledger
  if there then path, err = become_owner(config) end
  if there == nil or not path then return nil, err end
  return core.ledger.open(path, { create = false, read_only = true })
end

--- Make the ledger of a configuration, which has none.
---@param config { ledger: string, authority_user: string? }
---@return boolean? ok
---@return lest.error? err
function M.init(config)
  local there, err = core.system.exists(config.ledger)
  if there == nil then return nil, err end
  if there then return fail("exists", config.ledger .. ": is there already, and stays as it is") end
  local ledger
  ledger, err = open(config, true)
  if not ledger then return nil, err end
  ledger:close()
  return true
end

return M
