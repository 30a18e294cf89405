--- The certificates in files that a server's CAs have signed and that its clients can show: what
--- `lest cert import` puts into the ledger.
---
---   local judge = import.judge(config, "default")
---   local text = import.read "old.pem"
---   for cert, where, problem in import.certificates("old.pem", bytes) do
---     local known, why = judge(cert)
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local snapshot = require "lest.server.config.snapshot"
local support = require "lest.tool.command.support"

local M = {}

local FILE_MAX <const> = 256 * 1024 * 1024

---@param file string
---@return string|nil bytes
---@return lest.error|nil err
function M.read(file)
  return support.read(file, FILE_MAX)
end

local BAGS <const> = { PKCS7 = true, CMS = true, ["PKCS #7 SIGNED DATA"] = true }

local function of_bag(text)
  local certs, err = core.pkcs7.decode(text)
  if not certs then return nil, err.message end
  if #certs == 0 then return nil, "the bag has no certificate" end
  return certs
end

--- The certificates of a PEM block.
local function of_block(block)
  if block.problem then return nil, block.problem end
  if BAGS[block.label] then return of_bag(block.text) end
  local cert, err = core.cert.parse(block.text)
  if not cert then return nil, err.message end
  return { cert }
end

--- The certificates of a file that is no PEM: DER, or base64 as EST has it.
local function of_file(bytes)
  local items, err = inspect.recognize(bytes)
  if not items then return nil, err.message end
  local kind, object = items[1].kind, items[1].object
  if kind == "certificate" then return { object } end
  if kind == "pkcs7" and object.certificates and object.certificates[1] then
    return object.certificates
  end
  if kind == "pkcs7" then return nil, "the bag has no certificate" end
  return nil, ("it is no certificate (%s)"):format(kind:gsub("_", " "))
end

--- Each certificate of a PEM file, or of one in DER or base64, also of the bags (PKCS#7) in it; or
--- what is wrong with what stands there. `where` names file, block and place in a bag.
---@param file string
---@param bytes string
---@return fun(): lest.cert|false|nil cert, string where, string? problem
function M.certificates(file, bytes)
  local blocks = core.pem.looks(bytes) and core.pem.blocks(bytes)
  local parse = blocks and of_block or of_file
  local number, at, certs = 0, 0, {}
  return function()
    local where, problem = file, nil
    at = at + 1
    if not certs[at] then
      number, at = number + 1, 1
      local block = (blocks or { bytes })[number]
      if not block then return nil end
      certs, problem = parse(block)
    end
    if blocks then where = ("%s, block %d"):format(where, number) end
    if not certs then
      certs = {}
      return false, where, problem
    end
    if #certs > 1 then where = ("%s, certificate %d"):format(where, at) end
    return certs[at], where
  end
end

-- Those that a server has are what it goes by.
local function read_files(config)
  local files = {}
  for _, pair in ipairs(snapshot.files(config)) do
    local err
    files[pair[2]], err = core.file.read(pair[2], FILE_MAX)
    if err then return nil, err end
  end
  return files
end

--- The stores of a label's anchors, in their order.
local function stores_of(config, label, intermediates)
  local unread
  if not config.files then config.files, unread = read_files(config) end
  if unread then return nil, unread end
  local anchors, crls = snapshot.trust(config)
  if not anchors then return nil, crls end
  local stores = {}
  for i, name in ipairs(config.labels[label].anchors) do
    local store, err = core.store.new { anchors = anchors[name], intermediates = intermediates,
      crls = crls }
    if not store then return nil, err end
    stores[i] = { name = name, store = store }
  end
  return stores
end

--- The configuration's CAs: their certificates with those above them, and what the ledger calls
--- them, by the DER of their keys.
---@param config table
---@return { certificates: lest.cert[], names: table<string, string> }?
---@return lest.error? err
function M.issuers(config)
  local certificates, problem = chain.load_all(config)
  if not certificates then return nil, problem end
  local names = {}
  for _, each in ipairs(chain.cas(config)) do
    local certs, err = chain.load(each[1], each[2])
    if not certs then return nil, err end
    for _, cert in ipairs(chain.generations(certs)) do
      names[cert.public_key.der] = core.secret.sha256(cert.public_key.der)
    end
  end
  return { certificates = certificates, names = names }
end

--- A function that says of a certificate which CA of the configuration signed it and which anchors
--- of the label vouch for it, or why it is not one that a client of the label could show.
---@param config table in a server with its `files` and `issuers`, which it had read before
---@param label string
---@return (fun(cert: lest.cert): { issuer: string, anchors: string }?, string?)?
---@return lest.error? err
function M.judge(config, label)
  local issuers, stores, err = config.issuers, nil, nil
  if not issuers then issuers, err = M.issuers(config) end
  if issuers then stores, err = stores_of(config, label, issuers.certificates) end
  if not stores then return nil, err end
  return function(cert)
    if cert.is_ca then return nil, "it is a CA's" end
    local failure
    for _, each in ipairs(stores) do
      local path, problem = each.store:verify(cert,
        { untrusted = issuers.certificates, purpose = "client" })
      local issuer = path and path[2] and issuers.names[path[2].public_key.der]
      if issuer then return { issuer = issuer, anchors = each.name } end
      failure = failure or problem and problem.message
    end
    return nil, failure or "no CA of this configuration has signed it"
  end
end

return M
