--- An embedded CA in a folder: its key and certificate, and the configuration of a server that
--- works and issues its own certificate to itself.
---
---   local ca = require "lest.tool.ca"
---   local made, err = ca.init("pki", { hosts = { "est.example.com" } })
---   print(made.fingerprint)
local ca_files = require "lest.tool.ca.templates"
local core = require "lest.core"
local fail = require "lest.base.fail"
local server_cert = require "lest.tool.ca.server_cert"

local M = {}

local DAY <const> = 86400
local CA_LIFETIME <const> = 3652 * DAY -- ten years
local BACKDATE <const> = 60 -- for a device whose clock is a little late
local CN_MAX <const> = 64 -- RFC 5280 appendix A.1: ub-common-name

--- What a server that is started as root becomes: accounts of its own, or else those that every
--- Debian has.
local OWN <const> = { user = "lest", authority_user = "lest-ca" }
local SHARED <const> = { user = "nobody", authority_user = "daemon", shared = true }

--- What init writes, in the order of writing.
M.FILES = { "ca.key", "ca.pem", "cmc.key", "cmc.pem", "policy.lua", "server.lua" }
--- With a certificate of the server that stands in files.
M.TLS_FILES = { "ca.key", "ca.pem", "server.key", "server.pem", "cmc.key", "cmc.pem", "policy.lua",
  "server.lua" }
--- Of a CA alone, which a server that there is already takes into its configuration.
M.CA_FILES = { "ca.key", "ca.pem" }
local LEDGER <const> = "ledger"
local LEDGER_FILES <const> = { "ledger.db", "ledger.db-wal", "ledger.db-shm" }

-- None stands below it but the link of a rollover (RFC 4210 4.4). RFC 5280 6.1.4 does not count
-- that one, and some clients do.
local PATH_LEN <const> = 1

local function make_root(name, now)
  local usable, problem = core.name.encode { { "CN", name } }
  if not usable then return fail("usage", problem.message) end
  local key, err = core.key.generate "ec:P-256"
  if not key then return nil, err end
  local cert
  cert, err = core.issuer.root { key = key, subject = { { "CN", name } }, path_len = PATH_LEN,
    not_before = now - BACKDATE, not_after = now + CA_LIFETIME }
  if not cert then return nil, err end
  return { key = key, cert = cert }
end

-- Who answers messages of CMC for the CA: by its name, with a key of its own (RFC 6402 2.10). It
-- goes with the CA, since it is sent along with each answer and no client need know it before.
local function make_cmc(root)
  local key, err = core.key.generate "ec:P-256"
  if not key then return nil, err end
  local issuer
  issuer, err = core.issuer.new { cert = root.cert, key = root.key }
  if not issuer then return nil, err end
  local der
  der, err = issuer:issue { public_key = key:public_der(), subject = root.cert.subject, san = {},
    not_before = root.cert.not_before, not_after = root.cert.not_after,
    key_usage = { "digitalSignature" }, eku = { "cmcCA" } }
  if not der then return nil, err end
  return { key = key, cert = assert(core.cert.parse(der)) }
end

-- What a server needs beside its CA.
local function add_server(plan, root, options, now)
  local hosts = options.hosts
  if not hosts or #hosts == 0 then hosts = server_cert.default_hosts() end
  plan.hosts, plan.files = hosts, options.tls_files and M.TLS_FILES or M.FILES
  local ok, err = server_cert.check(hosts)
  if not ok then return nil, err end
  if options.tls_files then
    local server
    server, err = server_cert.make(root, hosts, now)
    if not server then return nil, err end
    plan.server = server.cert
    plan.content["server.key"] = { assert(server.key:pem()), 384 }
    plan.content["server.pem"] = { server.cert:pem(), 420 }
  end
  local cmc
  cmc, err = make_cmc(root)
  if not cmc then return nil, err end
  plan.content["cmc.key"] = { assert(cmc.key:pem()), 384 }
  plan.content["cmc.pem"] = { cmc.cert:pem(), 420 }
  plan.content["policy.lua"] = { ca_files.policy(), 420 }
  plan.content["server.lua"] = { ca_files.server(not options.tls_files and hosts or nil,
    options.accounts), 420 }
  return plan
end

