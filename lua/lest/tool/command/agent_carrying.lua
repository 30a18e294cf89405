--- `lest agent export FILE` and `lest agent import FILE`: requests of identities that have no
--- network, and the answers that somebody brings back. In between is `lest forward FILE`, or curl.
local carried_text = require "lest.client.carried_text"
local carrying = require "lest.agent.carrying"
local core = require "lest.core"
local fail = require "lest.base.fail"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest agent"

--- Add the commands to the parser of `lest agent`.
---@param parser table
---@param add_file fun(parser: table, name: string) the argument for the configuration
function M.add(parser, add_file)
  local export = support.subcommand(parser, {
    name = "export",
    summary = "Write the requests of identities that should have another certificate by now to a "
      .. "file that somebody carries to the server (lest forward FILE, or curl). A request is "
      .. "signed by the certificate in use, or proven by 'challenge_file': the file has no key "
      .. "and no secret, and who carries it is trusted with nothing. What was carried away and "
      .. "has no answer yet is written once more as it was. The label there has `fullcmc = true`.",
    example = "lest agent export /media/stick/requests.pem agent.lua\n"
      .. "lest forward /media/stick/requests.pem --trust ca.pem  # with a network\n"
      .. "lest agent import /media/stick/requests.pem.answer agent.lua",
  })
  export:argument "file":description "Where the requests go; - is standard output."
  add_file(export, "config")
  export:option "--identity":argname "NAME":count "*"
    :description "This one, whether something is due or not; may be repeated."
  export:flag "--all":description "All of them, whether something is due or not."
  local import = support.subcommand(parser, {
    name = "import",
    summary = "Take the answers that somebody has brought: each is verified as one from a "
      .. "connection, by the identity's own anchors, and must be the answer to what was carried "
      .. "away. Then files are written and hooks run, as after a renewal. Exit code: 0 what was "
      .. "for identities here is in use; 5 a request waits for an operator of the server: carry "
      .. "it again later; else that of the first error.",
    example = "lest agent import /media/stick/requests.pem.answer agent.lua",
  })
  import:argument "file"
    :description "What lest forward has written, or curl; - is standard input."
  add_file(import, "config")
end

local function complain(problem, name)
  support.complain(NAME, ("%s: %s"):format(name, tostring(problem)))
end

-- The lock of the state folder.
local function lock_of(agent)
  local lock, err = agent:lock()
  if lock then return lock end
  if err.code == "unavailable" then err.message = err.message .. ": stop it for so long" end
  return nil, err
end

local function write(file, text)
  if file == "-" then
    io.write(text)
    return support.flush()
  end
  local ok, err = carried_text.write(file, text)
  if not ok then return nil, support.file_error(err) end
  return true
end

---@param agent lest.agent.loop
---@param options { file: string, identity: string[], all: boolean? }
---@return integer? exit_code
---@return lest.error? err
function M.export(agent, options)
  if options.all and #options.identity > 0 then
    support.usage "--identity and --all exclude each other"
  end
  local lock, result, ok, err
  if options.file ~= "-" then
    ok, err = core.file.check(options.file)
    if not ok then return nil, support.file_error(err) end
  end
  lock, err = lock_of(agent)
  if not lock then return nil, err end
  local _ <close> = lock
  result, err = carrying.export(agent, { all = options.all,
    names = #options.identity > 0 and options.identity or nil })
  if not result then return nil, err end
  local first = result.problems[1]
  for _, problem in ipairs(result.problems) do complain(problem.err, problem.name) end
  local count = #result.names
  if count == 0 then
    if first then return support.exit_code(first.err) end
    support.complain(NAME, "nothing is due: there is nothing to carry (--identity NAME, or --all)")
    return 0
  end
  ok, err = write(options.file, result.text)
  if not ok then return nil, err end
  support.complain(NAME, ("%s: %d request%s, to be carried to the server"):format(
    options.file == "-" and "standard output" or options.file, count, count == 1 and "" or "s"))
  if result.left > 0 then
    support.complain(NAME, ("there was no room for those of %d more"):format(result.left))
  end
  return first and support.exit_code(first.err) or 0
end

---@param agent lest.agent.loop
---@param options { file: string }
---@return integer? exit_code
---@return lest.error? err
function M.import(agent, options)
  local bytes, lock, results, err
  bytes, err = support.read(options.file, carried_text.BYTES_MAX)
  if not bytes then return nil, support.file_error(err) end
  lock, err = lock_of(agent)
  if not lock then return nil, err end
  local _ <close> = lock
  results, err = carrying.import(agent, bytes)
  if not results then
    err.operation = options.file == "-" and "standard input" or options.file
    return nil, err
  end
  local code, own = 0, 0
  for _, each in ipairs(results) do
    if each.name then own = own + 1 end
    if each.err then
      complain(each.err, each.name)
      if code == 0 then code = support.exit_code(each.err) end
    elseif each.again then
      support.complain(NAME, each.name .. ": that certificate is in use already")
    elseif each.cert then
      support.complain(NAME, ("%s: %s, serial %s, until %s"):format(each.name,
        tostring(each.cert.subject), each.cert.serial, support.time(each.cert.not_after)))
    end
  end
  if own < #results then
    support.complain(NAME, ("answers to nothing that waits here: %d"):format(#results - own))
  end
  if own > 0 then return code end
  return fail("not_found", "there is no answer in it to what was carried away from here")
end

return M
