--- What of a server's configuration ends, when, what breaks then, and what to do about it: its
--- certificates and CRLs, in the files that a server would read.
---
---   for _, item in ipairs(expiry.of(config)) do print(item.key, item.ends, item.breaks) end
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local duration = require "lest.duration"
local kept = require "lest.tool.check.kept"
local key_sources = require "lest.server.config.key_sources"
local list = require "lest.base.list"
local outlook = require "lest.tool.ca.outlook"

local M = {}

local FILE_MAX <const> = 16 * 1024 * 1024

---@class lest.check.item
---@field key string of the configuration: "ca", "anchors.own"
---@field what string what it is, in words
---@field file? string
---@field subject? string
---@field begins? integer seconds since 1970
---@field ends? integer seconds since 1970; a CRL may have none
---@field problem? string what is wrong with it besides its end
---@field is_broken? boolean nothing works with that problem
---@field is_one_of_many? boolean there are others beside it: its end alone breaks little
---@field renews? integer seconds before its end by which it renews itself
---@field is_as_it_should? boolean its end is meant, or harms nobody
---@field breaks string what fails once it is over
---@field fix string what to do

local function add(items, item)
  table.insert(items, item)
  return item
end

-- The certificates of a file, or an item that says why not.
local function load(items, item)
  local certs, err = core.cert.load_all(item.file)
  if certs then return certs end
  item.problem, item.is_broken = tostring(err), true
  add(items, item)
end

local function with(item, cert)
  local copy = {}
  for key, value in pairs(item) do copy[key] = value end
  copy.subject, copy.begins, copy.ends = tostring(cert.subject), cert.not_before, cert.not_after
  return copy
end

local function add_file(items, item)
  for _, cert in ipairs(load(items, item) or {}) do add(items, with(item, cert)) end
end

--- The server's own certificate.
local function add_tls(items, config)
  local tls = config.tls
  if not tls then return end
  local item = { key = "tls", what = "the server's certificate",
    breaks = "no client takes the server any more: nothing is enrolled or renewed" }
  if not tls.auto then
    item.file = tls.cert
    item.fix = "put the next one in its place and reload (`lest ca server-cert DIR`, where the CA "
      .. "of that folder made it)"
    local certs = load(items, item)
    if certs then add(items, with(item, certs[1])) end
    return
  end
  item.file = config.ledger:match "^(.*/)" .. "tls-auto.pem"
  item.fix = "it renews itself: see the log for why it did not, and reload"
  local there = core.system.exists(item.file)
  -- Before the first start, and for who may not read it.
  if not there then
    item.problem = there == false and "is issued at the first start" or nil
    return there == false and add(items, item)
  end
  local certs = load(items, item)
  if not certs then return end
  item.renews = (certs[1].not_after - certs[1].not_before) // 3
  add(items, with(item, certs[1]))
end

--- A CA whose end cuts short what it issues.
local function judge_ca(item, config, name, now)
  local longest = outlook.longest(config, name)
  if item.ends > now and item.ends - now < longest then
    item.problem = ("ends before what its profiles give (%s): certificates end with it"):format(
      duration.format(longest))
  end
end

local function add_cas(items, config, now)
  for _, each in ipairs(chain.cas(config)) do
    local key, ca = table.unpack(each)
    local name = key:match "^cas%.(.*)$" or ""
    local item = { key = key, what = "the CA", file = ca.cert,
      breaks = "nothing is issued, and no certificate of it is believed any more",
      fix = ca.backend and "take the next certificate of that CA into `cert`, and reload"
        or "`lest ca rollover DIR begin`, well before" }
    local certs = load(items, item)
    local generations = certs and chain.generations(certs) or {}
    for i, cert in ipairs(certs or {}) do
      local one = with(item, cert)
      if i == 1 then
        judge_ca(one, config, name, now)
      elseif list.has(generations, cert) then
        one.what, one.breaks = "the CA's other generation", "what it has signed is not believed"
        one.fix = "`lest ca rollover DIR status` says what is next"
      else
        one.what, one.breaks = "a link, or a CA above", "clients cannot follow it to their root"
        one.is_one_of_many = true
        one.fix = "`lest ca rollover DIR finish` leaves out links that are over"
      end
      add(items, one)
    end
    if ca.chain then
      add_file(items, { key = key .. ".chain", what = "a CA above", file = ca.chain,
        breaks = "clients cannot verify what is issued",
        fix = "put the next one there, and reload" })
    end
    if ca.identity then
      add_file(items, { key = key .. ".identity", what = "the credential for a CA elsewhere",
        file = ca.identity.cert, breaks = "that CA issues nothing",
        fix = "renew it at that CA (`lest agent`)" })
    end
    if ca.trust and ca.trust ~= "system" then
      add_file(items, { key = key .. ".trust", what = "what vouches for a CA elsewhere",
        file = ca.trust, breaks = "that CA is not believed", fix = "put its next root there" })
    end
  end
