--- Files as their readers want them: PEM apart or together, PKCS#12, or a folder as Kubernetes
--- mounts a secret. Each is in its place whole or not at all, with its owner and mode from the
--- first; a folder changes by the switch of one link.
---
---   local done, err = files.write(file, material)   -- file as deploy.shape gives it
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

-- What is looked at of a file that is to be replaced.
local LOOK_MAX <const> = 4 * 1024 * 1024

-- Of a folder: what Kubernetes calls them.
local IN_FOLDER <const> = { ["tls.crt"] = "fullchain", ["tls.key"] = "key", ["ca.crt"] = "anchors" }
local DATA <const>, GENERATION <const> = "..data", "..lest-"

local function no_key()
  return fail("usage", "the key is in hardware, and no file can hold it")
end

local parts = {
  cert = function(material) return material.cert end,
  chain = function(material) return material.chain end,
  fullchain = function(material) return material.cert .. material.chain end,
  anchors = function(material) return material.anchors end,
  key = function(material)
    if not material.key then return no_key() end
    return material.key
  end,
  combined = function(material)
    if not material.key then return no_key() end
    return material.cert .. material.chain .. material.key
  end,
}

function parts.pkcs12(material, file)
  if not material.key then return no_key() end
  local password, err = core.file.read(file.password_file, 4096)
  if not password then return nil, err end
  password = password:match "^([^\r\n%z]+)"
  if not password then
    return fail("config", ("%s: its first line is to be the password"):format(file.password_file))
  end
  local key, chain
  key, err = core.key.parse(material.key)
  if not key then return nil, err end
  chain = {}
  if material.chain ~= "" then
    chain, err = core.cert.parse_all(material.chain)
    if not chain then return nil, err end
  end
  return core.pkcs12.build { key = key, cert = material.certificate, chain = chain,
    password = password, name = file.alias, legacy = file.legacy }
end

local function bytes_of(file, material)
  local pieces = {}
  for i, name in ipairs(file.content) do
    local bytes, err = parts[name](material, file)
    if not bytes then return nil, err end
    pieces[i] = bytes
  end
  return table.concat(pieces)
end

-- A slip in the configuration is not to cost a file that has nothing to do with certificates.
local function check_foreign(path)
  if not core.system.exists(path) then return true end
  local bytes, err = core.file.read_plain(path, LOOK_MAX)
  if not bytes and err.code == "not_found" then return true end
  if not bytes then return nil, err end
  if bytes == "" or bytes:find("-----BEGIN ", 1, true) or bytes:find "^\x30[\x80-\x84]" then
    return true
  end
  return fail("usage", ("%s holds neither PEM nor DER, and is not replaced: remove it first")
    :format(path))
end

local function options_of(file)
  return { mode = file.mode, owner = file.owner, group = file.group }
end

local function write_file(file, material)
  local bytes, err = bytes_of(file, material)
  if not bytes then return nil, err end
  local is_ours
  is_ours, err = check_foreign(file.path)
  if not is_ours then return nil, err end
  return core.file.install(file.path, bytes, options_of(file))
end

--- What earlier generations have left, but for the one that `keep` names. Who owns the folder may
--- have put other things there, which stay.
local function remove_old(folder, keep)
  for _, entry in ipairs(core.system.entries(folder) or {}) do
    local name = entry:match "^(.*)/$"
    if name and name ~= keep and name:sub(1, #GENERATION) == GENERATION then
      core.folder.remove_whole(folder .. "/" .. name)
    end
  end
end

local function write_folder(file, material)
  local data = GENERATION .. material.number
  local place = file.folder .. "/" .. data
  for _, folder in ipairs { file.folder, place } do
    local made, err = core.folder.ensure(folder, 493) -- 0755
    if not made then return nil, err end
  end
  for name, part in pairs(IN_FOLDER) do
    local bytes, err = parts[part](material)
    if not bytes then return nil, err end
    local written
    written, err = core.file.install(place .. "/" .. name, bytes, options_of(file))
    if not written then return nil, err end
  end
  local switched, err = core.file.link(data, file.folder .. "/" .. DATA)
  if not switched then return nil, err end
  for name in pairs(IN_FOLDER) do
    local linked
    linked, err = core.file.link(DATA .. "/" .. name, file.folder .. "/" .. name)
    if not linked then return nil, err end
  end
  remove_old(file.folder, data)
  return true
end

--- Put a file, or the files of a folder, in their places.
---@param file table
---@param material lest.agent.material
---@return true?
---@return lest.error?
function M.write(file, material)
  if file.folder then return write_folder(file, material) end
  return write_file(file, material)
end

--- One text for a file and all that is asked of it: another one is another file.
---@param file table
---@return string
function M.describe(file)
  local what = file.folder and "folder " .. file.folder
    or ("file %s %s"):format(file.path, table.concat(file.content, ","))
  return ("%s %04o %s:%s%s%s"):format(what, file.mode, file.owner or "", file.group or "",
    file.legacy and " legacy" or "", file.alias and " " .. file.alias or "")
end

--- Where it is.
---@param file table
---@return string
function M.place(file)
  return file.folder or file.path
end

--- Whether it is where it was put.
---@param file table
---@return boolean
function M.is_there(file)
  return core.system.exists(file.folder and file.folder .. "/" .. DATA or file.path) ~= false
end

return M
