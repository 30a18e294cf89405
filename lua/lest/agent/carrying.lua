--- Requests that others carry to the server, and the answers that they bring (lest.client.carried).
--- A request is on the disk before it is given away, and the same is given again until its answer
--- is there. An answer is verified as one from a connection is, against the identity's own anchors;
--- what is not the server's word changes nothing.
---
---   local text = assert(carrying.export(agent, { names = { "dev9" } }))
---   local results = assert(carrying.import(agent, bytes))
local anchors = require "lest.agent.anchors"
local carried = require "lest.client.carried"
local carried_text = require "lest.client.carried_text"
local clock = require "lest.base.clock"
local core = require "lest.core"
local fail = require "lest.base.fail"
local failure = require "lest.agent.failure"
local options_of = require "lest.client.options"
local request = require "lest.agent.request"
local schedule = require "lest.agent.schedule"
local trusts = require "lest.client.trust"
local url = require "lest.url"
local ways = require "lest.agent.ways"

local M = {}

local OPERATION <const> = "/fullcmc"
-- More than one request takes.
local ROOM <const> = 256 * 1024

-- What a server has said, who was verified: this much is remembered, and nothing that a stranger
-- could have written.
local SAID <const> = { pending = true, refused = true, unauthenticated = true, unavailable = true }

-- Who asks where no certificate signs: the name that the secret is of is that of the request.
local function identity_proof(identity, client)
  local secret, err = options_of.secret(client.options, "challenge")
  if not secret then return nil, err end
  local subject = identity.options.subject and core.name.parse(identity.options.subject)
  if subject and subject.CN then return { name = subject.CN, secret = secret } end
  return fail("usage", "'challenge' is the secret of the CN of 'subject', and there is none")
end

--- Whether a way's request holds without a connection.
---@param identity lest.agent.identity
---@param way string
---@return boolean
function M.holds(identity, way)
  local each = identity.options
  if way ~= "bootstrap" then return way ~= "operator" and identity.life ~= nil end
  return (each.cert or each.challenge or each.challenge_file) ~= nil
end

--- The error of a way whose request does not.
---@return nil
---@return lest.error
function M.no_way()
  return fail("usage", "nothing that it has holds without a connection: a certificate does "
    .. "('cert', or the one in use), or 'challenge_file'")
end

-- The first way that is open, and was not refused before: unless all were.
local function way_of(identity, now)
  local known, first = identity.memory.carried or {}, nil
  for _, way in ipairs(identity:ways(now)) do
    if M.holds(identity, way) then
      if not (known.refused or {})[way] then return way end
      first = first or way
    end
  end
  if first then return first end
  return M.no_way()
end

-- Anchors that are there without asking anybody; for what the answer will be verified with.
local function own_anchors(identity)
  local source = anchors.of(identity).trust
  if source and source ~= "system" then return source end
  return fail("usage", "an answer that is carried needs anchors of its own ('trust', a file)")
end

-- Where a client's requests go.
local function address_of(client)
  local base, err = options_of.base(client.options)
  if not base then return nil, err end
  return tostring(url.resolve(base, base.path .. OPERATION)), base.path
end

-- What was given away, as long as it is for the same place by the same way.
local function kept(identity, way, address)
  local known, text = identity.memory.carried, identity.place:carried()
  if not text or not known or known.way ~= way then return nil end
  local entries = carried_text.requests(text)
  return entries and entries[1].url == address and text or nil
end

local function make(identity, way, key, client, address, now)
  local each, what = identity.options, { key = key }
  local message, err
  if way == "bootstrap" then
    what.subject, what.san, what.key_usage, what.eku = each.subject, each.san, each.key_usage,
      each.eku
    if not each.cert then
      what.identity, err = identity_proof(identity, client)
      if not what.identity then return nil, err end
    end
  end
  message, err = carried.make(client, what)
  if not message then return nil, err end
  return carried_text.request({ identity = identity.name, url = address, message = message },
    { { "Made", clock.text(now) }, { "To", way == "bootstrap" and "get a certificate"
      or "renew the certificate until " .. clock.text(identity.life.not_after) } })
