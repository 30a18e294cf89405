--- The certificates of the server's own CAs and of those above them, as a configuration names them:
--- `cert` and `chain` of `ca` and of each of `cas`.
local blame = require("lest.server.config.start_failure").blame
local core = require "lest.core"
local list = require "lest.base.list"

local M = {}

local function add(all, certs)
  for _, cert in ipairs(certs) do
    if not list.has(all, cert) then table.insert(all, cert) end
  end
end

--- The key and the options of each CA of a configuration: `ca` first.
---@return { [1]: string, [2]: table }[]
function M.cas(config)
  local cas = { { "ca", config.ca } }
  for _, name in ipairs(list.sorted_keys(config.cas)) do
    table.insert(cas, { "cas." .. name, config.cas[name] })
  end
  return cas
end

--- The CA's own certificates and the rest of its chain, each once.
---@param where string the key in the configuration, "ca"
---@param ca table what stands there
---@return lest.cert[]|nil certs the CA's own is the first
---@return lest.error|nil err
function M.load(where, ca)
  local all = {}
  for _, key in ipairs { "cert", "chain" } do
    if ca[key] then
      local certs, err = core.cert.load_all(ca[key])
      if not certs then return blame(where .. "." .. key, err) end
      add(all, certs)
    end
  end
  return all
end

--- The generations of a CA whose key changes (`lest ca rollover`): the first of its certificates,
--- which signs, and for each other key that stands under its name the first with that. Links
--- between them have a key that another certificate has already.
---@param certs lest.cert[] as load() gives them
---@return lest.cert[] generations the one that signs is the first; mostly it is the only one
function M.generations(certs)
  local found, keys = {}, {}
  for _, cert in ipairs(certs) do
    local key = cert.public_key.der
    if #found == 0 or not keys[key] and cert.is_ca
      and core.name.equal(cert.subject_der, found[1].subject_der) then
      table.insert(found, cert)
      keys[key] = true
    end
  end
  return found
end

--- Those of each CA that may issue for a label, each once.
---@param config table
---@param label table
---@return lest.cert[]|nil certs
---@return lest.error|nil err
function M.of_label(config, label)
  local all = {}
  for _, name in ipairs(label.cas) do
    local certs, err
    if name == "" then
      certs, err = M.load("ca", config.ca)
    else
      certs, err = M.load("cas." .. name, config.cas[name])
    end
    if not certs then return nil, err end
    add(all, certs)
  end
  return all
end

--- Those of every CA, each once.
---@param config table
---@return lest.cert[]|nil certs
---@return lest.error|nil err
function M.load_all(config)
  local all = {}
  for _, each in ipairs(M.cas(config)) do
    local certs, err = M.load(each[1], each[2])
    if not certs then return nil, err end
    add(all, certs)
  end
  return all
end

return M
