--- A server whose CA is elsewhere: a folder with a CA made by openssl, and a program that issues
--- with it, or does what a spec tells it.
---
---   local server, ca = elsewhere.start { backend = ca.command, label = [[when_away = "hold"]] }
---   ca:tell "away"
---   ca:asked()        --> the requests that the program was given, decoded
local cjson = require "cjson"
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"

local M = {}

-- The program. It is given the same id again where its answer was lost, and prints what it printed.
local ISSUE <const> = [==[
local folder = arg[1]
local core, json = require "lest.core", require "lest.json"
local function read(name)
  local file = io.open(folder .. "/" .. name)
  local text = file and file:read "a"
  if file then file:close() end
  return text
end
local function write(name, text, mode)
  local file = assert(io.open(folder .. "/" .. name, mode or "w"))
  file:write(text)
  file:close()
end
local text = io.read "a"
local request = assert(json.decode(text))
local mode = (read "mode" or "issue"):match "%S+"
write("asked", json.line(request) .. "\n", "a")
if mode == "away" then io.stderr:write "it is away\n" os.exit(69) end
if mode == "later" then os.exit(75) end
if mode == "refuse" then io.stderr:write "not this one\n" os.exit(77) end
if mode == "fail" then io.stderr:write "out of paper\n" os.exit(3) end
if mode == "garbage" then print "hello" os.exit(0) end
if mode == "flood" then io.write(("x"):rep(2000000)) os.exit(0) end
if mode == "hang" then while true do os.execute "sleep 0.1" end end
if request.kind == "revoke" then
  write("revoked", request.serial .. " " .. request.reason .. "\n", "a")
  os.exit(0)
end
local before = read(request.id .. ".pem") or mode == "same" and read "last.pem"
if before then io.write(before) os.exit(0) end
local now = os.time()
local csr = assert(core.csr.parse(request.csr))
local name = mode == "signer" and "other" or "ca"
name = folder .. "/" .. name
local issuer = assert(core.issuer.new { cert = assert(core.cert.load(name .. ".pem")),
  key = assert(core.key.load(name .. ".key")) })
local spki = csr.spki
if mode == "key" then spki = assert(core.key.generate "ec:P-256"):public_der() end
local plan = { public_key = spki, subject = request.subject,
  san = request.san[1] and request.san or nil, key_usage = request.key_usage, eku = request.eku,
  not_before = now - 60, not_after = now + request.lifetime }
if mode == "subject" then plan.subject = { { "CN", "another" } } end
if mode == "san" then plan.san = { "DNS:another.example" } end
if mode == "long" then plan.not_after = plan.not_after + 86400 end
if mode == "eku" then plan.eku = { "clientAuth", "serverAuth" } end
if mode == "future" then plan.not_before = now + 86400 plan.not_after = now + 90000 end
if mode == "past" then plan.not_before = now - 7200 plan.not_after = now - 3600 end
local der = assert(issuer:issue(plan))
local EXTENSIONS = { ca = "basicConstraints = CA:TRUE", bare = "basicConstraints = CA:FALSE",
  signs = "keyUsage = digitalSignature, keyCertSign" }
if EXTENSIONS[mode] then
  write("a.csr", request.csr)
  write("a.ext", EXTENSIONS[mode] .. "\n")
  local pipe = assert(io.popen(("cd %s; openssl x509 -req -in a.csr -CA ca.pem -CAkey ca.key -days "
    .. "9 -extfile a.ext 2>&1"):format(folder)))
  der = assert(core.cert.parse(pipe:read "a":match "%-%-%-%-%-BEGIN.*")):der()
end
local pem = assert(core.cert.parse(der)):pem()
write(request.id .. ".pem", pem)
write("last.pem", pem)
write("issued", core.secret.sha256(der) .. "\n", "a")
if mode == "lose" then while read "mode":match "%S+" == "lose" do os.execute "sleep 0.1" end end
io.write(pem)
]==]

local Ca = {}
Ca.__index = Ca

--- A folder with two CAs, of which the second is nobody's.
---@return table ca
function M.ca()
  local self = setmetatable({ folder = process.folder() }, Ca)
  for _, name in ipairs { "ca", "other" } do
    process.must { "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:P-256", "-subj", "/CN=Elsewhere", "-days", "400", "-keyout",
      self.folder .. "/" .. name .. ".key", "-out", self.folder .. "/" .. name .. ".pem",
      "-addext", "keyUsage = critical, keyCertSign, cRLSign" }
  end
  process.write(self.folder .. "/issue.lua", ISSUE)
  os.execute(("chmod -R a+rwX %s"):format(self.folder))
  self:tell "issue"
  self.command = ([[backend = "command", command = { %q, "run", %q, %q }, cert = %q]]):format(
    support.lest, self.folder .. "/issue.lua", self.folder, self.folder .. "/ca.pem")
  return self
end

--- Say what the program does from now on.
function Ca:tell(mode)
  process.write(self.folder .. "/mode", mode)
  os.execute(("chmod a+rw %s/mode"):format(self.folder))
end

--- The lines of a file that the program has written.
function Ca:lines(name)
  local lines = {}
  local file <close> = io.open(self.folder .. "/" .. name)
  for line in file and file:lines() or function() end do table.insert(lines, line) end
  return lines
end

--- What it was asked.
function Ca:asked()
  local all = {}
  for i, line in ipairs(self:lines "asked") do all[i] = cjson.decode(line) end
  return all
end

function Ca:close() os.execute("rm -rf " .. self.folder) end
Ca.__close = Ca.close

--- A server with a CA `far` elsewhere, which issues for its label.
---@param options table backend (the text of cas.far), label (more of the label), top (more of the
--- configuration), and as of support.server
---@return support.server
function M.server(options)
  return support.make { policy = options.policy, files = options.files, config = function(text)
    text = text:gsub("\n}%s*$", function(line)
      return ("\n  cas = { far = { %s } },\n %s %s\n%s"):format(options.backend,
        host.is_root and "backend_user = 54321," or "", options.top or "", line)
    end, 1)
    return (text:gsub('profile = "device"', 'profile = "device", '
      .. (options.label or 'ca = "far"'), 1))
  end }
end

return M