end

-- The request of an identity by a way, durable by then.
local function durable(identity, way, client, address, now)
  local key, text, err
  key, err = request.key(identity, way, now)
  if not key then return nil, err end
  text = kept(identity, way, address)
  local memory = identity.memory
  local known = memory.carried or {}
  memory.carried = { at = text and known.at or nil, way = way, refused = known.refused }
  local is_new = not text
  if is_new then
    text, err = make(identity, way, key, client, address, now)
    if not text then return nil, err end
  end
  -- First what is remembered: without it the message would be made again.
  local ok
  ok, err = identity:remember()
  if ok and is_new then ok, err = identity.place:carry(text) end
  if not ok then return nil, err end
  return text
end

--- The request of an identity by a way: on the disk by then, and the same until it is answered.
---@param identity lest.agent.identity
---@param way string whose request holds
---@param now integer
---@return string? text as a part of a file
---@return string|lest.error path of the operations at its server; or the error
function M.request(identity, way, now)
  local client, address, path, text, err
  client, err = ways.client(identity, way)
  if not client then return nil, err end
  local _ <close> = client
  address, path = address_of(client)
  if not address then return nil, path end
  text, err = durable(identity, way, client, address, now)
  if not text then return nil, err end
  return text, path
end

local function one_out(identity, now)
  local ok, way, text, err
  ok, err = identity:open()
  if ok then ok, err = own_anchors(identity) end
  if not ok then return nil, err end
  way, err = way_of(identity, now)
  if not way then return nil, err end
  text, err = M.request(identity, way, now)
  if not text then return nil, err end
  identity.memory.carried.at = now
  ok, err = identity:remember()
  if not ok then return nil, err end
  identity:say("info", "request carried away", { "way", way })
  return text
end

---@class lest.agent.export
---@field names? string[] these identities, whether something is due or not
---@field all? boolean all of them; else those that should have another certificate by now

-- By a clock that cannot be right nothing is due, and nothing is not.
local function check_clock(identity, now)
  local life = identity.life
  if schedule.is_believable(now, life and life.not_before) then return true end
  return fail("unavailable", clock.says() .. ", which cannot be: say whose request it is to be")
end

