--- What the authority makes of its configuration, once: the CAs' keys, the anchors, the ledger.
local chain = require "lest.server.config.chain"
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local doubts = require "lest.server.authority.doubts"
local fail = require "lest.base.fail"
local key_sources = require "lest.server.config.key_sources"
local keypair = require "lest.server.config.keypair"
local lanes_module = require "lest.server.authority.lanes"
local limiter = require "lest.server.wire.limiter"
local list = require "lest.base.list"
local public = require "lest.server.config.public"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"

local M = {}

local blame <const> = start_failure.blame

--- A CA elsewhere: what it issues is checked against its certificate.
local function load_elsewhere(where, ca)
  local cert, err = core.cert.load(ca.cert)
  if not cert then return blame(where .. ".cert", err) end
  if not cert.is_ca then
    return blame(where .. ".cert", select(2, fail("config", ca.cert .. ": it is no CA's")))
  end
  local store
  store, err = core.store.new { anchors = { cert } }
  if not store then return blame(where .. ".cert", err) end
  local bag
  bag, err = chain.load(where, ca)
  if not bag then return nil, err end
  return { cert = cert, store = store, options = ca, bag = bag, siblings = {},
    id = core.secret.sha256(cert.public_key.der) }
end

-- Other generations of a CA whose key changes: what they have signed is ours.
local function load_siblings(where, ca, issuer, keys)
  for i, cert in ipairs(chain.generations(issuer.bag)) do
    local key = i > 1 and keypair.key_of(keys, cert)
    local sibling = { cert = cert, key = key or nil, bag = issuer.bag,
      id = core.secret.sha256(cert.public_key.der) }
    local err
    if key then sibling.issuer, err = core.issuer.new { cert = cert, key = key } end
    if err then return keypair.blame(where, ca, cert, key, err) end
    if i > 1 then table.insert(issuer.siblings, sibling) end
  end
  return issuer
end

local function load_issuer(where, ca)
  if ca.backend then return load_elsewhere(where, ca) end
  local cert, key, keys = keypair.load(where, ca)
  if not cert then return nil, key end
  local signer, err = core.issuer.new { cert = cert, key = key }
  if not signer then return keypair.blame(where, ca, cert, key, err) end
  local issuer = { cert = cert, issuer = signer, key = key, siblings = {},
    id = core.secret.sha256(cert.public_key.der) }
  issuer.bag, err = chain.load(where, ca)
  if not issuer.bag then return nil, err end
  return load_siblings(where, ca, issuer, keys)
end

-- id-kp-cmcCA and id-kp-cmcRA: who may answer for a CA (RFC 6402 2.10).
local function may_answer(cert)
  return list.has(cert.eku, "cmcCA") or list.has(cert.eku, "cmcRA")
end

--- Who signs the answers of fullcmc, where it is offered.
local function load_cmc(authority)
  local cmc = authority.config.cmc
  if not cmc then return true end
  local cert, key = keypair.load("cmc", cmc)
  if not cert then return nil, key end
  if key:public_der() ~= cert.public_key.der then
    return keypair.blame("cmc", cmc, cert, key, core.error.new { code = "config", message = "" })
  end
  if not may_answer(cert) then
    return blame("cmc.cert", core.error.new { code = "config", message = "the certificate has "
      .. "neither cmcCA nor cmcRA among its usages, and is not for answers of CMC" })
  end
  authority.cmc = { cert = cert, key = key }
  return true
end

local function load_issuers(authority)
  for _, row in ipairs(chain.cas(authority.config)) do
    local where, ca = table.unpack(row)
    local issuer, err = load_issuer(where, ca)
    if not issuer then return nil, err end
    issuer.name = where:match "^cas%.(.*)$" or ""
    authority.issuers[issuer.name] = issuer
    for _, each in ipairs { issuer, table.unpack(issuer.siblings) } do
      each.name = issuer.name
      authority.issuers_by_id[each.id] = each
    end
  end
  return true
end

