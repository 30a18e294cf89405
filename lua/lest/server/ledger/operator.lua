--- What an operator does to a server's ledger: credentials, pending requests, certificates,
--- events.
---
--- A server may be running beside it: the ledger's engine takes several writers, and every state
--- change is a conditional update.
---
---   local made, err = operator.call(config, "credential_add", { name = "device001" })
local acts = require "lest.server.ledger.acts"
local certificates = require "lest.server.ledger.certificates"
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local explain = require "lest.server.ledger.explain"
local fail = require "lest.base.fail"
local file = require "lest.server.ledger.file"
local outbox = require "lest.server.ledger.outbox"
local page_module = require "lest.server.ledger.page"
local pending = require "lest.server.ledger.pending"
local requests = require "lest.server.ledger.requests"
local revocation = require "lest.server.ledger.revocation"

local M = {}

M.REVOCATION_REASONS = revocation.REASONS

---@class lest.operator
---@field ledger lest.ledger
---@field credentials lest.credentials
---@field clock fun(): integer
---@field labels table<string, table> of the configuration
---@field who? lest.operator.who who operates

--- Who operates in this process, for what it changes; nil where nobody is to be noted.
---@type lest.operator.who?
M.who = nil

---@type table<string, fun(operator: lest.operator, arguments: table): table?, lest.error?>
M.operations = {
  cert_list = certificates.list, cert_show = certificates.show,
  request_list = requests.list, request_show = requests.show, refusal_list = requests.refusals,
  request_after = requests.after, request_explain = explain.explain,
  cert_revoke_key = revocation.revoke_key,
  cert_revoke = revocation.revoke, cert_revoke_device = revocation.revoke_device,
  act_list = acts.list,
  cert_find_named = revocation.find_named, cert_revoke_named = revocation.revoke_named,
}

local operations <const> = M.operations

--- No row has a name that no text can be.
local function is_impossible(name)
  return name and not core.utf8.is_text(name)
end

-- ---- credentials

function operations.credential_add(operator, arguments)
  return operator.credentials:add(arguments)
end

-- What each(element) gives for all of a list, in one transaction; nothing where one fails.
local function for_all(operator, list, each)
  local ledger, results = operator.ledger, {}
  local ok, err = ledger:begin()
  if not ok then return nil, err end
  for i, element in ipairs(list) do
    results[i], err = each(element)
    if not results[i] then break end
  end
  ok = #results == #list
  if ok then ok, err = ledger:commit() end
  if ok then return results end
  ledger:rollback()
  return nil, err
end

--- Make all credentials of a list, or none; without `another`, none for a name that has one.
function operations.credential_add_all(operator, arguments)
  return for_all(operator, arguments.prepared, function(prepared)
    local wanted, is_free, err = prepared.wanted, arguments.another, nil
    if not is_free then is_free, err = operator.credentials:is_free(wanted.name, wanted.kind) end
    if err then return nil, err end
    if not is_free then
      return fail("exists", ("'%s' has a live credential already; nothing was made "
        .. "(--another makes one more for each)"):format(wanted.name))
    end
    return operator.credentials:write(prepared)
  end)
end

function operations.credential_remove_all(operator, arguments)
  return for_all(operator, arguments.made, function(made)
    return operator.credentials:remove(made.id)
  end)
end

function operations.credential_list(operator, arguments)
  if is_impossible(arguments.name) then return {} end
  return operator.credentials:list(arguments.name, arguments.before, page_module.size(arguments))
end

--- Those of a name, or the one with an id.
function operations.credential_show(operator, arguments)
  local rows, err = operator.credentials:find(arguments.name)
  if not rows then return nil, err end
  if not rows[1] then
    return fail("not_found", ("there is no credential of the name '%s'"):format(arguments.name))
  end
  return rows
end

