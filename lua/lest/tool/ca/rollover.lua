--- The steps of `lest ca rollover`: the next key of a CA, under the name that it has (RFC 4210
--- 4.4, RFC 7030 4.1.3). Each may be stopped at any instant and run again; all but the last can be
--- taken back.
---
---   local state, err = rollover.begin("pki", {})
---   state, err = rollover.switch("pki", {})
local core = require "lest.core"
local fail = require "lest.base.fail"
local generations = require "lest.tool.ca.generations"
local list = require "lest.base.list"

local M = {}

--- Beside ca.key: who makes a step has it.
M.LOCK = "ca.lock"

local LIFETIME <const> = 3652 * 86400 -- ten years

---@class lest.ca.rollover.options
---@field passphrase? string of the keys
---@field kind? string of the new key; as the old one if absent
---@field uri? string of the new key, which is in hardware already
---@field may_switch? fun(state: lest.ca.state): boolean?, lest.error?
---@field lifetime? integer seconds, of a new root
---@field cert? string a file: what a CA above has issued for ca.csr
---@field above? lest.cert[] CAs above that are known besides those in ca.pem
---@field live? false|fun(issuer: string): integer, integer? how many certificates of a key are good
--- still, and until when: what the ledger calls the key is its SHA-256; false: that is not known
---@field force? boolean

local function now_s() return core.clock.wall_us() // 1000000 end

local function id_of(key) return core.secret.sha256(key:public_der()) end

-- What a death has left of a write has keys in it, which are to be in no other file.
local function remove_drafts(folder)
  local ok, err = core.file.check(folder .. "/ca.key")
  if ok then ok, err = core.file.check(folder .. "/ca.pem") end
  return ok, err
end

-- Who makes a step has the folder for itself. The files stay those of the account that has them.
local function open(folder, options)
  local ok, err = core.system.become_owner(folder .. "/ca.key")
  if not ok then return nil, err end
  local state, lock
  lock, err = core.folder.lock(folder .. "/" .. M.LOCK)
  if not lock and err.code == "unavailable" then
    err.message = folder .. ": another `lest ca rollover` works there: `status` says what it did"
  end
  if not lock then return nil, err end
  ok, err = remove_drafts(folder)
  if ok then state, err = generations.read(folder, options.passphrase) end
  if not state then
    lock:close()
    return nil, err
  end
  return state, lock
end

local function wrong_step(state, wanted)
  local said = { none = "no rollover has begun", asked = "the new key has no certificate yet",
    begun = "a rollover has begun", switched = "the new key signs already",
    finishing = "it is to be finished" }
  return fail("usage", ("%s: %s"):format(said[state.step], wanted))
end

-- A key that is in hardware already, which is not to be one of those that there are.
local function given_key(state, uri)
  local key, err = core.key.load(uri, { passphrase = state.passphrase })
  if not key then return nil, err end
  local der = key:public_der()
  if der == state.signing.key:public_der() then
    return fail("usage", "this is the key that signs now: the next one is to be another")
  elseif state.new and der ~= state.new.key:public_der() then
    return fail("usage", "there is a next key already: `abort` takes it back")
  end
  return key
end

-- A second key, kept before anything is made of it.
local function next_key(state, options)
  local key, err
  if options.uri then
    key, err = given_key(state, options.uri)
    if not key then return nil, err end
  end
  if state.new then return state.new.key end
  if not key and state:is_in_hardware() and not options.kind then
    return fail("usage", "the key is in hardware: make the next one there and name it "
      .. "(--next-key), or say which kind of key is to be in a file (--new-key)")
  end
  if not key then key, err = core.key.generate(options.kind or state.signing.key.type) end
  if not key then return nil, err end
  local ok
  ok, err = state:add_key(key, options.uri)
  if not ok then return nil, err end
  return key
end

local function link(signer, other, from, till)
  local issuer <close>, err = core.issuer.new { cert = signer.cert, key = signer.key }
  if not issuer then return nil, err end
  return issuer:link(other.cert, { not_before = from, not_after = till })
end

-- OldWithNew holds for as long as the old root does, NewWithOld from now until then.
local function make_links(old, new)
  local till = math.min(old.cert.not_after, new.cert.not_after)
  local new_with_old, old_with_new, err
  new_with_old, err = link(old, new, new.cert.not_before, till)
  if not new_with_old then return nil, err end
  old_with_new, err = link(new, old, math.min(old.cert.not_before, till), till)
  if not old_with_new then return nil, err end
  return { new_with_old, old_with_new }
