--- Certificates of all sorts, made with the `openssl` command in a temporary folder.
---
---     local ca <close> = pki.new()
---     local root = ca:root("root", { days = 30 })
---     local leaf = ca:issue("leaf", { by = root, ext = "extendedKeyUsage = clientAuth" })
---     leaf.cert, leaf.path, leaf.key        -- lest.cert, the files' paths
local core = require "lest.core"
local der = require "support.der"
local process = require "support.process"
local temporary = require "support.temporary"

local M = {}
M.__index = M

--- Run a command line; its output, or raise with it.
function M.sh(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  local ok, _, code = pipe:close()
  if not ok then error(("%s\nended with %s: %s"):format(command, tostring(code), output), 2) end
  return output
end

function M.write(path, data)
  assert(core.file.write(path, data))
  return path
end

function M.read(path)
  return assert(core.file.read(path))
end

function M.new()
  return setmetatable({ folder = temporary.folder() }, M)
end

M.__close = function(self)
  M.sh("rm -rf " .. process.quote(self.folder))
end

function M:path(name)
  return self.folder .. "/" .. name
end

local algorithms <const> = {
  ["ec:P-256"] = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
  ["ec:P-384"] = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
  ["rsa:1024"] = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
  ["rsa:2048"] = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
  ed25519 = "-algorithm ED25519",
}

local function entity(self, name, how)
  local it = { name = name, path = self:path(name .. ".pem"), key = self:path(name .. ".key"),
    how = how }
  if how.same_key then
    M.sh(("cp %s %s"):format(how.same_key.key, it.key))
  else
    M.sh(("openssl genpkey %s -out %s"):format(algorithms[how.key or "ec:P-256"], it.key))
  end
  it.csr = self:path(name .. ".csr")
  M.sh(("openssl req -new -utf8 -key %s -subj %s -out %s"):format(it.key,
    process.quote(how.subject or "/CN=" .. name), it.csr))
  M.write(self:path(name .. ".ext"), "[x]\nsubjectKeyIdentifier = hash\n" .. (how.ext or "") ..
    "\n")
  return it
end

--- The options for so many days of life, also when they are over. From release 3.4 on, openssl has
--- options for both ends and takes a negative number of days no more.
local function life(days)
  if days >= 0 or not M.sh("openssl x509 -help"):find("-not_before", 1, true) then
    return ("-days %d"):format(days)
  end
  local function at(day) return os.date("!%Y%m%d%H%M%SZ", os.time() + day * 86400) end
  return ("-not_before %s -not_after %s"):format(at(days - 1), at(days))
end

local function sign(self, it, by)
  local how = it.how
  M.sh(("openssl x509 -req -in %s %s %s -extfile %s -extensions x -%s %s -out %s"):format(
    it.csr, life(how.days or 30), by, self:path(it.name .. ".ext"), how.digest or "sha256",
    how.serial and "-set_serial " .. how.serial or "", it.path))
  it.cert = assert(core.cert.load(it.path))
  return it
end

local CA_EXT <const> =
  "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n"

--- A self-signed CA. how: subject, key, days, ext (replaces the CA's), more (added to them),
--- digest, same_key
function M:root(name, how)
  how = how or {}
  how.ext = how.ext or CA_EXT .. (how.more or "")
  local it = entity(self, name, how)
  return sign(self, it, "-signkey " .. it.key)
end

--- A certificate issued by another. how: as for root, and by, serial
function M:issue(name, how)
  how.ext = "authorityKeyIdentifier = keyid\n" .. (how.ext or "")
  local it = entity(self, name, how)
  return sign(self, it, ("-CA %s -CAkey %s -CAcreateserial"):format(how.by.path, how.by.key))
end

--- A CA under another.
function M:sub(name, how)
  how.ext = how.ext or CA_EXT .. (how.more or "")
  return self:issue(name, how)
end

--- Sign a certificate anew with other bytes in its content: edit(tbs) gives them.
function M:forge(it, by, edit)
  local algorithm = der.split(der.body(it.cert:der()))[2]
  local tbs = M.write(self:path "tbs", edit(der.split(der.body(it.cert:der()))[1]))
  M.sh(("openssl dgst -sha256 -sign %s -out %s.sig %s"):format(by.key, tbs, tbs))
  local signature = der.bits(M.read(tbs .. ".sig"))
  it.cert = assert(core.cert.parse(der.seq(M.read(tbs), algorithm, signature)))
  M.write(it.path, it.cert:pem())
  return it
end

--- A CRL of `by` that revokes the given entities. how: days, hours or over (it ended long ago);
--- reason
function M:crl(by, revoked, how)
  how = how or {}
  local base = self:path(by.name .. "-ca")
  local conf = M.write(base .. ".conf", ([[
[ca]
default_ca = d
[d]
database = %s.txt
crlnumber = %s.number
default_md = sha256
crl_extensions = e
[e]
authorityKeyIdentifier = keyid
]]):format(base, base))
  M.write(base .. ".txt", "")
  M.write(base .. ".number", "0F\n")
  local ca = ("openssl ca -config %s -cert %s -keyfile %s"):format(conf, by.path, by.key)
  for _, it in ipairs(revoked) do
    M.sh(("%s -revoke %s -crl_reason %s"):format(ca, it.path, how.reason or "keyCompromise"))
  end
  local path = self:path(by.name .. ".crl")
  M.sh(("%s -gencrl %s -out %s"):format(ca, how.hours and "-crlhours " .. how.hours or
    how.over and "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z" or
    "-crldays " .. (how.days or 7), path))
  return assert(core.crl.load(path)), path
end

return M
