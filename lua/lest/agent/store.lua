--- What an identity has on disk. At every instant STATE/NAME/cert.pem, key.pem and chain.pem are
--- one whole identity, the old one or the new one: they are links through one link, which switches.
---
---   STATE/NAME/cert.pem -> current/cert.pem   the certificate, then its intermediates
---             /key.pem, /chain.pem            its key (0600); its intermediates alone
---             /current -> generations/7
---             /generations/7/, 6/, ...        whole ones, which do not change
---             /next/                          a key and what is asked for it, before it is sent;
---                                             the message, where others carry it
---             /anchors.pem  /state.json       whom it trusts; what it remembers
---
---   local place = assert(store.open "state/dev9")
---   assert(place:begin(key, { way = "bootstrap" }))
---   assert(place:finish(cert))
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local keys = require "lest.agent.keys"
local list = require "lest.base.list"
local memories = require "lest.agent.memory"

local folder <const> = core.folder

local M = {}

local NAMES <const> = { "cert.pem", "key.pem", "chain.pem" }
local STATE_MAX <const>, CARRIED_MAX <const> = 256 * 1024, 256 * 1024
-- What is of use in next/ alone.
local OF_REQUEST <const> = { "carried.pem", "request.json" }

---@class lest.agent.place
---@field path string
---@field keeper lest.agent.keeper
---@field live? integer the generation to renew, where an older one is in use: see hold()
local Place = { __name = "lest.agent.place" }
Place.__index = Place

--- The place of an identity. Nothing is made or changed yet.
---@param path string STATE/NAME
---@param keeper? lest.agent.keeper of keys in files, unless told
---@return lest.agent.place
function M.new(path, keeper)
  return setmetatable({ path = path, keeper = keeper or keys.keeper { key = "ec:P-256" } }, Place)
end

local function generation(self, number)
  return ("%s/generations/%d"):format(self.path, number)
end

-- Whether a folder has a whole identity: a certificate and its key. (A TPM has room for few keys:
-- this one is let go of at once.) nil and an error: the device that has the key does not answer.
local function is_whole(self, path)
  local cert = core.cert.load(path .. "/cert.pem")
  local key, err, away = self.keeper:load(path .. "/key.pem")
  if away then return nil, err end
  local _ <close> = key
  return key ~= nil and cert ~= nil and key:public_der() == cert.public_key.der
end

-- A folder with plain files, which is renamed first: half of it is taken for nothing else.
local function remove_folder(path)
  local gone = path:find "%.old$" and path or path .. ".old"
  local ok, err = true, nil
  if gone ~= path then ok, err = folder.move(path, gone) end
  if not ok then return nil, err end
  local names
  names, err = core.system.entries(gone)
  if not names then return nil, err end
  for _, name in ipairs(names) do
    ok, err = folder.remove(gone .. "/" .. name)
    if not ok then return nil, err end
  end
  return folder.remove(gone)
end

