--- How a command at the terminal hands itself over to a server that runs.
---
---   local code, err = handover.send("pending", options, args, config)
---   --> an exit code, or an error; neither where no server runs
local allowed = require "lest.tool.allowed"
local control = require "lest.tool.control"
local core = require "lest.core"
local fail = require "lest.base.fail"
local printer = require "lest.tool.printer"
local support = require "lest.tool.command.support"

local M = {}


local PIECE <const> = 90000

-- A server takes so much; who opens the ledger here has no such bound.
local function name_bound(err)
  if err.code == "too_large" then
    err.message = ("%s (%d MiB go to a server that runs; --direct takes more)"):format(err.message,
      allowed.FILES_MAX >> 20)
  end
  return err
end

local function send_file(session, path)
  local bytes, err = core.file.read(path, allowed.FILES_MAX)
  if not bytes then return nil, support.file_error(name_bound(err)) end
  local at = 1
  repeat
    local ok, problem = session:ask { op = "file", path = core.base64.encode(path),
      data = core.base64.encode(bytes:sub(at, at + PIECE - 1)) }
    if not ok then return nil, name_bound(problem) end
    at = at + PIECE
  until at > #bytes
  return true
end

local function send_files(session, options, row)
  for _, name in ipairs(row.files or {}) do
    local paths = options[name] or {}
    for _, path in ipairs(type(paths) == "table" and paths or { paths }) do
      local ok, err = send_file(session, path)
      if not ok then return nil, err end
    end
  end
  return true
end

local STREAMS <const> = { printer.new(io.stdout, 1), printer.new(io.stderr, 2) }

-- A file of ours that the command writes: `into` is where, `draft` what there is of it.
---@class lest.tool.output
local Output = {}
Output.__index = Output

local function new_output(path)
  if not path then return nil end
  local into, err = core.file.resolve(path)
  if into and core.system.exists(into) then
    return fail("exists", into .. " exists already and is not overwritten")
  end
  local draft
  if into then draft, err = core.draft.new(into) end
  return draft and setmetatable({ into = into, draft = draft }, Output), err
end

function Output:write(bytes)
  if not self.lost then
    local _, err = self.draft:write(bytes)
    self.lost = err
  end
  return not self.lost
end

function Output:close() self.draft:close() end
Output.__close = Output.close

-- A question is answered by the next line of ours.
local function take_part(session, frame, output)
  local stream = STREAMS[frame.stream] or frame.stream == allowed.OUTPUT and output
  if stream then
    if not stream:write(core.base64.decode(frame.data or "") or "") then session:close() end
  elseif frame.ask then
    session:send { id = frame.id, op = "input", data = core.base64.encode(io.read "L" or "") }
  end
end

-- Generations that end one after the other while one asks.
local ATTEMPTS <const> = 5

local function run(session, command, options, args, row)
  local sent, problem = send_files(session, options, row)
  if not sent then return nil, problem end
  local output <close>, unwritable = new_output(row.output and options[row.output])
  if unwritable then return nil, unwritable end
  local words = { core.base64.encode(command) }
  for i, word in ipairs(args) do words[i + 1] = core.base64.encode(word) end
  session.on_event = function(frame)
    session.is_stopping = frame.event == "stopping" or session.is_stopping
  end
  local done, err = session:ask({ op = "command", words = words, sudo_user = os.getenv "SUDO_USER",
    into = output and core.base64.encode(output.into),
    columns = { support.line_columns(1) or 0, support.line_columns(2) or 0 } },
    { part = function(frame) take_part(session, frame, output) end })
  if output and output.lost then return nil, output.lost end
  if done and done.code == 0 and output then
    local placed, lost = output.draft:place()
    if not placed then return nil, lost end
  end
  if done then return done.code end
  if err.code == "closed" then
    err.message = err.message .. " before the command had; each change is there whole or not at all"
  end
  return nil, err
end

-- Nobody listens there: the command does it itself.
local NO_SERVER <const> = { not_found = true, closed = true }

-- What else would do, for who may not open the ledger either.
local function hint(config)
  local group = config.control.group
  return ("the control socket of a server that runs, %s, is for root, for %s%s"):format(
    config.control.path, config.authority_user or "the account that started it",
    group and " and for members of the group " .. group or "")
end

--- Ask as often as a generation of the server gives its place to the next one before it has begun.
local function ask(socket, command, options, args, row)
  for _ = 1, ATTEMPTS do
    local session <close>, err = control.enter(socket.path)
    if not session then return nil, err end
    local code
    code, err = run(session, command, options, args, row)
    if code or not session.is_stopping then return code, err end
  end
  return fail("unavailable", socket.path .. ": the server is about to end")
end

--- Let the server that runs do it, where one does.
---@param command string "pending"
---@param options table as parsed
---@param args string[] the words after the command's name
---@param config table of the server, or with `control` alone
---@return integer? code what it ended with; nil without an error: it is to be done here
---@return lest.error? err
---@return string? hint for an error of doing it here
function M.send(command, options, args, config)
  local row = allowed.row(command, options.subcommand)
  local socket = config.control
  if not row or not socket or options.ledger or options.direct then
    if not options.control then return nil end
    return fail("usage", "--control is for what a server that runs does")
  end
  local code, err = ask(socket, command, options, args, row)
  if code or options.control or not err.at_the_door then return code, err end
  if NO_SERVER[err.code] then return nil end
  if err.code == "refused" then return nil, nil, hint(config) end
  return nil, err
end

return M
