--- The worker's end of `lest repl --attach`: who asks at the control socket comes here by a channel
--- to the control role (server/wire/console), which says who that is. Each connection may open a
--- session; the requests go on beside it.
local core = require "lest.core"
local complete = require "lest.server.worker.console.complete"
local envelope = require "lest.server.wire.console"
local facts = require "lest.server.worker.console.facts"
local filter = require "lest.server.worker.console.filter"
local json = require "lest.json"
local limiter = require "lest.server.wire.limiter"
local limits = require "lest.server.config.limits"
local list = require "lest.base.list"
local parking = require "lest.server.worker.console.parking"
local session_module = require "lest.server.worker.console.session"
local verbs = require "lest.server.worker.console.verbs"

local M = {}

local VERSION <const> = 1
-- Root finds a place whoever else is there.
local SESSIONS_MAX <const> = 16
-- What may wait for a control role that does not read: less of what nobody asked for than of
-- answers.
local QUEUED_MAX <const>, EVENTS_QUEUED_MAX <const> = 800, 200

-- Lines of the log a minute that an account causes by what it opens and types, all of which is
-- there.
local LINES_MAX <const> = 3000

---@class lest.console
---@field worker lest.worker
---@field number integer of the worker
---@field parking lest.console.parking
---@field sessions table<integer, lest.console.session> by connection
---@field is_stopping? boolean
local Console = {}
Console.__index = Console

--- The console of a worker; nobody is at it until serve() gives it a channel.
---@param worker lest.worker
---@param launch table what the host gives a role
---@return lest.console
function M.new(worker, launch)
  local configured = worker.config.limits
  return setmetatable({
    worker = worker, number = launch.index, sessions = {},
    lines = limiter.new { per_minute = LINES_MAX, now_ms = core.clock.monotonic_ms },
    is_root = launch.user ~= nil,
    parking = parking.new { answer = configured.answer, decision = configured.decision,
      share = limits.share(configured.requests, launch.workers) },
  }, Console)
end

-- Who may do more than look: who may change the server's files anyway.
local function may_write(self, uid)
  return uid == 0 or (not self.is_root and uid == core.process.uid)
end

--- Have an account write so many lines to the log.
---@param uid integer
---@param lines integer
---@return integer|nil wait seconds, where it may not yet
function Console:take_lines(uid, lines)
  local wait = self.lines:wait(uid)
  for _ = 1, wait and 0 or lines do self.lines:count(uid) end
  return wait
end

local function count(sessions)
  local number = 0
  for _ in pairs(sessions) do number = number + 1 end
  return number
end

local function send(self, channel, connection, frame)
  frame.v = VERSION
  local most = frame.event and EVENTS_QUEUED_MAX or QUEUED_MAX
  if self.channel ~= channel or channel.queued >= most then return false end
  local ok, text = pcall(json.line, frame)
  if not ok or #text > envelope.FRAME_MAX then
    text = json.line { v = VERSION, id = frame.id, ["end"] = frame["end"],
      error = { code = "too_large", message = "the answer is larger than is sent" } }
  end
  return channel:send(envelope.pack(connection, 0, text)) ~= nil
end

local acts <const> = {}

function acts.open(self, peer, frame)
  if self.is_stopping then return nil, "the server stops" end
  local wait_s = self:take_lines(peer.uid, 1)
  if wait_s then return nil, ("too much was opened and typed: wait %d s"):format(wait_s) end
  if frame.write and not may_write(self, peer.uid) then
    return nil, "--write is for root, and for the account that started the server"
  elseif not self.sessions[peer.connection] and count(self.sessions) >= SESSIONS_MAX
    and peer.uid ~= 0 then
    return nil, "too many are at this console"
  end
  local before = self.sessions[peer.connection]
  if before then before:close "the session was opened anew" end
  local who = ("uid %d"):format(peer.uid)
  self.sessions[peer.connection] = session_module.new(self, { uid = peer.uid, who = who,
    write = frame.write == true,
    send = function(answer) return send(self, peer.channel, peer.connection, answer) end })
  core.log.write("info", "console opened", { "uid", peer.uid, "write", frame.write == true })
  return { worker = self.number, pid = core.process.pid, write = frame.write == true }
end

