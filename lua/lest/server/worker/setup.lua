--- What a worker makes of its configuration, once: TLS, the limits, the labels.
local chain = require "lest.server.config.chain"
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local hooks = require "lest.server.worker.hooks"
local keypair = require "lest.server.config.keypair"
local list = require "lest.base.list"
local meters = require "lest.server.wire.meters"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"

local M = {}

local blame <const> = start_failure.blame

---@class lest.worker.label
---@field name string
---@field number integer among all labels, from 1
---@field options table of the configuration
---@field accepts table<string, boolean> the kinds of proof that it takes
---@field cacerts string DER of the bag
---@field csrattrs string|nil DER, where no hook says otherwise
---@field enforcement table|false the module that looks whether a CSR has them, where it must
---@field renewal_window? lest.renewal_window of every certificate that it gives
---@field policy table its hooks, file and hash
---@field shadow? table likewise: what decides nothing

--- When all that is issued by these profiles is to be renewed; nil where they do not agree.
local function common_window(profiles, names)
  local first = profiles[names[1]].renewal_window
  for _, name in ipairs(names) do
    local window = profiles[name].renewal_window
    if not first or not window or window.from ~= first.from or window.to ~= first.to then
      return nil
    end
  end
  return first
end

--- What a label needs at run time, but for its policy.
---@param config table
---@param name string
---@return lest.worker.label|nil label
---@return lest.error|nil err
function M.label(config, name)
  local options = config.labels[name]
  local label = { name = name, options = options, accepts = options.accepts,
    number = meters.labels(config).places[name] }
  local bag, err = chain.of_label(config, options)
  if bag then label.cacerts, err = core.pkcs7.encode(bag) end
  if not label.cacerts then return nil, err end
  label.csrattrs, err = challenges.named(options.csrattrs and core.base64.decode(options.csrattrs)
    or nil, label)
  if err then return nil, err end
  label.enforcement = options.csrattrs_enforced and require "lest.server.worker.enforcement"
  label.renewal_window = common_window(config.profiles, options.profiles)
  return label
end

--- What is wrong with a policy, with the key of the configuration that it is about: the policy's,
--- or that of an option, with its line.
local function blame_policy(config, err)
  local policy = err.of
  if not err.option then return blame(policy.where, err) end
  local line = policy.lines[err.option:match "^[%w_]*"]
  local where = ("%s.options.%s"):format(policy.where, err.option)
  return blame(line and ("%s:%d: %s"):format(config.file, line, where) or where, err)
end

--- Run the texts of a label's policies and of its shadow, which make their hooks.
---@param config table
---@param label table
---@return boolean|nil ok
---@return lest.error|nil err
function M.policy(config, label)
  local err
  label.policy, err = hooks.of_label(label.options, config.folder, config.files)
  if not label.policy then return blame_policy(config, err) end
  if not label.options.shadow then return true end
  label.shadow, err = hooks.of_label({ policies = { label.options.shadow } }, config.folder,
    config.files)
  if not label.shadow then return blame_policy(config, err) end
  return true
end

--- The anchors that a client certificate may chain to at the handshake: the union of all labels'.
--- The authority decides which of them a label takes.
local function load_store(config)
  local used, all = false, {}
  local anchors, crls = snapshot.trust(config)
  if not anchors then return nil, crls end
  for _, name in ipairs(list.sorted_keys(anchors)) do
    table.move(anchors[name], 1, #anchors[name], #all + 1, all)
  end
  for _, label in pairs(config.labels) do
    used = used or label.accepts.certificate
  end
  if not used or #all == 0 then return false end
  local intermediates, err = chain.load_all(config)
  if not intermediates then return nil, err end
  return core.store.new { anchors = all, intermediates = intermediates, crls = crls }
end

--- The curves of the keys that any profile lets issue: their holders are to renew on TLS 1.2 too.
local function curves(config)
  local names = {}
  for _, profile in pairs(config.profiles) do
    for _, kinds in ipairs { profile.keys, profile.server_keys or {} } do
      for _, kind in ipairs(kinds) do table.insert(names, kind:match "^ec:(.*)$") end
    end
  end
  return table.concat(names, ":")
end

--- What the handshake lets pass of our own certificates that have expired: the longest grace of a
--- label, and the CAs that issue. Which request one is good for is the authority's to say.
local function grace(config)
  local longest, own = 0, {}
  for _, label in pairs(config.labels) do longest = math.max(longest, label.expired_grace) end
  if longest == 0 then return 0 end
  for _, each in ipairs(chain.cas(config)) do
    local certs, err = chain.load(each[1], each[2])
    if not certs then return nil, err end
    for _, cert in ipairs(chain.generations(certs)) do table.insert(own, cert) end
  end
  return longest, own
end

-- Where clients have certificates. The server's own is the authority's to give where it renews
-- itself.
local function certified(config)
  local cert, key
  if not config.tls.auto then
    cert, key = keypair.load("tls", config.tls)
    if not cert then return nil, key end
  end
  local store, err = load_store(config)
  if store == nil then return nil, err end
  local expired, own = grace(config)
  if not expired then return nil, own end
  local tls
  tls, err = core.tls.server { cert = cert, key = key, store = store or nil,
    lenient = config.tls.client_certificate == "lenient", expired = expired, own = own,
    curves = curves(config), ciphers = config.tls.ciphers, min_version = config.tls.min_version }
  if tls then return tls end
  if not cert then return blame("tls", err) end
  return keypair.blame("tls", config.tls, cert, key, err)
end

-- Where they have keys or passwords, and so has the authority.
local function keyed(config, each)
  return core.tls.server { psk = each.psk, srp = each.srp, curves = curves(config),
    min_version = config.tls and config.tls.min_version }
end

--- What the addresses share that have the same context.
local function sort_of(each)
  return (each.psk and "psk" or "") .. (each.srp and "srp" or "")
end

--- The TLS context of each address of `listen`.
---@param config table
---@return lest.tls[]|nil
---@return lest.tls|lest.error|nil certified that of addresses where the server has a certificate
function M.tls(config)
  local all, made = {}, {}
  for i, each in ipairs(config.listen) do
    local sort = sort_of(each)
    local make = sort ~= "" and keyed or certified
    local tls, err = made[sort], nil
    if not tls then tls, err = make(config, each) end
    if not tls then return nil, err end
    all[i], made[sort] = tls, tls
  end
  return all, made[""]
end

return M
