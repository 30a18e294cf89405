--- A generation of an identity as its files hold it: what `files` are made of and hooks are told.
---
---   local material, err = material.read { number = 7, folder = "state/dev9/generations/7",
---     anchors = "state/dev9/anchors.pem" }
local core = require "lest.core"

local M = {}

local FILE_MAX <const> = 1024 * 1024

---@class lest.agent.generation
---@field number integer of the generation; a later one is greater
---@field folder string with cert.pem, chain.pem and, where the key is in a file, key.pem
---@field anchors? string a PEM file

---@class lest.agent.material
---@field number integer
---@field paths table<string, string> cert, chain, key and anchors, where they are; key_uri of a key
--- in a token
---@field cert string PEM, the certificate alone
---@field chain string PEM, what is above it; may be empty
---@field key? string PEM; nil: it is in hardware
---@field anchors string PEM; may be empty
---@field certificate lest.cert

local function read(path, may_be_missing)
  local bytes, err = core.file.read(path, FILE_MAX)
  if not bytes and may_be_missing and err.code == "not_found" then return "" end
  return bytes, err
end

---@param generation lest.agent.generation
---@return lest.agent.material?
---@return lest.error?
function M.read(generation)
  local paths = { anchors = generation.anchors }
  for _, name in ipairs { "cert", "chain", "key" } do
    paths[name] = ("%s/%s.pem"):format(generation.folder, name)
  end
  local material = { number = generation.number, paths = paths, anchors = "" }
  for name, path in pairs(paths) do
    local bytes, err = read(path, name ~= "cert")
    if not bytes then return nil, err end
    material[name] = bytes
  end
  local certificate, err = core.cert.parse(material.cert)
  if not certificate then return nil, err end
  -- Of a key in a token there is a line with its URI.
  local uri = material.key:match "^(%l%w+:[^\n]*)\n$"
  if material.key == "" or uri then material.key, paths.key, paths.key_uri = nil, nil, uri end
  material.certificate, material.cert = certificate, certificate:pem()
  return material
end

return M