end

local function add_others(items, config)
  for _, name in ipairs(list.sorted_keys(config.anchors)) do
    add_file(items, { key = "anchors." .. name, what = "an anchor", file = config.anchors[name],
      is_one_of_many = true, breaks = "clients with certificates under it are refused",
      fix = "put the next one beside it, and reload" })
  end
  if config.cmc then
    local item = { key = "cmc", what = "who signs answers of CMC", file = config.cmc.cert,
      breaks = "no client takes an answer of fullcmc",
      fix = "issue the next one with the usage cmcCA into `cert`, and reload" }
    local certs = load(items, item)
    if certs then add(items, with(item, certs[1])) end
  end
  for _, source in ipairs((key_sources.list(config))) do
    if source.trust ~= "system" then
      add_file(items, { key = source.where .. ".jwks_trust", file = source.trust,
        what = "what vouches for an issuer of tokens", breaks = "its next keys are not taken",
        fix = "put the next root there, and reload" })
    end
  end
end

local function add_crls(items, config)
  for i, file in ipairs(config.crls) do
    local item = { key = ("crls[%d]"):format(i), what = "a CRL", file = file,
      breaks = "clients of that CA are refused", fix = "fetch the next one, and reload" }
    local text, err = core.file.read(file, FILE_MAX)
    local crl
    if text then crl, err = core.crl.parse(text) end
    if crl then
      item.subject, item.begins, item.ends = tostring(crl.issuer), crl.this_update, crl.next_update
    else
      item.problem, item.is_broken = tostring(err), true
    end
    add(items, item)
  end
end

--- Of labels that believe the same anchors: once the last of these is over, no client certificate
--- is taken there.
local function add_labels(items, config)
  local by = {}
  for _, name in ipairs(list.sorted_keys(config.labels)) do
    local label = config.labels[name]
    local mark = table.concat(label.anchors, "\0")
    if label.accepts.certificate and #label.anchors > 0 then
      by[mark] = by[mark] or { anchors = label.anchors }
      table.insert(by[mark], name)
    end
  end
  for _, mark in ipairs(list.sorted_keys(by)) do
    local labels, last = by[mark], nil
    for _, name in ipairs(labels.anchors) do
      for _, cert in ipairs(core.cert.load_all(config.anchors[name]) or {}) do
        last = math.max(last or 0, cert.not_after)
      end
    end
    add(items, { key = ("labels.%s.anchors"):format(labels[1]), ends = last,
      what = ("the last anchor of %s: %s"):format(table.concat(labels, ", "),
        table.concat(labels.anchors, ", ")),
      problem = not last and "none of them can be read" or nil, is_broken = not last,
      breaks = "no client certificate is taken there: clients can neither renew nor show one",
      fix = "put the next anchor into one of these files, or name another, and reload" })
  end
end

--- Everything that has an end, what ends first first.
---@param config table of lest.server.config.load
---@param now integer seconds since 1970
---@param said? { issuers: table[]?, ends: table? } what the ledger says, by lest.tool.ca.in_use
---@return lest.check.item[]
function M.of(config, now, said)
  local items, seen, unique = {}, {}, {}
  add_tls(items, config)
  add_cas(items, config, now)
  add_others(items, config)
  add_labels(items, config)
  add_crls(items, config)
  kept.add(items, config, said or {})
  -- A CA is an anchor as often as not.
  for _, item in ipairs(items) do
    local mark = table.concat({ item.file or item.key, item.subject or "", item.ends or "",
      item.begins or "", item.problem or "" }, "\0")
    if not (seen[mark] and item.key:find "^anchors") then table.insert(unique, item) end
    seen[mark] = true
  end
  table.sort(unique, function(a, b)
    local x, y = a.ends or math.maxinteger, b.ends or math.maxinteger
    if x ~= y then return x < y end
    return a.key < b.key
  end)
  return unique
end

--- How bad it is: "expired" and "broken" are, "warning" will be within so many seconds.
---@param item lest.check.item
---@param now integer
---@param within integer seconds
---@return "ok"|"warning"|"expired"|"broken"
function M.state(item, now, within)
  if item.is_broken then return "broken" end
  if item.is_as_it_should then return "ok" end
  if item.ends and now > item.ends or item.begins and now < item.begins then
    return item.is_one_of_many and "warning" or "expired"
  end
  if item.problem and item.ends then return "warning" end
  if not item.ends then return "ok" end
  local left, least = item.ends - now, within
  if item.renews then least = math.min(within, item.renews - item.renews // 4) end
  return left < least and "warning" or "ok"
end

return M
