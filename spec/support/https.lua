--- Runs support/https_server.lua for a spec, and talks to it with curl and openssl.
---   local server <close> = https.start(folder, "idle_ms=200")
---   server:raw "GET / HTTP/1.0\r\n\r\n"      -- what came back until the server closed
local core = require "lest.core"
local process = require "support.process"

local M = {}
M.__index = M

local SERVER <const> = "spec/support/https_server.lua"
local CLIENT <const> = "spec/support/tls_client.c"
local tool

-- The client in C, compiled once a run.
local function client_tool()
  if not tool then
    tool = os.tmpname()
    process.must(("cc -D_GNU_SOURCE -o %s %s $(pkg-config --libs openssl)"):format(tool, CLIENT))
  end
  return tool
end

--- server.pem and server.key for localhost in a new folder; how: openssl's -newkey words.
---@return string folder
function M.identity(how)
  local folder = process.folder()
  process.must(("openssl req -x509 %s -nodes -keyout %s/server.key -out %s/server.pem -days 2 "
    .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"):format(
    how or "-newkey ec -pkeyopt ec_paramgen_curve:P-256", folder, folder))
  return folder
end

---@param folder string
---@param ... string "limit=NUMBER" and TLS options
function M.start(folder, ...)
  local self = setmetatable({ folder = folder, scratch = process.folder() }, M)
  self.out, self.err = self.scratch .. "/out", self.scratch .. "/err"
  process.write(self.out, "")
  process.write(self.err, "")
  self.pid = process.start({ process.lest, "run", SERVER, folder, ... }, self.out,
    self.err)
  self.address = process.wait_for(function()
    if not process.alive(self.pid) then error(process.read(self.err)) end
    return process.read(self.out):match "^(%S+:%d+)\n"
  end, "the server")
  self.host, self.port = self.address:match "^(.*):(%d+)$"
  self.url = "https://localhost:" .. self.port
  return self
end

--- Lines that the server has printed so far.
function M:said()
  return process.read(self.out)
end

--- Wait for a line that matches; returns its captures.
function M:wait(pattern, seconds)
  process.wait_for(function() return self:said():find(pattern) end, pattern, seconds)
  return self:said():match(pattern)
end

--- Connections and requests under way.
function M:count()
  local before = select(2, self:said():gsub("count\t", ""))
  process.kill(self.pid, "USR1")
  process.wait_for(function()
    return select(2, self:said():gsub("count\t", "")) > before
  end, "a count")
  local connections, requests = self:said():match ".*count\t(%d+)\t(%d+)"
  return tonumber(connections), tonumber(requests)
end

--- Wait until it has as many connections.
function M:wait_connections(wanted, seconds)
  local count
  local ok = pcall(process.wait_for, function()
    count = self:count()
    return count == wanted
  end, "connections", seconds)
  if not ok then error(("%d connections, not %d"):format(count, wanted), 2) end
end

--- curl on a path: exit code, output (headers too with -i), errors.
function M:curl(path, ...)
  local words = { "curl", "-sS", "--max-time", "20", "--cacert", self.folder .. "/server.pem",
    self.url .. path }
  return process.run(table.move({ ... }, 1, select("#", ...), #words + 1, words))
end

--- A client that sends any bytes over TLS: openssl s_client, fed through a pipe.
---@class support.https.client
local Client = {}
Client.__index = Client

---@param options? string words for s_client
---@return support.https.client
function M:connect(options)
  local client = setmetatable({ scratch = process.folder() }, Client)
  local fifo = client.scratch .. "/in"
  process.must { "mkfifo", fifo }
  process.write(client.scratch .. "/out", "")
  local line = "openssl s_client -quiet -connect %s %s >%s/out 2>%s/err <%s & echo $!"
  local pipe <close> = assert(io.popen(line:format(self.address, options or "", client.scratch,
    client.scratch, fifo)))
  client.pid = math.tointeger(pipe:read "n")
  client.input = assert(io.open(fifo, "w"))
  client.input:setvbuf "no"
  return client
end

--- Send bytes; a client that has ended already takes them in silence.
function Client:send(bytes)
  self.input:write(bytes)
  return self
end

--- All that has come so far.
function Client:received()
  return process.read(self.scratch .. "/out")
end

--- Wait until what came matches; returns the captures.
function Client:wait(pattern, seconds)
  process.wait_for(function() return self:received():find(pattern) end, pattern, seconds)
  return self:received():match(pattern)
end

--- Wait until the server has closed; returns all that came.
function Client:wait_closed(seconds)
  process.wait_for(function() return not process.alive(self.pid) end, "the end of the connection",
    seconds)
  return self:received()
end

--- What s_client has to say on standard error.
function Client:complaint()
  return process.read(self.scratch .. "/err")
end

function Client:kill(signal)
  process.kill(self.pid, signal or "KILL")
end

function Client:close()
  self:kill()
  self.input:close()
  os.execute("rm -rf " .. process.quote(self.scratch))
end
Client.__close = Client.close

--- Run support/tls_client.c to its end with these actions: what it printed, and seconds.
---@param ... string|number
---@return string out
---@return number seconds
function M:client(...)
  local words = { client_tool(), self.host, self.port, ... }
  local began = core.clock.monotonic_ms()
  local _, out = process.run(words)
  return out, (core.clock.monotonic_ms() - began) / 1000
end

--- As client, in the background: process id, and the file with what it prints.
function M:start_client(...)
  return M.start_tool(self.host, self.port, ...)
end

--- support/tls_client.c against any server, in the background.
---@param host string an address
---@param port string|integer
---@param ... string|number actions
---@return integer pid
---@return string out the file with what it prints
function M.start_tool(host, port, ...)
  local out = process.folder() .. "/out"
  process.write(out, "")
  return process.start({ client_tool(), host, port, ... }, out, "/dev/null"), out
end

--- Send bytes on a new connection, wait until the server closes it, and return all that came.
function M:raw(bytes, options)
  local client <close> = self:connect(options)
  client:send(bytes)
  return client:wait_closed()
end

--- End the server; a fault that a sanitizer has found in it is raised.
function M:stop()
  process.kill(self.pid, "TERM")
  local ended = pcall(process.wait_for, function()
    return not process.alive(self.pid)
  end, "its end")
  process.kill(self.pid, "KILL")
  local said = process.read(self.err)
  os.execute("rm -rf " .. process.quote(self.scratch))
  if not ended then error("the server did not end:\n" .. said) end
  if said:find "Sanitizer" or said:find "runtime error" then error(said) end
end
M.__close = M.stop

return M