-- The numbers of the generations, the newest first, and what else stands beside them.
local function generations(self)
  local names, err = core.system.entries(self.path .. "/generations")
  if not names then return nil, err end
  local numbers, others, last = {}, {}, 0
  for _, name in ipairs(names) do
    name = name:gsub("/$", "")
    local number, rest = name:match "^(%d%d?%d?%d?%d?%d?%d?%d?%d?)(.*)$"
    number = math.tointeger(tonumber(number))
    if number then last = math.max(last, number) end
    if number and rest == "" then
      numbers[#numbers + 1] = number
    elseif rest == ".old" then
      others[#others + 1] = name
    end
  end
  table.sort(numbers, function(a, b) return a > b end)
  return numbers, others, last
end

-- What writers have left that died: nobody else writes here, for the agent has the lock.
local function remove_drafts(path)
  local names, err = core.system.entries(path)
  if not names then return nil, err end
  for _, name in ipairs(names) do
    name = name:gsub("/$", "") -- a link to a folder, too
    if name:find "%.lest%-%w%w%w%w%w%w$" or name:find "%.lest%-new$" then
      local ok
      ok, err = folder.remove(path .. "/" .. name)
      if not ok then return nil, err end
    end
  end
  return true
end

local function switch(self, number)
  local path = self.path
  for _, name in ipairs(NAMES) do
    local target = "current/" .. name
    if folder.target(path .. "/" .. name) ~= target then
      local ok, err = core.file.link(target, path .. "/" .. name)
      if not ok then return nil, err end
    end
  end
  return core.file.link(("generations/%d"):format(number), path .. "/current")
end

-- The one in use; nil where none is.
local function current_number(self)
  local target = folder.target(self.path .. "/current")
  return target and math.tointeger(tonumber(target:match "^generations/(%d+)$"))
end

-- From a whole pair in next/ to the generation in use.
local function promote(self)
  local _, _, last = generations(self)
  local number = (last or 0) + 1
  local ok, err = true, nil
  for _, name in ipairs(OF_REQUEST) do
    if ok then ok, err = folder.remove(self.path .. "/next/" .. name) end
  end
  if ok then ok, err = folder.move(self.path .. "/next", generation(self, number)) end
  if ok then ok, err = switch(self, number) end
  if not ok then return nil, err end
  return number
end

-- A next/ that is no request is nothing; one that has its certificate is finished.
local function tidy_next(self)
  local next_path = self.path .. "/next"
  if core.system.exists(next_path .. ".old") then
    local ok, err = remove_folder(next_path .. ".old")
    if not ok then return nil, err end
  end
  if not core.system.exists(next_path) then return true end
  local ok, err = remove_drafts(next_path)
  if not ok then return nil, err end
  if core.system.exists(next_path .. "/cert.pem") then
    local whole
    whole, err = is_whole(self, next_path)
    if whole == nil then return nil, err end
    if whole then
      ok, err = promote(self)
      return ok and true, err
    end
    ok, err = folder.remove(next_path .. "/cert.pem")
    if not ok then return nil, err end
  end
  if self:pending() then return true end
  ok, err = is_whole(self, next_path)
  if ok == nil then return nil, err end
  return remove_folder(next_path)
end

-- The newest whole generation is the one in use, whatever a death has left undone.
local function tidy_current(self)
  local numbers, others = generations(self)
  if not numbers then return nil, others end
  for _, name in ipairs(others) do
    local ok, err = remove_folder(self.path .. "/generations/" .. name)
    if not ok then return nil, err end
  end
  -- Unless it was rolled back.
  local deployed = (self:memory() or {}).deploy
  if deployed and deployed.newest == numbers[1] and deployed.applied ~= numbers[1] then
    table.insert(numbers, 1, deployed.applied)
  end
  for _, number in ipairs(numbers) do
    local whole, err = is_whole(self, generation(self, number))
    if whole == nil then return nil, err end
    if whole then
      if number == current_number(self) then return true end
      return switch(self, number)
    end
  end
  return true
end

--- Make the folder, and bring to an end, or undo, what a death has left half done. Before anything
--- else is done here, once.
---@return true?
---@return lest.error? err codes io, usage (another account may write there)
function Place:tidy()
  local ok, err = folder.ensure(self.path, 448) -- 0700
  if ok then ok, err = folder.is_own(self.path) end
  if ok then ok, err = folder.ensure(self.path .. "/generations", 448) end
  if ok then ok, err = remove_drafts(self.path) end
  if ok then ok, err = tidy_next(self) end
  if ok then ok, err = tidy_current(self) end
  if not ok then return nil, err end
  return true
end

--- The certificate to live with, with its chain: the one in use, or that which hold() has named;
--- nil alone: there is none.
---@return lest.cert? cert
---@return integer|lest.error|nil number of the generation, or the error
function Place:current()
  local number = self.live or current_number(self)
  if not number then return nil end
  local cert, err = core.cert.load(generation(self, number) .. "/cert.pem")
  if not cert then return nil, err end
  return cert, number
end

--- Its key.
---@return lest.key?
---@return lest.error? err
function Place:key()
  local number = self.live or current_number(self)
  if not number then return fail("not_found", self.path .. " has no key") end
  return self.keeper:load(generation(self, number) .. "/key.pem")
end

--- A generation as deploy takes it.
---@param number integer
---@return lest.agent.generation
function Place:generation(number)
  return { number = number, folder = generation(self, number),
    anchors = self.path .. "/anchors.pem" }
end

--- The generation to go back to from another one: that which is wanted, where it is there still;
--- else the one before. nil where there is none.
---@param number integer
---@param wanted? integer
---@return integer?
function Place:before(number, wanted)
  local newest
  for _, each in ipairs(generations(self) or {}) do
    if each < number then
      if each == wanted then return each end
      newest = newest or each
    end
  end
  return newest
end

--- Make a generation the one in use, in one step.
---@param number integer
---@return true?
---@return lest.error? err
function Place:switch(number)
  return switch(self, number)
end

--- An older generation is in use than this one, which is renewed and shown to servers all the same;
--- nil: the one in use is.
---@param number? integer
function Place:hold(number)
  self.live = number
end

--- Keep a key, and what will be asked for it, before anything is sent.
---@param key lest.key
---@param request table for JSON
---@return true?
---@return lest.error? err codes io, exists
function Place:begin(key, request)
  local path = self.path .. "/next"
  local ok, err = folder.ensure(path, 448)
  if ok then
    ok, err = core.file.write(path .. "/request.json", json.encode(request), { mode = 384 })
  end
  if ok then ok, err = self.keeper:save(key, path .. "/key.pem") end
  if not ok then return nil, err end
  return true
end

--- What begin() has kept, until finish() or forget(); nil: nothing.
---@return lest.key? key
---@return table? request
function Place:pending()
  local path = self.path .. "/next"
  local text = core.file.read(path .. "/request.json", STATE_MAX)
  local request = text and json.decode(text)
  local key = type(request) == "table" and self.keeper:load(path .. "/key.pem")
  if not key then return nil end
  return key, request
end

--- Keep the message that others carry for the key of begin(), before they get it.
---@param text string
---@return true?
---@return lest.error? err code io
function Place:carry(text)
  return core.file.write(self.path .. "/next/carried.pem", text, { mode = 384 })
end

--- What carry() has kept, until finish() or forget(); nil: nothing.
---@return string?
function Place:carried()
  return (core.file.read(self.path .. "/next/carried.pem", CARRIED_MAX))
end

--- Drop what begin() has kept.
---@return true?
---@return lest.error? err
function Place:forget()
  if not core.system.exists(self.path .. "/next") then return true end
  return remove_folder(self.path .. "/next")
end

local function write_pem(path, certs)
  local parts = {}
  for i, cert in ipairs(certs) do parts[i] = cert:pem() end
  return core.file.write(path, table.concat(parts))
end

--- Make the certificate for the key of begin() the one in use, in one step, and drop generations
--- beyond `keep`, but for one to go back to.
---@param cert lest.cert with its chain
---@param keep integer
---@return integer? number
---@return lest.error? err; the old one is still in use
function Place:finish(cert, keep)
  local path, chain = self.path .. "/next", cert.chain
  local ok, err = write_pem(path .. "/chain.pem", chain)
  if ok then ok, err = write_pem(path .. "/cert.pem", { cert, table.unpack(chain) }) end
  if not ok then return nil, err end
  local number
  number, err = promote(self)
  if not number then return nil, err end
  local numbers, deployed = generations(self) or {}, (self:memory() or {}).deploy or {}
  local back = (deployed.failures or 0) > 0 and deployed.former
  local spared = list.set { number, deployed.applied or number, back or number }
  for i = keep + 1, #numbers do
    -- What cannot be removed now is tried again at the next renewal.
    if not spared[numbers[i]] then remove_folder(generation(self, numbers[i])) end
  end
  return number
end

--- What was remembered; nil: nothing, or nothing that can be read.
---@return table?
function Place:memory()
  local text = core.file.read(self.path .. "/state.json", STATE_MAX)
  return memories.accept(text and json.decode(text))
end

--- Remember, durably.
---@param memory table for JSON
---@return true?
---@return lest.error? err code io
function Place:remember(memory)
  return core.file.write(self.path .. "/state.json", json.encode(memory) .. "\n", { mode = 384 })
end

--- The anchors that were kept; nil: none.
---@return lest.cert[]?
function Place:anchors()
  local certs = core.cert.load_all(self.path .. "/anchors.pem")
  return certs and #certs > 0 and certs or nil
end

--- Keep anchors, in place of those before; none: the configuration's count again.
---@param certs lest.cert[]
---@return true?
---@return lest.error? err
function Place:keep_anchors(certs)
  local path = self.path .. "/anchors.pem"
  if #certs > 0 then return write_pem(path, certs) end
  return folder.remove(path)
end

return M