-- Whose requests: an identity that cannot be read is for one_out() to say.
local function chosen(agent, options, now, problems)
  if options.names or options.all then return options.names or agent.names end
  local names = {}
  for _, name in ipairs(agent.names) do
    local identity = agent.identities[name]
    local is_open = identity:open()
    local ok, err = true, nil
    if is_open then ok, err = check_clock(identity, now) end
    if not ok then
      problems[#problems + 1] = { name = name, err = err }
    elseif not is_open or identity:wants(now) or identity.place:carried() then
      names[#names + 1] = name
    end
  end
  return names
end

---@class lest.agent.exported
---@field text string what is carried
---@field names string[] whose requests it has
---@field problems { name: string, err: lest.error }[] why there is none of others
---@field left integer for how many there was no room in one file

--- The requests for a file. Who calls it has the lock of the state folder.
---@param agent lest.agent.loop
---@param options lest.agent.export
---@return lest.agent.exported?
---@return lest.error? err code usage
function M.export(agent, options)
  local now, parts, size = agent.world.clock(), {}, 0
  local result = { names = {}, problems = {}, left = 0 }
  for _, name in ipairs(options.names or {}) do
    if not agent.identities[name] then
      return fail("usage", ("there is no identity '%s'"):format(name))
    end
  end
  local names = chosen(agent, options, now, result.problems)
  for i, name in ipairs(names) do
    if #parts == carried_text.ENTRIES_MAX or size > carried_text.BYTES_MAX - ROOM then
      result.left = #names - i + 1
      break
    end
    local text, err = one_out(agent.identities[name], now)
    if text then
      parts[#parts + 1], size = text, size + #text + 1
      table.insert(result.names, name)
    else
      table.insert(result.problems, { name = name, err = err })
    end
  end
  result.text = table.concat(parts, "\n")
  return result
end

-- ---- the way back

-- What was sent, of each identity that waits for an answer, by its transaction.
local function waiting(agent)
  local found = {}
  for _, name in ipairs(agent.names) do
    local identity = agent.identities[name]
    -- Its answer may have come before a death, in the middle of what that leads to.
    local text = identity:open() and identity.place:carried()
    local entries = text and carried_text.requests(text)
    local transaction = entries and carried.transaction(entries[1].message)
    if transaction then found[transaction] = { identity = identity, sent = entries[1].message } end
  end
  return found
end

-- The answer came before, and its certificate is in use. What was cut off then is done now.
local function taken_before(agent, message, now)
  local in_use = {}
  for _, name in ipairs(agent.names) do
    local cert = agent.identities[name].place:current()
    if cert then in_use[cert.fingerprint] = agent.identities[name] end
  end
  for _, cert in ipairs(message.certificates) do
    local identity = in_use[cert.fingerprint]
    if identity then
      local ok, err = identity:deploy(now)
      return { name = identity.name, again = true, err = not ok and err or nil }
    end
  end
  return {}
end

--- Whom an identity trusts, without asking anybody.
---@param identity lest.agent.identity
---@return lest.client.trust?
---@return lest.error? err code usage
function M.trust(identity)
  local source, err = own_anchors(identity)
  if not source then return nil, err end
  return trusts.open(source)
end

--- Learn from CA certificates that came along: as far as the anchors vouch for them, for no
--- connection does. Others are as good as none.
---@param identity lest.agent.identity
---@param trust lest.client.trust
---@param certs lest.cert[]
---@param now integer
---@return true?
---@return lest.error? err of the disk
function M.learn(identity, trust, certs, now)
  if #certs == 0 or not trust:learn(certs) then return true end
  return anchors.keep(identity, { trust = trust, renewal_window = identity.memory.window }, now)
end

local function note(identity, err, now)
  local memory = identity.memory
  local known = memory.carried or { way = "renew" }
  memory.carried = known
  if err.code == "refused" or err.code == "unauthenticated" then
    known.refused = known.refused or {}
    known.refused[known.way] = true
  end
  failure.note(identity, known.way, err, now)
  return identity:remember()
end

local function one_in(identity, sent, message, certs, now)
  local trust, cert, changed, ok, err
  trust, err = M.trust(identity)
  if not trust then return nil, err end
  ok, err = M.learn(identity, trust, certs, now)
  if not ok then return nil, err end
  cert, changed = carried.take(trust, sent, message)
  if not cert then
    if SAID[changed.code] then
      ok, err = note(identity, changed, now)
      if not ok then return nil, err end
    end
    return nil, clock.explain(changed)
  end
  local number
  number, err = identity:store(cert, changed, now)
  if not number then return nil, err end
  local way = (identity.memory.carried or {}).way or "renew"
  ok, err = identity:succeed(cert, number, way, now)
  if ok then ok, err = identity:deploy(now) end
  if not ok then return nil, err end
  return cert
end

---@class lest.agent.import one answer
---@field name? string of its identity; nil: it is of no request here
---@field cert? lest.cert that is in use now
---@field again? boolean it was in use already
---@field err? lest.error

--- Take the answers out of a file. Who calls it has the lock of the state folder. In a task: hooks
--- are waited for.
---@param agent lest.agent.loop
---@param bytes string
---@return lest.agent.import[]?
---@return lest.error? err nothing was looked at
function M.import(agent, bytes)
  local found, err = carried_text.answers(bytes)
  if not found then return nil, err end
  local now, sent_by, results = agent.world.clock(), waiting(agent), {}
  for i, message in ipairs(found.messages) do
    local transaction = carried.transaction(message)
    local mine = transaction and sent_by[transaction]
    if mine then
      local cert, problem = one_in(mine.identity, mine.sent, message, found.certificates, now)
      results[i] = { name = mine.identity.name, cert = cert, err = problem }
      if cert then sent_by[transaction] = nil end
    else
      results[i] = taken_before(agent, message, now)
    end
  end
  return results
end

return M
