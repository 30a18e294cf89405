--- Runs support/https_server.lua for a spec, and talks to it with curl and support.raw_client.
---   local server <close> = https.start(folder, "idle_ms=200")
---   server:raw "GET / HTTP/1.0\r\n\r\n"      -- what came back until the server closed
local process = require "support.process"
local raw_client = require "support.raw_client"

local M = {}
M.__index = M

local SERVER <const> = "spec/support/https_server.lua"

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

--- A connection to it of a support.raw_client that lives as long as this server; options as there.
---@param options? table
---@return table? connection
---@return string? how it ended
function M:connect(options)
  self.client = self.client or raw_client.new()
  local all = { host = self.host, port = self.port }
  for key, value in pairs(options or {}) do all[key] = value end
  return self.client:connect(all)
end

--- Send bytes on a new connection; what came until the server closed it, and how it did.
function M:raw(bytes, options)
  local c <close> = assert(self:connect(options))
  c:send(bytes)
  return c:read { timeout = 20000 }
end

--- End the server; a fault that a sanitizer has found in it is raised.
function M:stop()
  if self.client then self.client:close() end
  process.kill(self.pid, "TERM")
  local ended = pcall(process.wait_for, function()
    return not process.alive(self.pid)
  end, "its end")
  process.kill(self.pid, "KILL")
  local said = process.read(self.err)
  os.execute("rm -rf " .. process.quote(self.scratch))
  if not ended then error("the server did not end:\n" .. said) end
  process.check_sanitizers(said)
end
M.__close = M.stop

return M
