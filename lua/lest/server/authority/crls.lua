--- The CRLs (RFC 5280 5) of the CAs whose keys are here: one for each key, since a CRL says what a
--- key has signed. A new one is made at the start, when it is time, and at once after a revocation,
--- whoever wrote that (revocations.lua): it is looked at each second whether one was told.
--- A key's CRL is whole, so that it needs no issuing distribution point (5.2.5) to say what it is
--- of; two keys of one name are told apart by the authority key identifier (5.2.1).
---
--- A number is taken in the ledger before a CRL leaves, and only if no other authority has taken
--- one since the entries were begun to be read. So no number is used twice, also where two
--- generations make CRLs at once, and what has the higher number says no less.
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local list = require "lest.base.list"
local public = require "lest.server.config.public"
local record = require "lest.server.authority.record"
local revocation = require "lest.server.ledger.revocation"
local task = require "lest.task"

local M = {}

-- LOOK_MS   between two looks at what is due
-- SLICE     entries that are read in one turn of the loop
-- REST      after so many times what the last one took, the next is made: a flood of revocations
--           has no more than a tenth of the authority
-- AGAIN_MS  after one could not be made
local LOOK_MS <const>, SLICE <const>, REST <const>, AGAIN_MS <const> = 1000, 500, 10, 10000

-- thisUpdate is so long ago: to a client whose clock is behind by less, the CRL is not one of the
-- future, which it would refuse.
local BACKDATE_S <const> = 300

local MEDIA_TYPE <const> = "application/pkix-crl"

local failures <const> = lines.new "CRL not made"
local bad_entries <const> = lines.new "not on the CRL"

local reasons <const> = {}
for _, name in ipairs(revocation.REASONS) do reasons[name] = name end

---@class lest.authority.crls
---@field authority lest.authority
---@field lifetime integer seconds from one's making to its nextUpdate
---@field refresh integer seconds until there is a new one in any case
---@field keep integer seconds that an entry stays after its certificate's end, at least
---@field states table[] one for each key
---@field timer? any
local Crls = {}
Crls.__index = Crls

local function can_sign(issuer)
  if not issuer.issuer then return false end
  local usages = issuer.cert.key_usage
  if not usages or list.has(usages, "cRLSign") then return true end
  core.log.write("warning", "CA without CRL", { "ca", public.name_of(issuer.name), "message",
    "the key usage of its certificate has no cRLSign" })
  return false
end

local function paths_of(state)
  local paths = { public.path_of_key("crl", state.id) }
  if state.is_first then table.insert(paths, public.path_of("crl", state.issuer.name)) end
  return paths
end

---@param authority lest.authority
---@return lest.authority.crls
function M.new(authority)
  local options = authority.config.crl
  local self = setmetatable({ authority = authority, states = {} }, Crls)
  if not options then return self end
  self.lifetime, self.refresh = options.lifetime, options.refresh
  self.keep = options.lifetime + revocation.longest_grace(authority.config.labels)
  for _, id in ipairs(list.sorted_keys(authority.issuers_by_id)) do
    local issuer = authority.issuers_by_id[id]
    issuer.has_crl = can_sign(issuer)
    if issuer.has_crl then
      local state = { issuer = issuer, id = id, next_ms = 0, told = 0,
        is_first = authority.issuers[issuer.name] == issuer }
      table.insert(self.states, state)
      for _, path in ipairs(paths_of(state)) do authority.documents:announce(path, MEDIA_TYPE) end
    end
  end
  return self
end

-- ---- one CRL

local NOTHING <const> = { number = 0, made = 0 }

--- What the ledger has of a key.
local function row_of(self, state)
  return record.rows(self.authority.ledger, "crl_get", { issuer = state.id })[1] or NOTHING
end

local function add(draft, row)
  local ok, err = draft:add(row.serial, row.revoked_at, reasons[row.revocation_reason])
  if ok then return end
  -- One that cannot be said must not keep the others from being said; a draft that is full does.
  if err.code ~= "issue" then error(err, 0) end
  bad_entries:write("error", { "serial", row.serial, "message", err.message })
end

--- The entries, from the certificates' end on, in turns of the loop.
local function read(self, state, from)
  local draft = core.crl.draft()
  local place = { issuer = state.id, not_after = from, serial = "", limit = SLICE }
  while true do
    local rows = record.rows(self.authority.ledger, "crl_entries", place)
    for _, row in ipairs(rows) do add(draft, row) end
    if #rows < SLICE then return draft end
    place.not_after, place.serial = rows[SLICE].not_after, rows[SLICE].serial
    task.sleep(0)
  end
end

--- RFC 5280 3.3: "An entry MUST NOT be removed from the CRL until it appears on one regularly
--- scheduled CRL issued beyond the revoked certificate's validity period." So what ended before the
--- newest CRL was made may go, and goes later, once all CRLs of that time are over.
local function first_end(self, before, now)
  local from = now - self.keep
  return before.number > 0 and math.min(from, before.made) or from
