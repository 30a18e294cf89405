--- The two files of a CA in a folder while its key changes. ca.pem has the certificates, that of
--- the generation which signs first; ca.key has the keys, the older first. What they have is the
--- state: there is no other record of it, and one rename takes each step.
---
---   local state = generations.read("pki")
---   print(state.step, state.signing.cert.subject)
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local fail = require "lest.base.fail"
local key_file = require "lest.server.config.key_file"
local keypair = require "lest.server.config.keypair"
local list = require "lest.base.list"

local M = {}

--- A new certificate begins so long ago, for a device whose clock is a little late.
M.BACKDATE_S = 60

local KEY_MODE <const> = 384 -- 0600

---@class lest.ca.generation
---@field cert? lest.cert absent where it was not made yet
---@field key? lest.key

---@class lest.ca.state
---@field step "none"|"asked"|"begun"|"switched"|"finishing" asked: there is a second key, and no
--- certificate for it; finishing: the older key is still in the file, and nothing more of it
---@field cert string the files
---@field key string
---@field csr string
---@field signing lest.ca.generation
---@field old? lest.ca.generation while there are two
---@field new? lest.ca.generation
---@field links lest.cert[] with the key of one and the signature of another (RFC 4210 4.4)
---@field rest lest.cert[] what else ca.pem has
---@field texts string[] of the keys in ca.key
---@field keys lest.key[] of ca.key
---@field passphrase? string of the keys
---@field is_left? boolean of `finish`: the old key is in hardware still
local State = {}
State.__index = State

-- What ca.pem has besides the generations: links, and CAs above.
local function sort(state, certs, pair)
  local own = pair[1]
  for _, cert in ipairs(certs) do
    local is_link = cert.is_ca and core.name.equal(cert.subject_der, own.subject_der)
    if not list.has(pair, cert) then table.insert(is_link and state.links or state.rest, cert) end
  end
end

local function step_of(state, keys, pair)
  local _, place = keypair.key_of(keys, pair[1])
  if #keys == 1 and #pair == 1 then return "none" end
  if #keys == 2 and #pair == 1 then return place == 1 and "asked" or "finishing" end
  if #keys == 2 and #pair == 2 and keypair.key_of(keys, pair[2]) then
    return place == 1 and "begun" or "switched"
  end
  return fail("usage", ("%s has %d certificates of this CA and %s %d keys, which are no two pairs")
    :format(state.cert, #pair, state.key, #keys))
end

local function name_both(state, keys, pair)
  local signing = { cert = pair[1], key = keypair.key_of(keys, pair[1]) }
  local other = pair[2] and { cert = pair[2], key = keypair.key_of(keys, pair[2]) }
  state.signing = signing
  if state.step == "asked" then
    state.old, state.new = signing, { key = keys[2] }
  elseif state.step == "finishing" then
    state.old, state.new = { key = keys[1] }, signing
  elseif state.step == "begun" then
    state.old, state.new = signing, other
  elseif state.step == "switched" then
    state.old, state.new = other, signing
  end
end

--- What a folder has.
---@param folder string
---@param passphrase? string of the keys
---@return lest.ca.state|nil
---@return lest.error|nil err
function M.read(folder, passphrase)
  folder = #folder > 1 and folder:gsub("/+$", "") or folder
  local state = setmetatable({ cert = folder .. "/ca.pem", key = folder .. "/ca.key",
    csr = folder .. "/ca.csr", links = {}, rest = {}, passphrase = passphrase }, State)
  local certs, keys, err
  certs, err = core.cert.load_all(state.cert)
  if certs then keys, err = key_file.load_all(state.key, { passphrase = passphrase }) end
  if not keys then return nil, err end
  if #err ~= #keys then return fail("usage", state.key .. " is not in PEM") end
  state.keys, state.texts = keys, err
  local pair = chain.generations(certs)
  if not keypair.key_of(keys, pair[1]) then
    return fail("usage", ("%s has no key of the first certificate in %s"):format(state.key,
      state.cert))
  end
  state.step, err = step_of(state, keys, pair)
  if not state.step then return nil, err end
  name_both(state, keys, pair)
  sort(state, certs, pair)
  return state
end

--- Write ca.pem: what signs first.
---@param certs lest.cert[]
---@return boolean|nil ok
---@return lest.error|nil err
function State:write_certs(certs)
  local text = ""
  for _, cert in ipairs(certs) do text = text .. cert:pem() end
  return core.file.write(self.cert, text)
end

local function write_keys(state, texts)
  return core.file.write(state.key, table.concat(texts, "\n") .. "\n", { mode = KEY_MODE })
end

--- Put a key behind the one that there is, whose text stays as it is.
---@param key lest.key
---@param uri? string of a key in hardware, which stands for it
---@return boolean|nil ok
---@return lest.error|nil err
function State:add_key(key, uri)
  local texts = table.move(self.texts, 1, #self.texts, 1, {})
  table.insert(texts, uri or (assert(key:pem(self.passphrase)):gsub("\n$", "")))
  return write_keys(self, texts)
end

--- Leave this key alone.
---@param key lest.key
---@return boolean|nil ok
---@return lest.error|nil err
function State:keep_key(key)
  for i, each in ipairs(self.keys) do
    if each == key then return write_keys(self, { self.texts[i] }) end
  end
  error "no key of this file"
end

--- Whether the first key is in hardware.
---@return boolean
function State:is_in_hardware()
  return key_file.is_in_hardware(self.texts[1])
end

return M