--- Everything that is to be written, before anything is.
local function make(options)
  local now = core.clock.wall_us() // 1000000
  local name = options.name or ("EST CA " .. core.system.host_name()):sub(1, CN_MAX)
  local root, err = make_root(name, now)
  if not root then return nil, err end
  local plan = { root = root.cert, files = M.CA_FILES, content = {
    ["ca.key"] = { assert(root.key:pem()), 384 }, -- 0600
    ["ca.pem"] = { root.cert:pem(), 420 }, -- 0644
  } }
  if options.ca_only then return plan end
  return add_server(plan, root, options, now)
end

-- mkdir -p; what was made is added to `made`.
local function make_folders(folder, made)
  local path = folder:sub(1, 1) == "/" and "/" or ""
  for part in folder:gmatch "[^/]+" do
    path = path .. part
    local there, err = core.system.exists(path .. "/.")
    if there == nil then return nil, err end
    if not there then
      local ok
      ok, err = core.folder.make(path, 493) -- 0755
      if not ok then return nil, err end
      table.insert(made, path)
    end
    path = path .. "/"
  end
  return true
end

-- In a folder of its own, which is given away when all that is in it has been.
local function make_ledger(folder, options, made)
  local ok, err = core.folder.make(folder, 448) -- 0700
  if not ok then return nil, err end
  table.insert(made, folder)
  for _, name in ipairs(LEDGER_FILES) do table.insert(made, folder .. "/" .. name) end
  local path = folder .. "/" .. LEDGER_FILES[1]
  local ledger
  ledger, err = core.ledger.open(path)
  if not ledger then return nil, err end
  ledger:close()
  if not options.accounts then return true end
  ok, err = core.system.give(path, options.accounts.authority_user)
  if not ok then return nil, err end
  return core.system.give(folder, options.accounts.authority_user)
end

local function write_all(folder, plan, options, made)
  local ok, err = make_folders(folder, made)
  if not ok then return nil, err end
  for _, name in ipairs(plan.files) do
    local text, mode = table.unpack(plan.content[name])
    ok, err = core.file.write(folder .. "/" .. name, text, { mode = mode, new = true })
    if not ok then return nil, err end
    table.insert(made, folder .. "/" .. name)
  end
  return options.ca_only or make_ledger(folder .. "/" .. LEDGER, options, made)
end

local function taken(folder)
  local there = {}
  for _, name in ipairs { LEDGER, table.unpack(M.TLS_FILES) } do
    if core.system.exists(folder .. "/" .. name) then there[#there + 1] = name end
  end
  table.sort(there)
  return #there > 0 and table.concat(there, ", ") or nil
end

--- The accounts for a server that is started as root; `shared`: other services have them as well.
---@param has_account? fun(name: string): boolean
---@return { user: string, authority_user: string, shared: boolean? }
function M.accounts(has_account)
  has_account = has_account or core.system.has_account
  return has_account(OWN.user) and has_account(OWN.authority_user) and OWN or SHARED
end

--- Make a CA in a folder, all of it or nothing; what is there already is never replaced.
---@param folder string is made if it is missing
---@param options? { name: string, ca_only: boolean, hosts: string[], tls_files: boolean,
--- accounts: table } name: the CA's common name; ca_only: nothing of a server, whose hosts are nil
--- then; hosts: of the server's certificate (default: this machine's name, localhost and the
--- loopback addresses); tls_files: that stands in files, and is not the server's to renew;
--- accounts: as accounts() gives them, where the server will be started as root
---@return { fingerprint: string, root: lest.cert, files: string[], server: lest.cert?,
--- hosts: string[]? }|nil made
---@return lest.error|nil err codes exists, usage, io
function M.init(folder, options)
  options = options or {}
  folder = #folder > 1 and folder:gsub("/+$", "") or folder
  local there = taken(folder)
  if there then
    return fail("exists", ("%s has %s already; nothing was written"):format(folder, there))
  end
  local plan, err = make(options)
  if not plan then return nil, err end
  local made = {}
  local written, problem = write_all(folder, plan, options, made)
  if not written then
    for i = #made, 1, -1 do os.remove(made[i]) end
    return fail(problem.code, "nothing was written", { cause = problem })
  end
  return { fingerprint = plan.root.fingerprint, root = plan.root, files = plan.files,
    server = plan.server, hosts = plan.hosts }
end

return M