end

-- Also where the ledger was restored from a backup, a number is new: it is not behind the time.
local function next_number(before, now)
  return math.max(before.number + 1, now)
end

local function sign(self, state, draft, number, now)
  local issuer = state.issuer
  local from = math.max(now - BACKDATE_S, math.min(issuer.cert.not_before, now))
  local sealed, err = issuer.issuer:sign_crl(draft, { number = number, this_update = from,
    next_update = now + self.lifetime })
  if not sealed then error(err, 0) end
  return sealed
end

--- Take the number in the ledger. False: another authority has taken one meanwhile.
local function take(self, state, number, before, now)
  local turn = self.authority.turn
  local changed = turn:unit(record.run, self.authority.ledger, "crl_take", { issuer = state.id,
    number = number, before = before.number, now = now })
  if changed ~= 1 then return false end
  local durable = task.await(function(callback) turn:when_durable(callback) end)
  if not durable then error("the ledger cannot be written now", 0) end
  return true
end

local function publish(self, state, sealed, number, now)
  for _, path in ipairs(paths_of(state)) do
    self.authority.documents:publish { path = path, media_type = MEDIA_TYPE,
      etag = ("%s-%d"):format(state.id:sub(1, 16), number), modified = now,
      expires = now + self.lifetime, sealed = sealed }
  end
end

--- Make a key's CRL. False: another authority has made one meanwhile.
local function make(self, state, before)
  local authority, started_us = self.authority, core.clock.monotonic_us()
  local now, undone, told = authority.clock(), authority.turn.undone, state.told
  local draft <close> = read(self, state, first_end(self, before, now))
  local number = next_number(before, now)
  local sealed = sign(self, state, draft, number, now)
  -- What was read may be of a transaction that could not be kept.
  if undone ~= authority.turn.undone then return false end
  if not take(self, state, number, before, now) then return false end
  state.made, state.has = now, told
  publish(self, state, sealed, number, now)
  local took_us = core.clock.monotonic_us() - started_us
  state.next_ms = core.clock.monotonic_ms() + REST * took_us // 1000
  core.log.write("info", "CRL made", { "ca", public.name_of(state.issuer.name), "number", number,
    "entries", draft.count, "bytes", sealed.size, "us", took_us })
  return true
end

--- What there is of an issuer, by its name: of each of its keys where the CRL is, and its bytes
--- once it is made; first that of the key that signs.
---@param name_der string
---@return { path: string, sealed: lest.sealed? }[]
function Crls:of_issuer(name_der)
  local found = {}
  for _, state in ipairs(self.states) do
    if core.name.equal(state.issuer.cert.subject_der, name_der) then
      local path = public.path_of_key("crl", state.id)
      local document = self.authority.documents.at[path]
      table.insert(found, state.is_first and 1 or #found + 1,
        { path = path, sealed = document.sealed.size > 0 and document.sealed or nil })
    end
  end
  return found
end

-- ---- when

--- Whether a key's CRL is to be made: there is none, something was revoked, or it is time. A clock
--- that was set back would leave one of the future.
local function is_due(self, state, now)
  return state.has ~= state.told or now >= state.made + self.refresh or now < state.made
end

local function make_due(self)
  for _, state in ipairs(self.states) do
    local now_ms = core.clock.monotonic_ms()
    if not self.is_stopping and now_ms >= state.next_ms
      and is_due(self, state, self.authority.clock()) then
      state.next_ms = now_ms + AGAIN_MS
      if not make(self, state, row_of(self, state)) then state.next_ms = 0 end
    end
  end
end

--- Take note of what was revoked: one that is made from now on has it.
---@param rows { issuer: string }[]
---@param more boolean there are others
function Crls:note(rows, more)
  local issuers = {}
  for _, row in ipairs(rows) do issuers[row.issuer] = true end
  for _, state in ipairs(self.states) do
    if more or issuers[state.id] then state.told = state.told + 1 end
  end
end

--- Make those that are due, in a task of its own.
local function look(self)
  task.start({ quiet = true }, function()
    local ok, problem = pcall(make_due, self)
    if not ok then failures:write("error", { "message", tostring(problem) }) end
    self.has_looked = true
    if self.is_stopping then return end
    self.timer = core.loop.timer(clock.every_ms(LOOK_MS), function() look(self) end)
  end)
end

--- Make the first ones, and then go on. Returns when they are there, or cannot be made now.
---@param is_over fun(): boolean
function Crls:start(is_over)
  if #self.states == 0 then return end
  look(self)
  while not (self.has_looked or is_over()) do core.loop.turn() end
end

function Crls:stop()
  self.is_stopping = true
  if self.timer then self.timer:close() end
end

return M
