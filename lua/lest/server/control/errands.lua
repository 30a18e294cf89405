--- The errands under way: operators' commands, each in a process that is forked for it. Here they
--- are begun, ended and counted; none of them keeps the control role waiting.
local core = require "lest.core"
local errand_module = require "lest.server.control.errand"
local allowed = require "lest.tool.errands"
local frames = require "lest.server.control.frames"
local list = require "lest.base.list"

local M = {}

-- Processes at once: with root's, of all others, and of one account. What a command may take, and
-- one that has no end.
local ALL <const>, ACCOUNTS <const>, PER_ACCOUNT <const> = 16, 12, 8
local SECONDS <const>, ENDLESS_SECONDS <const> = 3600, 86400
-- Says to who waits that the server lives.
local ALIVE_MS <const> = 5000
-- For a command to notice that nobody reads what it prints, before it is ended.
local LEFT_MS <const> = 5000
local WORDS_MAX <const>, LINE_MAX <const>, LOGGED_MAX <const> = 10000, 4096, 200
-- Of files for commands that have not begun, of all visitors; and pieces of those of one.
local WAITING_MAX <const>, PIECES_MAX <const> = 64 * 1024 * 1024, 1024

---@class lest.control.errands
local Errands = {}
Errands.__index = Errands

---@param config table the server's
---@return lest.control.errands
function M.new(config)
  local self = setmetatable({ config = config, by_pid = {}, count = 0, waiting = 0 }, Errands)
  self.on_child = core.loop.signal(17, function() self:reap() end)
  return self
end

local function refuse(visitor, frame, code, message)
  visitor:send(frames.failure(frame.id, code, message))
end

local function bytes_of(text)
  return type(text) == "string" and core.base64.decode(text) or nil
end

--- A piece of a file that the command's words name.
function Errands:file(visitor, frame)
  local path, data = bytes_of(frame.path), bytes_of(frame.data)
  if not path or not data then return refuse(visitor, frame, "protocol", "a file has a path") end
  local files = visitor.files or { by_path = {}, pieces = 0, bytes = 0, counted = 0 }
  local counted = #path + #data
  if files.pieces >= PIECES_MAX or files.bytes + #data > allowed.FILES_MAX
    or self.waiting + counted > WAITING_MAX then
    return refuse(visitor, frame, "too_large", "the files of the command are too large")
  end
  visitor.files, self.waiting = files, self.waiting + counted
  files.pieces, files.bytes = files.pieces + 1, files.bytes + #data
  files.counted = files.counted + counted
  files.by_path[path] = (files.by_path[path] or "") .. data
  visitor:send(frames.result(frame.id, true))
end

local function drop_files(self, visitor)
  self.waiting = self.waiting - (visitor.files and visitor.files.counted or 0)
  visitor.files = nil
end

local function words_of(frame)
  local words = {}
  if type(frame.words) ~= "table" or #frame.words > WORDS_MAX then return nil end
  for i, word in ipairs(frame.words) do
    words[i] = bytes_of(word)
    if not words[i] or words[i]:find("\0", 1, true) then return nil end
  end
  return words[1] and words
end

function Errands:is_full(uid)
  if uid == 0 then return self.count >= ALL end
  local mine = 0
  for _, errand in pairs(self.by_pid) do
    if errand.visitor.peer.uid == uid then mine = mine + 1 end
  end
  return self.count >= ACCOUNTS or mine >= PER_ACCOUNT
end

-- The timer is first: who cannot be sent to leaves, and has another one in its place.
local function alive(errand)
  errand.timer = core.loop.timer(ALIVE_MS, function() alive(errand) end)
  errand.visitor:send(frames.part(errand.id, { alive = true }))
end

-- Each takes room on the ledger's disk.
function Errands:is_copying()
  for _, errand in pairs(self.by_pid) do
    if errand.is_copy then return true end
  end
  return false
end

function Errands:start(visitor, frame, words, row)
  local command, is_endless = table.remove(words, 1), list.has(words, "--follow")
  local job = { config = self.config, channel = visitor.channel, peer = visitor.peer,
    id = frame.id, files = visitor.files and visitor.files.by_path or {} }
  local pid, input = core.process.errand(visitor.channel, is_endless and ENDLESS_SECONDS
    or SECONDS, function()
    return errand_module.run(job, command, words, frame)
  end)
  drop_files(self, visitor)
  if not pid then return refuse(visitor, frame, input.code, input.message) end
  core.log.write("info", "command", { "uid", visitor.peer.uid, "command",
    ("%s %s"):format(command, (words[1] or ""):sub(1, LOGGED_MAX)) })
  local errand = { visitor = visitor, id = frame.id, input = input, pid = pid,
    is_endless = is_endless, is_copy = row.output ~= nil }
  self.by_pid[pid], self.count = errand, self.count + 1
  visitor.errand = errand
  alive(errand)
end

--- Begin a command. Its own parser has the last word on its subcommand and options.
function Errands:command(visitor, frame)
  local words = words_of(frame)
  local row = words and allowed.row(words[1], words[2])
  if not words then
    return refuse(visitor, frame, "protocol", "a command has words")
  elseif not row then
    return refuse(visitor, frame, "refused", "this is not for a server that runs")
  elseif visitor.errand then
    return refuse(visitor, frame, "usage", "one command after the other")
  elseif self:is_full(visitor.peer.uid) then
    return refuse(visitor, frame, "unavailable", "too many commands run at once")
  elseif row.output and self:is_copying() then
    return refuse(visitor, frame, "unavailable", "another copy of the ledger is under way")
  end
  self:start(visitor, frame, words, row)
end

--- A line for a command that asked; nothing is the end of the input.
function Errands.input(_, visitor, frame)
  local errand, line = visitor.errand, bytes_of(frame.data)
  if not errand or not errand.input or not line or #line > LINE_MAX then return end
  local is_taken = line ~= "" and errand.input:write(line) and errand.input:flush()
  if is_taken and line:sub(-1) == "\n" then return end
  errand.input:close()
  errand.input = nil
end

function Errands:reap()
  while true do
    local pid, code = core.process.reap()
    if not pid then return end
    local errand = self.by_pid[pid]
    if errand then
      self.by_pid[pid], self.count = nil, self.count - 1
      errand.visitor.errand = nil
      errand.timer:close()
      if errand.input then errand.input:close() end
      errand.visitor:send(code < 128 and frames.result(errand.id, { code = code })
        or frames.failure(errand.id, "unavailable", ("the command was ended (signal %d); each "
          .. "change is there whole or not at all"):format(code - 128)))
    end
  end
end

--- This process ends when they have: those that have no end are ended.
function Errands:dismiss()
  for pid, errand in pairs(self.by_pid) do
    if errand.is_endless then core.process.end_errand(pid) end
  end
end

--- Who asked has gone.
function Errands:leave(visitor)
  drop_files(self, visitor)
  local errand = visitor.errand
  if not errand then return end
  if errand.input then errand.input:close() end
  errand.input = nil
  errand.timer:close()
  errand.timer = core.loop.timer(LEFT_MS, function() core.process.end_errand(errand.pid) end)
end

return M