function operations.credential_remove(operator, arguments)
  local removed, err = operator.credentials:remove(arguments.name)
  if not removed then return nil, err end
  if removed == 0 then
    return fail("not_found", ("there is no credential of the name '%s'"):format(arguments.name))
  end
  return { removed = removed }
end

--- Of which names credentials are still good, and how many.
---@param operator lest.operator
---@param arguments { names: string[] }
---@return { name: string, good: integer }[]?
---@return lest.error? err
function operations.credential_good(operator, arguments)
  local found = {}
  for _, name in ipairs(arguments.names) do
    local good, err = 0, nil
    if not is_impossible(name) then good, err = operator.credentials:count_good(name) end
    if not good then return nil, err end
    if good > 0 then table.insert(found, { name = name, good = good }) end
  end
  return found
end

-- ---- pending requests

for name, operation in pairs(pending.operations) do operations[name] = operation end

-- ---- events

for name, operation in pairs(outbox.operations) do operations[name] = operation end

-- ---- calling

local function wall_clock()
  return core.clock.wall_us() // 1000000
end

--- Operate on an open ledger.
---@param ledger lest.ledger
---@param operation string
---@param arguments table
---@param options? { clock?: function, scrypt?: function, labels?: table } where not the default
---@return table?
---@return any err of a list that worked: where its page ended, nil at the end of the list
function M.run(ledger, operation, arguments, options)
  local run = operations[operation]
  if not run then return fail("usage", ("there is no operation '%s'"):format(operation)) end
  local clock = options and options.clock or wall_clock
  local store = credentials.new { ledger = ledger, clock = clock,
    scrypt = options and options.scrypt }
  local self = { ledger = ledger, credentials = store, clock = clock,
    labels = options and options.labels or {}, who = M.who }
  return acts.note(ledger, M.who, operation, arguments, function() return run(self, arguments) end)
end

--- Do what is no operation of this file, and note who does it as of any other (acts.lua).
---@param ledger lest.ledger
---@param operation string
---@param arguments table
---@param fn fun(): any, any
---@return any
---@return any
function M.noted(ledger, operation, arguments, fn)
  return acts.note(ledger, M.who, operation, arguments, fn)
end

--- The rows of a list in pages: a page is in memory and no more. An error is raised.
---   for rows in operator.pages(ledger, "cert_list", { device = "device001", limit = 1000 }) do
---@param ledger lest.ledger
---@param operation string one that lists
---@param arguments table with limit: the most rows in all
---@param options? table of run()
---@return fun(): table[]?
function M.pages(ledger, operation, arguments, options)
  local left, before = arguments.limit, nil
  -- Few rows of a page may be what is asked for: it is read whole, however few are wanted.
  local is_sieved = arguments.part or arguments.not_renewed
  return function()
    while left > 0 do
      local most = is_sieved and math.maxinteger or left
      local wanted = { before = before, limit = page_module.size { limit = most } }
      for key, value in pairs(arguments) do wanted[key] = wanted[key] or value end
      local rows, last = M.run(ledger, operation, wanted, options)
      if not rows then error(last, 0) end
      rows = table.move(rows, 1, math.min(left, #rows), 1, {})
      left, before = last and left - #rows or 0, last
      if rows[1] then return rows end
    end
  end
end

local function run_on(open, config, operation, arguments)
  local ledger <close>, err = open(config)
  if not ledger then return nil, err end
  return M.run(ledger, operation, arguments, { labels = config.labels })
end

--- Operate on the ledger of a configuration; see server/ledger/file.
---@param config table
---@param operation string
---@param arguments table
---@return table?
---@return lest.error? err
function M.call(config, operation, arguments)
  return run_on(file.open, config, operation, arguments)
end

--- The same for an operation that only reads: no other process waits for it.
---@param config table
---@param operation string
---@param arguments table
---@return table?
---@return lest.error? err
function M.ask(config, operation, arguments)
  return run_on(file.open_to_read, config, operation, arguments)
end

return M
