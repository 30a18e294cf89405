--- An operator's command in a process of its own, which the control role has forked: the command as
--- it is at a terminal, with what it prints on its way to who asked, and with no file but what came
--- along.
local allowed = require "lest.tool.allowed"
local core = require "lest.core"
local fail = require "lest.base.fail"
local frames = require "lest.server.control.frames"
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

-- Who reads nothing for so long is not waited for.
local SEND_MS <const> = 30000
local PIECE <const>, PATH_MAX <const> = 32768, 4096

---@class lest.errand.stream
local Stream = {}
Stream.__index = Stream

--- A stream of the command: 1 is standard output, 2 is standard error, 3 the file that it writes.
local function new_stream(errand, number)
  return setmetatable({ errand = errand, number = number, parts = {}, size = 0 }, Stream)
end

function Stream:write(...)
  for i = 1, select("#", ...) do
    local text = tostring((select(i, ...)))
    table.insert(self.parts, text)
    self.size = self.size + #text
  end
  if self.size < PIECE and self.number ~= 2 then return self end
  local ok, problem = self:flush()
  if not ok then return nil, problem end
  return self
end

function Stream:flush()
  local bytes = table.concat(self.parts)
  self.parts, self.size = {}, 0
  for at = 1, #bytes, PIECE do
    local ok, problem = self.errand:send { stream = self.number,
      data = core.base64.encode(bytes:sub(at, at + PIECE - 1)) }
    if not ok then return nil, problem end
  end
  return self
end

function Stream:setvbuf() return self and true end

---@class lest.errand
---@field config table the server's, with the ledger's name in the working folder
---@field channel lest.channel
---@field peer lest.peer
---@field id integer
---@field files table<string, string>
local Errand = {}
Errand.__index = Errand

function Errand:send(frame)
  if self.lost then return nil, self.lost end
  frame.v, frame.id = frames.VERSION, self.id
  local ok, err = self.channel:send_wait(json.line(frame), SEND_MS)
  if ok then return true end
  self.lost = tostring(err)
  return nil, self.lost
end

-- A line of who asked, on their terminal; what was printed before is there by then.
local function ask(errand, out)
  out:flush()
  if not errand:send { ask = true } then return nil end
  return errand.read()
end

local function redirect(errand)
  local out, err = new_stream(errand, 1), new_stream(errand, 2)
  errand.read, errand.out, errand.err = io.read, out, err
  io.stdout, io.stderr = out, err -- luacheck: ignore 122
  io.write = function(...) return out:write(...) end -- luacheck: ignore 122
  io.read = function() return ask(errand, out) end -- luacheck: ignore 122
end

--- Who may say in whose name they act: who could write it into the ledger as well.
function Errand:may_name_others()
  return self.peer.uid == 0 or self.peer.uid == core.process.uid
end

function Errand:account()
  return core.system.account_name(self.peer.uid) or ("uid %d"):format(self.peer.uid)
end

function Errand:user_name()
  local sudo_user = self.peer.uid == 0 and self.sudo_user
  return sudo_user and sudo_user ~= "" and sudo_user or self:account()
end

function Errand:act(command, options, action)
  local row = allowed.row(command, options.subcommand)
  local forbidden = row and allowed.forbidden(row, options)
  if not row then return fail("refused", "this is not for a server that runs") end
  if forbidden then
    return fail("refused", ("--%s is not for a server that runs"):format(forbidden))
  end
  if row.output and not support.output then
    return fail("usage", "the file that is written is opened where the command was typed")
  end
  if options.operator and not self:may_name_others() then
    return fail("refused", ("--as is for root; you decide as '%s'"):format(self:account()))
  end
  operator.who = { uid = self.peer.uid, account = self:user_name(), through = "socket",
    operator = options.operator }
  return action(options, self.config)
end

local function columns_of(frame)
  local columns = type(frame.columns) == "table" and frame.columns or {}
  local result = {}
  for i = 1, 2 do
    local count = math.type(columns[i]) == "integer" and columns[i] or 0
    result[i] = count > 0 and math.min(count, 10000) or false
  end
  return result
end

-- The file that the command writes, where who asked has one open.
local function output_of(errand, frame)
  local path = type(frame.into) == "string" and core.base64.decode(frame.into)
  if not path or #path > PATH_MAX then return nil end
  local stream = new_stream(errand, allowed.OUTPUT)
  stream.path = path
  return stream
end

--- Run it, in the process that is its own.
---@param errand table
---@param command string
---@param args string[]
---@param frame table
---@return integer exit_code
function M.run(errand, command, args, frame)
  setmetatable(errand, Errand)
  errand.sudo_user = type(frame.sudo_user) == "string" and frame.sudo_user or nil
  redirect(errand)
  support.columns, support.given = columns_of(frame), errand.files
  support.output = output_of(errand, frame)
  operate.user = function() return errand:user_name() end
  operate.errand = function(options, action) return errand:act(command, options, action) end
  local code = require("lest.tool.command." .. command).main(args)
  local ok = errand.out:flush() and errand.err:flush()
  return ok and code or math.max(code, 1)
end

--- Load all that a command may need, while lest's files can be read.
function M.prepare()
  for command in pairs(allowed.ALLOWED) do
    local module = require("lest.tool.command." .. command)
    module.parser():get_help()
  end
  for _, name in ipairs { "lest.tool.import", "lest.base.schema", "lest.duration", "lest.all",
    "lest.task" } do
    require(name)
  end
end

return M
