--- Operators' commands under way: what comes for one, its process (errand.lua), and its end.
local alive = require "lest.server.control.alive"
local allowed = require "lest.tool.allowed"
local core = require "lest.core"
local errand = require "lest.server.control.errand"
local frames = require "lest.server.control.frames"
local lines = require "lest.server.wire.lines"
local list = require "lest.base.list"

local M = {}

-- What a command may take, and one that has no end.
local SECONDS <const>, ENDLESS_SECONDS <const> = 3600, 86400
-- For a command to notice that nobody reads what it prints, before it is ended.
local LEFT_MS <const> = 5000
local WORDS_MAX <const>, LINE_MAX <const>, LOGGED_MAX <const> = 10000, 4096, 200
-- Bytes of files for commands that have not begun: with root's, of all others, and of one account.
local MIB <const> = 1024 * 1024
local ALL <const>, ACCOUNTS <const>, PER_ACCOUNT <const> = 64 * MIB, 44 * MIB, 24 * MIB
-- Of one visitor.
local PIECES_MAX <const> = 1024

---@class lest.control.commands
local Commands = {}
Commands.__index = Commands

local begun <const> = lines.new "command"

---@param config table the server's
---@param children lest.control.children
---@return lest.control.commands
function M.new(config, children)
  return setmetatable({ config = config, children = children, waiting = 0, waiting_of = {} },
    Commands)
end

local function bytes_of(text)
  return type(text) == "string" and core.base64.decode(text) or nil
end

-- Whether so many bytes more may wait for an account.
local function has_room(self, uid, count)
  if uid == 0 then return self.waiting + count <= ALL end
  return self.waiting + count <= ACCOUNTS and (self.waiting_of[uid] or 0) + count <= PER_ACCOUNT
end

-- So many bytes of an account wait, or no more.
local function count_waiting(self, uid, change)
  local mine = (self.waiting_of[uid] or 0) + change
  self.waiting, self.waiting_of[uid] = self.waiting + change, mine > 0 and mine or nil
end

--- A piece of a file that the command's words name.
function Commands:file(visitor, frame)
  local path, data = bytes_of(frame.path), bytes_of(frame.data)
  if not path or not data then return visitor:refuse(frame, "protocol", "a file has a path") end
  local files = visitor.files or { by_path = {}, pieces = 0, bytes = 0, counted = 0 }
  local counted = #path + #data
  if files.pieces >= PIECES_MAX or files.bytes + #data > allowed.FILES_MAX
    or not has_room(self, visitor.peer.uid, counted) then
    return visitor:refuse(frame, "too_large", "the files of the command are too large")
  end
  visitor.files = files
  count_waiting(self, visitor.peer.uid, counted)
  files.pieces, files.bytes = files.pieces + 1, files.bytes + #data
  files.counted = files.counted + counted
  files.by_path[path] = (files.by_path[path] or "") .. data
  visitor:send(frames.result(frame.id, true))
end

local function drop_files(self, visitor)
  if visitor.files then count_waiting(self, visitor.peer.uid, -visitor.files.counted) end
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

-- Each takes room on the ledger's disk.
function Commands:is_copying()
  for _, child in pairs(self.children.by_pid) do
    if child.is_copy then return true end
  end
  return false
end

local function ended(child, id, code)
  local visitor = child.visitor
  visitor.command = nil
  child.alive:close()
  if child.leaving then child.leaving:close() end
  visitor:send(code < 128 and frames.result(id, { code = code })
    or frames.failure(id, "unavailable", ("the command was ended (signal %d); each change is "
      .. "there whole or not at all"):format(code - 128)))
end

function Commands:start(visitor, frame, words, row)
  local command, is_endless = table.remove(words, 1), list.has(words, "--follow")
  local job = { config = self.config, channel = visitor.channel, peer = visitor.peer,
    id = frame.id, files = visitor.files and visitor.files.by_path or {} }
  local child, err
  child, err = self.children:start(visitor, is_endless and ENDLESS_SECONDS or SECONDS, function()
    return errand.run(job, command, words, frame)
  end, function(code) ended(child, frame.id, code) end)
  drop_files(self, visitor)
  if not child then return visitor:refuse(frame, err.code, err.message) end
  begun:write("info", { "uid", visitor.peer.uid, "command",
    ("%s %s"):format(command, (words[1] or ""):sub(1, LOGGED_MAX)) })
  child.is_endless, child.is_copy = is_endless, row.output ~= nil
  child.alive = alive.new(visitor, frame.id)
  visitor.command = child
  child.alive:start()
end

--- Begin a command. Its own parser has the last word on its subcommand and options.
function Commands:command(visitor, frame)
  local words = words_of(frame)
  local row = words and allowed.row(words[1], words[2])
  if not words then
    return visitor:refuse(frame, "protocol", "a command has words")
  elseif not row then
    return visitor:refuse(frame, "refused", "this is not for a server that runs")
  elseif visitor.command then
    return visitor:refuse(frame, "usage", "one command after the other")
  elseif self.children:is_full(visitor.peer.uid) then
    return visitor:refuse(frame, "unavailable", "too many commands run at once")
  elseif row.output and self:is_copying() then
    return visitor:refuse(frame, "unavailable", "another copy of the ledger is under way")
  end
  self:start(visitor, frame, words, row)
end

--- A line for a command that asked; nothing is the end of the input.
function Commands.input(_, visitor, frame)
  local child, line = visitor.command, bytes_of(frame.data)
  if not child or not child.input or not line or #line > LINE_MAX then return end
  local is_taken = line ~= "" and child.input:write(line) and child.input:flush()
  if is_taken and line:sub(-1) == "\n" then return end
  child.input:close()
  child.input = nil
end

--- This process ends when they have: those that have no end are ended.
function Commands:dismiss()
  for pid, child in pairs(self.children.by_pid) do
    if child.is_endless then core.process.end_errand(pid) end
  end
end

--- Who asked has gone.
function Commands:leave(visitor)
  drop_files(self, visitor)
  local child = visitor.command
  if not child then return end
  if child.input then child.input:close() end
  child.input = nil
  child.alive:close()
  child.leaving = core.loop.timer(LEFT_MS, function() core.process.end_errand(child.pid) end)
end

return M