function acts.eval(_, _, frame, session)
  if type(frame.code) ~= "string" then return nil, "a statement is a text" end
  session:evaluate(frame)
end

function acts.reply(_, _, frame, session) session:reply(frame) end

function acts.cancel(_, _, frame, session) session:cancel(frame.of) end

function acts.complete(self, _, frame, session)
  local statement = { held = session:parked(frame.request), files = {} }
  local env = verbs.environment(session, statement)
  local found, word = complete.candidates(env, verbs.words(), { session.plain, session.globals },
    type(frame.text) == "string" and frame.text:sub(-500) or "")
  return { candidates = found, word = word, worker = self.number }
end

function acts.workers(self) return facts.worker(self) end
function acts.requests(self) return facts.requests(self) end
function acts.stats(self) return facts.stats(self) end
function acts.stack(self, _, frame) return facts.stack(self, frame.of) or json.object {} end
function acts.parked(self, _, _, session) return facts.parked(self, session) end

local function wanted_of(self, frame)
  return filter.check(frame.filter or {}, list.sorted_keys(self.worker.labels))
end

local function adder(method)
  return function(self, _, frame, session)
    local wanted, problem = wanted_of(self, frame)
    if not wanted then return nil, problem end
    wanted.number = math.tointeger(tonumber(frame.number))
    return self.parking[method](self.parking, session, wanted)
  end
end
acts.trace, acts.break_at = adder "add_trace", adder "add_break"

function acts.untrace(self, _, _, session)
  self.parking:clear(session, "traces")
  return true
end

function acts.unbreak(self, _, frame, session)
  self.parking:clear(session, "breaks", math.tointeger(tonumber(frame.number)))
  return true
end

-- What is answered later, by the session, or not at all.
local SILENT <const> = { eval = true, reply = true, cancel = true }

function Console:on_frame(peer, frame)
  local act, session = acts[frame.act or false], self.sessions[peer.connection]
  local result, problem
  if not act then
    problem = "this server does not know the act"
  elseif not session and frame.act ~= "open" then
    problem = "no session was opened"
  else
    result, problem = act(self, peer, frame, session)
  end
  if result == nil and not problem and SILENT[frame.act] then return end
  send(self, peer.channel, peer.connection, { id = frame.id, ["end"] = true, result = result,
    error = result == nil and { code = "refused", message = problem or "nothing" } or nil })
end

function Console:leave(connection, why)
  local session = self.sessions[connection]
  self.sessions[connection] = nil
  if session then session:close(why) end
end

--- Everybody has gone, or is to go: what is parked goes on.
---@param why string
function Console:release(why)
  for connection in pairs(self.sessions) do self:leave(connection, why) end
end

--- The worker ends its requests: nobody may park one any more.
function Console:stop()
  self.is_stopping = true
  self:release "the server stops"
end

--- Answer what comes over a channel of the control role, in place of the one before.
---@param channel lest.channel
function Console:take(channel)
  if self.channel then self.channel:close() end
  self:release "the control role is another one"
  self.channel = channel
  channel:on_close(function()
    if self.channel == channel then self:release "the control role has ended" end
  end)
  channel:on_message(function(packet) self:on_packet(channel, packet) end)
end

--- What came over that channel.
---@param channel lest.channel
---@param packet string
function Console:on_packet(channel, packet)
  local connection, uid, text = envelope.unpack(packet)
  if not connection then return end
  if text == "" then return self:leave(connection, "the prompt has gone") end
  local frame = json.decode(text)
  if type(frame) ~= "table" or math.type(frame.id) ~= "integer" then return end
  self:on_frame({ connection = connection, uid = uid, channel = channel }, frame)
end

--- Decide a request, where somebody may want to see it.
---@param request lest.worker.request
---@param seen table what the policy sees
---@param run fun(policy: table, holding?: lest.console.holding): table
---@return table verdict
---@return table policy the one that decided
function Console:decide(request, seen, run)
  local held = self.parking:look_at(request, seen)
  if not held then return run(request.label.policy), request.label.policy end
  return held:decide(run)
end

--- The labels, as the prompt shows them.
function Console:labels() return facts.labels(self) end

--- The configuration without what leads to a secret.
function Console:config() return facts.config(self) end

return M