end

-- Some clients count a link where RFC 5280 6.1.4 does not: the next rollover's has room.
local function path_len_of(old)
  return old.cert.path_len and math.max(old.cert.path_len, 1)
end

local function next_root(old, key, options)
  local now = now_s()
  return core.issuer.root { key = key, subject_der = old.cert.subject_der,
    path_len = path_len_of(old), not_after = now + (options.lifetime or LIFETIME),
    not_before = math.max(now - generations.BACKDATE_S, old.cert.not_before + 1) }
end

--- What the CA above has issued, checked as what it was asked for.
local function answered(state, key, options)
  local certs, err = core.cert.load_all(options.cert)
  if not certs then return nil, err end
  local found
  for _, cert in ipairs(certs) do
    if cert.public_key.der == key:public_der() then found = cert end
  end
  local own = state.old.cert
  if not found then
    return fail("usage", ("%s has no certificate of the key in %s"):format(options.cert, state.csr))
  elseif not core.name.equal(found.subject_der, own.subject_der) then
    return fail("usage", ("%s is for %s, and the CA is %s: its name stays the same"):format(
      options.cert, tostring(found.subject), tostring(own.subject)))
  end
  local issuer <close>, problem = core.issuer.new { cert = found, key = key }
  if not issuer then return nil, problem end
  local above = table.move(options.above or {}, 1, #(options.above or {}), #state.rest + 1,
    table.move(state.rest, 1, #state.rest, 1, {}))
  local store = #above > 0 and core.store.new { anchors = above }
  local path
  if store then path, problem = store:verify(found, { untrusted = certs }) end
  if not path and not options.force then
    return fail("usage", options.cert .. ": no CA that is known here vouches for it; --force takes "
      .. "it all the same", { cause = problem or nil })
  end
  for _, cert in ipairs(certs) do
    if cert ~= found and not list.has(state.rest, cert) then table.insert(state.rest, cert) end
  end
  return found
end

-- A CA under another one: that one's key is not here, and has to be asked.
local function ask(state, key)
  local csr, err = core.csr.build { key = key, subject = state.old.cert.subject }
  if not csr then return nil, err end
  local ok
  ok, err = core.file.write(state.csr, csr:pem())
  if not ok then return nil, err end
  return generations.read(state.cert:match "^(.*)/", state.passphrase)
end

local function together(first, second, state)
  local certs = { first.cert, second.cert, table.unpack(state.links) }
  return table.move(state.rest, 1, #state.rest, #certs + 1, certs)
end

--- Make the next key and its certificate, and have both generations served. The old one signs.
---@param folder string
---@param options lest.ca.rollover.options
---@return lest.ca.state|nil
---@return lest.error|nil err
function M.begin(folder, options)
  local state, held = open(folder, options)
  if not state then return nil, held end
  local _ <close> = held
  if state.step ~= "none" and state.step ~= "asked" then
    return wrong_step(state, "`abort` or `finish` it first")
  end
  local is_root = state.signing.cert.self_signed
  if options.cert and (is_root or state.step ~= "asked") then
    return fail("usage", is_root and "--cert is for a CA that another one has signed: a root signs "
      .. "itself" or "--cert is the answer to a CSR, which `begin` makes first")
  end
  local key, err = next_key(state, options)
  if not key then return nil, err end
  state.old, state.new = state.signing, { key = key }
  if not is_root and not options.cert then return ask(state, key) end
  state.new.cert, err = (is_root and next_root or answered)(is_root and state.old or state,
    key, options)
  if not state.new.cert then return nil, err end
  state.links = {}
  if is_root then
    state.links, err = make_links(state.old, state.new)
    if not state.links then return nil, err end
  end
  local ok
  ok, err = state:write_certs(together(state.old, state.new, state))
  if not ok then return nil, err end
  if not is_root then os.remove(state.csr) end
  return generations.read(folder, options.passphrase)
end

--- Have the new key sign.
---@param folder string
---@param options lest.ca.rollover.options
---@return lest.ca.state|nil
---@return lest.error|nil err
function M.switch(folder, options)
  local state, held = open(folder, options)
  if not state then return nil, held end
  local _ <close> = held
  if state.step ~= "begun" then return wrong_step(state, "`switch` comes after `begin`") end
  local ok, err = true, nil
  if options.may_switch then ok, err = options.may_switch(state) end
  if ok then ok, err = state:write_certs(together(state.new, state.old, state)) end
  if not ok then return nil, err end
  return generations.read(folder, options.passphrase)
end

local function refuse_live(options, key, what)
  if options.force or options.live == nil then return true end
  if not options.live then
    return fail("usage", ("how many certificates of the %s key are good still is not known without "
      .. "--config; --force does it all the same"):format(what))
  end
  local count, last = options.live(id_of(key))
  if count == 0 then return true end
  local those = count == 1 and "1 certificate" or count .. " certificates"
  return fail("usage", ("the %s key has %s still good, the last until %s: after this none could be "
    .. "renewed or revoked; --force does it all the same"):format(what, those,
    os.date("!%Y-%m-%d %H:%M:%S", last)))
end

-- Who answers messages of CMC goes with the CA, and has a certificate of the key that stays.
local function renew_cmc(state)
  local path = state.cert:match "^(.*)/" .. "/cmc.pem"
  local there = core.cert.load(path)
  local ca = state.new.cert
  if not there or there.issuer_der ~= ca.subject_der or there.aki == ca.ski then return true end
  local issuer <close>, err = core.issuer.new(state.new)
  if not issuer then return nil, err end
  local der
  der, err = issuer:issue { public_key = there.public_key.der, subject_der = there.subject_der,
    not_before = math.max(now_s() - generations.BACKDATE_S, ca.not_before),
    not_after = ca.not_after,
    key_usage = there.key_usage, eku = there.eku }
  if not der then return nil, err end
  return core.file.write(path, assert(core.cert.parse(der)):pem())
end

--- Retire the old key: it is in no file any more, and nobody is believed for its signature. The
--- link to the new root stays for as long as it holds, for those who have the old one alone.
---@param folder string
---@param options lest.ca.rollover.options
---@return lest.ca.state|nil
---@return lest.error|nil err
function M.finish(folder, options)
  local state, held = open(folder, options)
  if not state then return nil, held end
  local _ <close> = held
  local is_tidying = state.step == "none" and #state.links > 0
  if not is_tidying and state.step ~= "switched" and state.step ~= "finishing" then
    return wrong_step(state, "`finish` comes after `switch`")
  end
  local ok, err
  if state.step == "switched" then
    ok, err = refuse_live(options, state.old.key, "old")
    if not ok then return nil, err end
  end
  if not is_tidying then
    ok, err = renew_cmc(state)
    if not ok then return nil, err end
  end
  local certs, now = { state.signing.cert }, now_s()
  for _, cert in ipairs(state.links) do
    local is_new = cert.public_key.der == state.signing.cert.public_key.der
    if is_new and cert.not_after > now then table.insert(certs, cert) end
  end
  ok, err = state:write_certs(table.move(state.rest, 1, #state.rest, #certs + 1, certs))
  local is_left = not is_tidying and state:is_in_hardware()
  if ok and not is_tidying then ok, err = state:keep_key(state.signing.key) end
  if not ok then return nil, err end
  state, err = generations.read(folder, options.passphrase)
  if state then state.is_left = is_left end
  return state, err
end

--- Take back the last step: after `switch` the old key signs again, after `begin` the new one is
--- gone.
---@param folder string
---@param options lest.ca.rollover.options
---@return lest.ca.state|nil
---@return lest.error|nil err
function M.abort(folder, options)
  local state, held = open(folder, options)
  if not state then return nil, held end
  local _ <close> = held
  if state.step == "none" then return wrong_step(state, "there is nothing to take back") end
  if state.step == "finishing" then
    return wrong_step(state, "`finish` cannot be taken back, run it again")
  end
  local ok, err
  if state.step == "switched" then
    ok, err = state:write_certs(together(state.old, state.new, state))
  else
    ok, err = refuse_live(options, state.new.key, "new")
    if ok then
      ok, err = state:write_certs(table.move(state.rest, 1, #state.rest, 2, { state.old.cert }))
    end
    if ok then ok, err = state:keep_key(state.old.key) end
    if ok then os.remove(state.csr) end
  end
  if not ok then return nil, err end
  return generations.read(folder, options.passphrase)
end

return M