local function load_anchors(authority)
  local config = authority.config
  local anchors, crls = snapshot.trust(config)
  if not anchors then return nil, crls end
  local intermediates, err = chain.load_all(config)
  if not intermediates then return nil, err end
  for _, name in ipairs(list.sorted_keys(anchors)) do
    local certs = anchors[name]
    local store
    store, err = core.store.new { anchors = certs, intermediates = intermediates, crls = crls }
    if not store then return blame("anchors." .. name, err) end
    authority.anchors[name] = { store = store, vouched = {} }
  end
  authority.doubts = doubts.new(authority, anchors, crls)
  authority.doubts:tell()
  doubts.tell_secrets(config)
  return true
end

--- What JSON Web Tokens are verified with, where a label takes them and names a file. Labels with
--- one file share its keys.
local function load_jwks(authority)
  for _, name in ipairs(list.sorted_keys(authority.config.labels)) do
    local bearer = authority.config.labels[name].bearer
    if bearer then
      require "lest.server.authority.jwt" -- while its file can be read
    end
    if bearer and not key_sources.is_address(bearer.jwks) then
      local jwks = require "lest.server.authority.jwks"
      local set, err = jwks.load(bearer.jwks)
      if not set then return blame(("labels.%s.bearer.jwks"):format(name), err) end
      authority.jwks = authority.jwks or {}
      authority.jwks[bearer.jwks] = set
      doubts.tell_jwks(name, bearer.jwks)
    end
  end
  return true
end

--- Whether the files of keys can be read once more by the account that the authority has become.
local function check_jwks(authority)
  for path, set in pairs(authority.jwks or {}) do
    local problem = set:unreadable()
    if problem then
      core.log.write("warning", "jwks cannot be read again", { "file", path, "message", problem })
    end
  end
end

--- scrypt on the pool's threads, which the sites that ask share (lanes.lua). Who asks for what is
--- being computed already, as devices do that share a password, waits for that; for others
--- attempt.charge() is asked first.
---@param pool lest.pool
---@param limits { scrypt_threads: integer, scrypt_queue: integer }
---@return fun(password: string, salt: string, cost: table, attempt: table?): string?, lest.error?
---@return lest.lanes
function M.scrypt(pool, limits)
  local under_way = {}
  local function no_place()
    return fail("unavailable", ("all %d places for a password's hash are taken"):format(
      limits.scrypt_queue))
  end
  local lanes = lanes_module.new {
    running = limits.scrypt_threads, waiting = limits.scrypt_queue,
    run = function(job, done)
      local queued, err = pool:scrypt(job.password, job.salt, function(...)
        done()
        job.done(...)
      end, job.cost)
      if queued then return end
      done()
      job.done(nil, err)
    end,
    drop = function(job) job.done(no_place()) end,
  }
  return function(password, salt, cost, attempt)
    local key = string.pack("s4s4I8I8I8", password, salt, cost.n, cost.r, cost.p)
    local waiting = under_way[key]
    if not waiting and attempt and not attempt.charge() then
      return fail("unavailable", "too many attempts")
    end
    return task.await(function(callback)
      if waiting then return table.insert(waiting, callback) end
      local callbacks = { callback }
      under_way[key] = callbacks
      local job = { password = password, salt = salt, cost = cost }
      function job.done(...)
        under_way[key] = nil
        for _, each in ipairs(callbacks) do each(...) end
      end
      if not lanes:add(attempt and attempt.site or "", job) then job.done(no_place()) end
    end)
  end, lanes
end

local PAGE <const> = 1000

--- What was issued in the last minute counts in this one: an authority that begins anew, after a
--- crash or SIGHUP, issues no more than one that stayed. What is older than a row of the future was
--- issued before the clock was set back, and so was that row. What was imported was not issued
--- here, and stands among the rest with dates of its own.
local function count_issued(authority)
  local now, before = authority.clock(), nil
  repeat
    local rows, err = authority.ledger:rows("certificate_list", { before = before, limit = PAGE })
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      local is_here = row.operation ~= "import"
      if is_here and (row.issued_at <= now - 60 or row.issued_at > now) then return true end
      local issued = is_here and authority.issued[row.profile]
      if issued then issued:count "all" end
      before = row.seq
    end
  until #rows < PAGE
  return true
end

-- How long a turn of the loop may wait for somebody else's lock; well below the shortest watchdog.
local BUSY_MS <const> = 500

-- A name may fail in all as often as it may from so many networks.
local NETWORKS_PER_NAME <const> = 10

