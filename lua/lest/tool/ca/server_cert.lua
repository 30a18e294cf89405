--- The server's certificate of an embedded CA in a folder: made with the CA, and made again before
--- it ends.
---
---   local made, err = server_cert.renew("pki", { hosts = { "est.example.com" } })
---   print(made.cert.not_after)
local core = require "lest.core"
local fail = require "lest.base.fail"
local host = require "lest.base.host"
local key_file = require "lest.server.config.key_file"

local M = {}

local LIFETIME <const> = 365 * 86400
local BACKDATE <const> = 60 -- for a device whose clock is a little late

--- The hosts of a server that nothing is said of: this machine's name and the loopback's.
---@return string[]
function M.default_hosts()
  local hosts = { "localhost", "127.0.0.1", "::1" }
  local name = core.system.host_name()
  if name ~= "localhost" and host.san(name) then table.insert(hosts, 1, name) end
  return hosts
end

local function sans(hosts)
  local list = {}
  for i, name in ipairs(hosts) do
    list[i] = host.san(name)
    if not list[i] then
      return fail("usage", ("'%s' is neither a host name nor an address"):format(name))
    end
  end
  return list
end

--- Whether all can be names of a server's certificate.
---@param hosts string[]
---@return boolean|nil ok
---@return lest.error|nil err code usage
function M.check(hosts)
  local list, err = sans(hosts)
  if not list then return nil, err end
  return true
end

local function issue(root, key, subject, san, now)
  if now >= root.cert.not_after then return fail("issue", "the CA's certificate has expired") end
  local issuer, err = core.issuer.new { cert = root.cert, key = root.key }
  if not issuer then return nil, err end
  local der
  der, err = issuer:issue { public_key = key:public_der(), subject = subject, san = san,
    not_before = math.max(now - BACKDATE, root.cert.not_before),
    not_after = math.min(now + LIFETIME, root.cert.not_after),
    key_usage = { "digitalSignature" }, eku = { "serverAuth" } }
  if not der then return nil, err end
  return core.cert.parse(der)
end

---@param root { cert: lest.cert, key: lest.key } the CA
---@param hosts string[]
---@param now integer seconds since 1970
---@return { key: lest.key, cert: lest.cert }|nil
---@return lest.error|nil err
function M.make(root, hosts, now)
  local san, err = sans(hosts)
  if not san then return nil, err end
  local key, cert
  key, err = core.key.generate "ec:P-256"
  if not key then return nil, err end
  cert, err = issue(root, key, host.subject(hosts), san, now)
  if not cert then return nil, err end
  return { key = key, cert = cert }
end

--- What renew() reads and writes.
local function paths_of(folder)
  local function path(name) return folder .. "/" .. name end
  return { ca_cert = path "ca.pem", ca_key = path "ca.key", cert = path "server.pem",
    key = path "server.key", new_key = path "server.key.new" }
end

local function move(from, to)
  local ok, problem = os.rename(from, to)
  if ok then return true end
  return fail("io", "the new key cannot be put in its place", { detail = problem })
end

-- A run that was stopped between the certificate and its key has left the key beside its place.
local function recover(paths, how)
  if not core.system.exists(paths.new_key) then return true end
  local key, cert, err
  cert, err = core.cert.load(paths.cert)
  if not cert then return nil, err end
  key, err = core.key.load(paths.new_key, { own = true, passphrase = how and how.passphrase })
  if not key then return nil, err end
  if key:public_der() == cert.public_key.der then return move(paths.new_key, paths.key) end
  return true
end

--- What there is in the folder.
local function read(paths, how)
  local there = {}
  for _, each in ipairs { { "root", paths.ca_cert, core.cert.load },
    { "root_keys", paths.ca_key, key_file.load_all, how }, { "cert", paths.cert, core.cert.load },
    { "key", paths.key, core.key.load, how } } do
    local name, path, load, with = table.unpack(each)
    local err
    there[name], err = load(path, with)
    if not there[name] then return nil, err end
  end
  local issuer = there.cert.issuer_der
  if issuer ~= there.root.subject_der then
    return fail("usage", ("%s is not of this CA, but of %s"):format(paths.cert,
      tostring(there.cert.issuer)))
  end
  -- While the CA's key changes there are two, and what links one to the other goes along.
  there.links = {}
  for _, key in ipairs(there.root_keys) do
    if key:public_der() == there.root.public_key.der then there.root_key = key end
  end
  for _, cert in ipairs(there.root.chain) do
    if cert.public_key.der == there.root.public_key.der then table.insert(there.links, cert) end
  end
  if not there.root_key then
    return fail("usage", paths.ca_key .. " has no key of " .. paths.ca_cert)
  end
  return there
end

-- The new key waits beside the old one until its certificate is in place: at no time do both files
-- have to be of one moment, since a run that is stopped between is finished by the next.
local function write(paths, cert, new_key, passphrase)
  -- What the server reads as an account of its own stays that account's.
  local ok, err = core.system.become_owner(paths.key)
  if ok and new_key then ok, err = new_key:save(paths.new_key, { passphrase = passphrase }) end
  if ok then ok, err = cert:save(paths.cert) end
  if ok and new_key then ok, err = move(paths.new_key, paths.key) end
  return ok, err
end

local function hosts_of(san)
  local hosts = {}
  for i, name in ipairs(san) do hosts[i] = name:match "^%a+:(.*)$" end
  return hosts
end

--- Make the next certificate of the server in a folder of lest.tool.ca: server.pem is replaced, and
--- with a new key server.key. What is there stays until all that takes its place is on the disk.
---@param folder string
---@param options? { hosts?: string[], new_key?: string, passphrase?: string } hosts: those of the
--- present certificate if absent; new_key: the kind of a new one, "ec:P-256"; passphrase: of the
--- keys
---@return { cert: lest.cert, hosts: string[], old: lest.cert }|nil made
---@return lest.error|nil err
function M.renew(folder, options)
  options = options or {}
  local paths, how = paths_of(folder), options.passphrase and { passphrase = options.passphrase }
  local ok, there, new_key, san, cert, err
  if core.system.exists(paths.cert) == false then
    return fail("usage", paths.cert .. " is not there: where the configuration has `tls = { auto = "
      .. "... }`, the server renews its certificate by itself")
  end
  ok, err = recover(paths, how)
  if ok then there, err = read(paths, how) end
  if not there then return nil, err end
  local subject = there.cert.subject
  if options.hosts and #options.hosts > 0 then
    subject, san, err = host.subject(options.hosts), sans(options.hosts)
  else
    san = there.cert.san
  end
  if san and options.new_key then
    new_key, err = core.key.generate(options.new_key)
    if not new_key then return nil, err end
  end
  if not san then return nil, err end
  cert, err = issue({ cert = there.root, key = there.root_key }, new_key or there.key, subject, san,
    core.clock.wall_us() // 1000000)
  if not cert then return nil, err end
  local above = #there.links > 0 and there.links or there.cert.chain
  ok, err = write(paths, cert:with_chain(above), new_key, options.passphrase)
  if not ok then return nil, err end
  return { cert = cert, hosts = hosts_of(cert.san), old = there.cert }
end

return M
