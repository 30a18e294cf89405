--- A real `lest serve` in a temporary folder, for specs.
---
---   local server = require("support.server").start()
---   server:curl("/cacerts")
---   server:stop()
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"

local M = {}

--- The lest binary that runs this spec.
M.lest = process.lest

-- The ledger may be locked for a moment, as while it is recovered after a crash.
local PATIENCE <const> = ".timeout 10000"

---@class support.server
---@field listen string[] where run() lets it listen (a free port)
---@field root string the file of what its clients trust
local Server = {}
Server.__index = Server

--- Options: config (function(text) -> text edits server.lua), policy (text of policy.lua), files
--- (name -> text written beside it), listen (addresses, { "127.0.0.1:0" }), lest (another binary
--- than the one that runs this spec), hosts (names besides localhost and 127.0.0.1), auto (the
--- server's certificate renews itself; else it stands in server.pem and server.key).
---@param options? table
---@return support.server
function M.make(options)
  options = options or {}
  local self = setmetatable({ folder = process.folder(), lest = options.lest or M.lest,
    listen = options.listen or { "127.0.0.1:0" } }, Server)
  self.dir = self.folder .. "/ca"
  local words = { self.lest, "ca", "init", self.dir, "--host", "localhost", "--host", "127.0.0.1" }
  for _, host in ipairs(options.hosts or {}) do
    table.move({ "--host", host }, 1, 2, #words + 1, words)
  end
  words[#words + 1] = not options.auto and "--tls-files" or nil
  -- Another binary may be of a version without the option, which always writes files.
  if options.lest and process.run(words) == 2 then words[#words] = nil end
  if not process.exists(self.dir .. "/server.lua") then process.must(words) end
  self.root = self.dir .. "/ca.pem"
  os.execute("chmod 755 " .. self.folder)
  for name, text in pairs(options.files or {}) do process.write(self.dir .. "/" .. name, text) end
  if options.policy then process.write(self.dir .. "/policy.lua", options.policy) end
  if options.config then self:edit_config(options.config) end
  return self
end

---@param edit fun(text: string): string
function Server:edit_config(edit)
  local file = self.dir .. "/server.lua"
  process.write(file, assert(edit(process.read(file))))
end

--- make() and run it; waits until it is ready.
---@param options? table
---@return support.server
function M.start(options)
  local self = M.make(options)
  self:run()
  return self
end

--- Run it, and wait until it is ready.
---@param lest? string another binary than the one that runs this spec
function Server:run(lest)
  self:check_log()
  self.log_file = self.folder .. "/log"
  os.remove(self.folder .. "/code") -- of a run before
  local words = {}
  for i, address in ipairs(self.listen) do words[2 * i - 1], words[2 * i] = "--listen", address end
  self.pid = process.start({ "sh", "-c", '"$@"; echo $? >' .. process.quote(self.folder .. "/code"),
    "sh", lest or self.lest, "serve", self.dir .. "/server.lua", table.unpack(words) },
    self.folder .. "/out", self.log_file)
  local ok, problem = pcall(process.wait_for, function()
    if not process.alive(self.pid) then
      error("the server ended:\n" .. process.read(self.log_file))
    end
    local ready = self:logged("ready")[1]
    self.ports = {}
    for port in (ready and ready.listen or ""):gmatch ":(%d+)%f[%s\0]" do
      table.insert(self.ports, port)
    end
    self.port = self.ports[1]
    self.plain_port = ready and (ready.listen_http or ""):match ":(%d+)"
    return ready
  end, "the server", 20)
  if not ok then error(problem .. "\n" .. process.read(self.log_file), 0) end
  self.pid = process.own(self:logged("ready")[1].pid)
  self.url = "https://localhost:" .. self.port
end

--- The exit code, once it has ended.
---@param seconds? integer how long to wait (default 60)
---@return integer
function Server:exit_code(seconds)
  return process.wait_for(function()
    local file <close> = io.open(self.folder .. "/code", "r")
    return file and file:read "n"
  end, "the server's end", seconds or 60)
end

--- The log's lines with this event, decoded.
---@param event string
---@return table[]
function Server:logged(event)
  if self.pid then process.settle(self.pid) end
  return process.logged(self.log_file, event)
end

--- Process ids of a role ("worker", "authority") of this server.
---@param role string
---@return integer[]
function Server:pids(role)
  local pids = {}
  local pipe <close> = assert(io.popen(("pgrep -P %d -a"):format(self.pid), "r"))
  for line in pipe:lines() do
    if line:find("--role " .. role, 1, true) or line:find("role=" .. role, 1, true) then
      table.insert(pids, process.own(math.tointeger(line:match "^(%d+)")))
    end
  end
  return pids
end

--- A one-time secret (or a chosen password) for a name.
---@param name string
---@param options? string[] further words
---@return string secret
function Server:credential(name, options)
  local words = { self.lest, "credential", "add", name, "--config", self.dir .. "/server.lua" }
  table.move(options or {}, 1, #(options or {}), #words + 1, words)
  return (process.must(words):gsub("\n$", ""))
end

--- Run curl against a path of the EST prefix ("/cacerts"). Returns status, body, headers (lower
--- case).
---@param path string
---@param ... any further words for curl
---@return integer status
---@return string body
---@return table<string, string> headers
function Server:curl(path, ...)
  local folder = process.folder()
  local words = { "curl", "-sS", "--max-time", "20", "--cacert", self.dir .. "/ca.pem", "-o",
    folder .. "/body",
    "-D", folder .. "/head", "-w", "%{http_code}", self.url .. "/.well-known/est" .. path }
  for _, word in ipairs { ... } do table.insert(words, word) end
  local code, out, err = process.run(words)
  local body = process.exists(folder .. "/body") and process.read(folder .. "/body") or ""
  local head = process.exists(folder .. "/head") and process.read(folder .. "/head") or ""
  os.execute("rm -r " .. folder)
  local headers = {}
  for name, value in head:gmatch "\n([%w-]+):%s*([^\r\n]*)" do headers[name:lower()] = value end
  if code ~= 0 and out == "000" then headers.curl_error = err end
  return math.tointeger(tonumber(out)) or 0, body, headers
end

--- A key and a CSR made by openssl in the server's folder: NAME.key and NAME.csr. Returns the CSR's
--- path.
---@param name string
---@param options? { key: string[], subject: string, san: string, reuse: boolean }
---@return string csr
function Server:csr(name, options)
  options = options or {}
  local base = self.folder .. "/" .. name
  local words = { "openssl", "req", "-new", "-subj", options.subject or "/CN=" .. name, "-out",
    base .. ".csr" }
  if options.reuse then
    table.move({ "-key", base .. ".key" }, 1, 2, #words + 1, words)
  else
    table.move({ "-nodes", "-keyout", base .. ".key" }, 1, 3, #words + 1, words)
    local key = options.key or { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256" }
    table.move(key, 1, #key, #words + 1, words)
  end
  if options.san then
    table.move({ "-addext", "subjectAltName=" .. options.san }, 1, 2, #words + 1, words)
  end
  process.must(words)
  return base .. ".csr"
end

--- A CSR as base64, made in this process with the options of core.csr.build; subject and key are
--- added where they are missing.
---@param name string
---@param options? table
---@return string base64
---@return lest.key key
function M.request(name, options)
  local all = { subject = "CN=" .. name }
  for key, value in pairs(options or {}) do all[key] = value or nil end
  all.key = all.key or assert(core.key.generate "ec:P-256")
  return core.est.body_encode(assert(core.csr.build(all)):der(), 64), all.key
end

--- What is answered to a CSR that comes with these values of Authorization, over a connection of
--- its own.
---@param client table of support.raw_client
---@param target string "/LABEL/simpleenroll"
---@param values string[]
---@param how? { key: lest.key, body: string, media: string, header: string }
---@return table response
function Server:ask(client, target, values, how)
  how = how or {}
  local connection <close> = assert(client:connect { port = self.port })
  local headers = { "Content-Type: " .. (how.media or "application/pkcs10"), how.header }
  for _, value in ipairs(values) do table.insert(headers, "Authorization: " .. value) end
  return assert(connection:request(raw_client.http("POST", target, headers,
    how.body or (M.request("device", { key = how.key })))))
end

--- The value of an Authorization header for Basic.
function M.basic(name, secret)
  return "Basic " .. core.base64.encode(name .. ":" .. secret)
end

--- The one certificate in the body of an enrollment's answer.
---@param body string
---@return lest.cert
function M.issued(body)
  local certs = assert(core.pkcs7.decode(assert(core.base64.decode(body))))
  assert(#certs == 1, "more or less than one certificate")
  return certs[1]
end

--- Write text to a file in the server's folder and return its path.
---@param name string
---@param text string
---@return string path
function Server:file(name, text)
  local path = self.folder .. "/" .. name
  process.write(path, text)
  return path
end

--- POST a CSR file. Returns what curl() returns.
function Server:post(path, csr, ...)
  return self:curl(path, "--data-binary", "@" .. csr, "-H", "Content-Type: application/pkcs10", ...)
end

--- Enroll with a certificate that support.pki has made. Returns what curl() returns.
---@param device { name: string, path: string, key: string }
function Server:enroll_as(device)
  return self:post("/simpleenroll", self:csr(device.name), "--cert", device.path, "--key",
    device.key)
end

--- Write the certificate of an answer to NAME.pem with openssl, and return that path.
---@param body string
---@param name string
---@return string path
function Server:save(body, name)
  local path = self.folder .. "/" .. name .. ".pem"
  process.must("openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out "
    .. process.quote(path),
    { stdin = body })
  return path
end

--- Enroll a name with a fresh one-time secret; NAME.key and NAME.pem are in the folder then.
---@param name string
---@return string certificate path
function Server:enroll(name)
  local secret = self:credential(name)
  local status, body = self:post("/simpleenroll", self:csr(name), "--user", name .. ":" .. secret)
  if status ~= 200 then error(("enroll of %s: %d %s"):format(name, status, body), 2) end
  return self:save(body, name)
end

--- Raise unless a file in the folder has one certificate, of this server's CA.
---@param file string
function Server:verify(file)
  file = self.folder .. "/" .. file
  assert(#assert(core.cert.load_all(file)) == 1, "more or less than one certificate")
  process.must { "openssl", "verify", "-CAfile", self.root, "-untrusted", self.dir .. "/ca.pem",
    file }
end

--- Rows of the ledger, as the sqlite3 command prints them.
---@param sql string
---@return string
function Server:sql(sql)
  return (process.must({ "sqlite3", "-readonly", self:ledger(), PATIENCE, sql }):gsub("\n$", ""))
end

--- Change the ledger behind the server's back.
---@param sql string
function Server:change(sql)
  process.must { "sqlite3", self:ledger(), PATIENCE, sql }
end

function Server:ledger()
  return self.dir .. "/ledger/ledger.db"
end

--- Raise what a sanitizer has found in any of its processes.
function Server:check_log()
  if self.log_file then process.check_sanitizers(process.read(self.log_file)) end
end

--- SIGTERM, wait until it is gone, remove the folder; also when it is closed.
function Server:stop()
  if self.pid and process.alive(self.pid) then
    process.kill(self.pid)
    pcall(process.wait_for, function() return not process.alive(self.pid) end, "the server's end",
      15)
    process.kill(self.pid, "KILL")
  end
  -- The shell around it writes this last.
  if self.pid then pcall(self.exit_code, self, 10) end
  local sound, problem = pcall(self.check_log, self)
  os.execute("rm -rf " .. self.folder)
  if not sound then error(problem, 0) end
end
Server.__close = Server.stop

return M