--- Enter the ledger's folder, which must be that of the account that the authority becomes, while
--- that can be done: what is above may be closed to other accounts, as /root is. Nothing is made: a
--- server that begins with an empty ledger has forgotten what it issued.
---@return boolean|nil ok
---@return lest.error|nil err
local function enter_folder(authority, launch)
  local folder, name = authority.config.ledger:match "^(.*)/([^/]*)$"
  local there, err = core.process.own_folder(folder, launch.user, true)
  if there == false then
    there, err = core.ledger.check(authority.config.ledger)
    if not there then return blame("ledger", err) end
  end
  if not there then return nil, err end
  authority.ledger_path = name
  return core.system.enter(folder)
end

--- What is done as whoever started: read the keys and anchors, make sure of the ledger's folder.
---@param authority lest.authority
---@param launch table what the host gives a role
---@return boolean|nil ok
---@return lest.error|nil err
function M.before_drop(authority, launch)
  authority.public_url = public.base(authority.config, public.names(authority.config))
  local ok, err = load_issuers(authority)
  if ok then ok, err = load_cmc(authority) end
  if ok then ok, err = load_anchors(authority) end
  if ok then ok, err = load_jwks(authority) end
  authority.config.files = nil
  if not ok then return nil, err end
  if not launch.user then return true end
  return enter_folder(authority, launch)
end

--- Look at the ledger without making or changing anything, for a check.
function M.check_ledger(authority)
  local path = authority.ledger_path or authority.config.ledger
  local ok, err = core.ledger.check(path)
  if not ok then return blame("ledger", err) end
  -- One of an older version is brought to this one at the start, and looked at then.
  local ledger <close> = core.ledger.open(path, { create = false, read_only = true })
  if ledger then doubts.tell_ledger(authority, ledger) end
  return true
end

--- An authority that is started in the place of another opens the ledger that the first one did:
--- in another, put there meanwhile, is not what was issued. It is not even opened, since a WAL that
--- is left beside it would be taken for its own.
---@param path string
---@return boolean|nil ok
---@return lest.error|nil err
local function check_first(path)
  local identity, err = core.system.identity(path)
  if not identity then
    -- Opening says better what is wrong with one that is not there.
    if err.code == "not_found" then return true end
    return nil, err
  end
  if core.process.keep(identity) == identity then return true end
  return fail("ledger_lost", path .. ": was replaced by another file since the server started",
    { detail = "stop the server, put the ledger in order, start the server" })
end

-- A large ledger of an older version takes minutes: the supervisor waits while it is told so.
local function on_progress(seconds)
  core.process.beat "ledger"
  if seconds > 0 and seconds % 10 ~= 1 then return end
  core.log.write("info", "ledger is brought to this version", { "seconds", seconds })
end

function M.ledger(authority)
  local path = authority.ledger_path or authority.config.ledger
  local ok, err = check_first(path)
  if not ok then return blame("ledger", err) end
  local ledger
  ledger, err = core.ledger.open(path,
    { create = false, busy_ms = BUSY_MS, sync_later = true, progress = on_progress })
  if not ledger then return blame("ledger", err) end
  core.process.beat()
  check_jwks(authority)
  authority.ledger = ledger
  doubts.tell_ledger(authority, ledger)
  local limits = authority.config.limits
  local pool = core.pool.new { threads = limits.scrypt_threads, queue = limits.scrypt_threads }
  local scrypt
  scrypt, authority.lanes = M.scrypt(pool, limits)
  authority.credentials = credentials.new { ledger = ledger, scrypt = scrypt }
  local function limit(per_minute)
    return limiter.new { per_minute = per_minute, now_ms = core.clock.monotonic_ms }
  end
  authority.failures = {
    network = limit(limits.address_failures_per_minute),
    name_there = limit(limits.failures_per_minute),
    name = limit(limits.failures_per_minute * NETWORKS_PER_NAME),
    kind_there = limit(math.maxinteger),
  }
  authority.requests = limit(limits.requests_per_principal_per_minute)
  for name, profile in pairs(authority.config.profiles) do
    authority.issued[name] = limit(profile.per_minute)
  end
  ok, err = clock.check(authority)
  if not ok then return nil, err end
  return count_issued(authority)
end

return M
