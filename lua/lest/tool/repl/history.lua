--- The REPL's history: a file, mode 0600, which keeps nothing that looks like it holds a secret. A
--- statement is one entry; in the file its further lines begin with a tab.
---
---   local history = history.open(path)
---   for _, entry in ipairs(history.entries) do ... end
---   history:add "lest.key.generate 'ec:P-256'"
---
--- What is taken for a secret: a private key in PEM, alone or in a statement; words such as
--- password, token, pin-value; user and password in a URL; what HTTP Basic and JWT look like; and
--- any word of 32 characters or more that has capitals, small letters and digits. A short password
--- that stands alone cannot be told from other text: begin such a line with a space, as in a shell.
local core = require "lest.core"

local M = {}

local ENTRIES_MAX <const> = 1000
local ENTRY_MAX <const> = 8192
local FILE_MAX <const> = 4 * 1024 * 1024
local RANDOM_LENGTH <const> = 32

local History = { __name = "lest.repl.history" }
History.__index = History

--- Where it is: $XDG_STATE_HOME or ~/.local/state, then lest/history. nil without a home.
---@return string|nil path
function M.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not state or state:sub(1, 1) ~= "/" then
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/lest/history"
end

local SECRETS <const> = { "passw", "passphrase", "secret", "token", "bearer", "authorization",
  "private key", "api_?key", "basic%s+[%w+/]+=*[\"']", "pin%-value", "pin%s*=",
  "//[^/%s\"']*:[^/%s\"']*@" }

local function looks_random(word)
  return #word >= RANDOM_LENGTH and word:find "%u" and word:find "%l" and word:find "%d"
end

--- Whether an entry may be kept.
---@param entry string
---@return boolean
function M.keeps(entry)
  if entry == "" or entry:find "^%s" or #entry > ENTRY_MAX then return false end
  local lower = entry:lower()
  for _, pattern in ipairs(SECRETS) do
    if lower:find(pattern) then return false end
  end
  for word in entry:gmatch "[%w+/_-]+" do
    if looks_random(word) then return false end
  end
  return true
end

local function make_folders(path)
  local at = 1
  while true do
    at = path:find("/", at + 1, true)
    if not at then return end
    local folder = path:sub(1, at - 1)
    if not core.system.exists(folder) then core.folder.make(folder, 448) end -- 0700
  end
end

local function encode(entry)
  return entry:gsub("\n", "\n\t") .. "\n"
end

local function decode(text)
  local entries = {}
  for line in text:gmatch "[^\n]+" do
    local further = line:match "^\t(.*)"
    if further and #entries > 0 then
      entries[#entries] = entries[#entries] .. "\n" .. further
    else
      entries[#entries + 1] = line
    end
  end
  return entries
end

-- The last of each, and of these the newest.
local function distinct(entries)
  local seen, kept = {}, {}
  for i = #entries, 1, -1 do
    if not seen[entries[i]] and #kept < ENTRIES_MAX then table.insert(kept, 1, entries[i]) end
    seen[entries[i]] = true
  end
  return kept
end

--- Open the history; a file that cannot be read or made is no history, not an error.
---@param path string|nil
---@return table history entries: the oldest first
function M.open(path)
  local self = setmetatable({ path = path, entries = {} }, History)
  if not path then return self end
  make_folders(path)
  local text = core.file.read(path, FILE_MAX)
  local all = decode(text or "")
  self.entries = distinct(all)
  if not text or #self.entries < #all then
    for i, entry in ipairs(self.entries) do all[i] = encode(entry) end
    local new = table.concat(all, "", 1, #self.entries)
    if not core.file.write(path, new, { mode = 384 }) then self.path = nil end -- 0600
  end
  return self
end

-- Whether the entry belongs to a private key in PEM that is pasted as it is: each of its lines is a
-- statement then, most of them wrong ones.
local function is_within_key(self, entry)
  local within = self.within_key or entry:find "%-%-%-%-%-BEGIN [%u ]*PRIVATE KEY"
  self.within_key = within and not entry:find "%-%-%-%-%-END [%u ]*PRIVATE KEY"
  return within
end

--- Keep a statement, unless it is the one before again or looks like it holds a secret. One that
--- begins with a space is not kept, as in a shell.
---@param entry string
---@return boolean kept
function History:add(entry)
  if is_within_key(self, entry) or not M.keeps(entry) or entry == self.entries[#self.entries] then
    return false
  end
  self.entries[#self.entries + 1] = entry
  if self.path then
    -- Appended, so that two sessions do not lose each other's; the file's mode is set already.
    local file <close> = io.open(self.path, "a")
    if file then file:write(encode(entry)) end
  end
  return true
end

return M
