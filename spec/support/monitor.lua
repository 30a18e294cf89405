--- What a server tells of itself: at its TLS listeners to a balancer, at its loopback one to this
--- machine.
---
---   local server = support.start { config = monitor.config() }
---   monitor.probe(server)                                 --> 200, "ok\n"
---   monitor.samples(server)['lest_connections']           --> 0
local process = require "support.process"

local M = {}

--- An edit of the configuration that lets the monitor listen; more: further keys, as Lua.
---@param more? string
---@return fun(text: string): string
function M.config(more)
  return function(text)
    local keys = ('metrics = "127.0.0.2:0", %s\n  labels = {'):format(more and more .. "," or "")
    return (text:gsub("labels = {", keys, 1))
  end
end

local function curl(url, ...)
  local words = { "curl", "-sSk", "--max-time", "10", "-w", "\n%{http_code}", url, ... }
  local code, out, err = process.run(words)
  local body, status = out:match "^(.*)\n(%d+)$"
  return math.tointeger(tonumber(status)) or 0, body or "", code ~= 0 and err or nil
end

--- GET /healthz at a TLS listener, whatever its certificate is worth.
---@param server support.server
---@param ... string further words for curl
---@return integer status 0: no answer
---@return string body
function M.probe(server, ...)
  return curl(server.url .. "/healthz", ...)
end

--- Where the monitor listens.
---@param server support.server
---@return string address
function M.address(server)
  local ready = server:logged "ready"
  return ready[#ready].metrics
end

--- GET a path of the monitor.
---@param server support.server
---@param path string
---@param ... string further words for curl
---@return integer status
---@return string body
function M.get(server, path, ...)
  return curl("http://" .. M.address(server) .. path, ...)
end

--- The samples of /metrics, by name and labels as they are written.
---@param server support.server
---@return table<string, number>
---@return string text
function M.samples(server)
  local status, text = M.get(server, "/metrics")
  assert(status == 200, status)
  local samples = {}
  for line in text:gmatch "[^\n]+" do
    local name, value = line:match "^([^#].*) (%S+)$"
    if name then
      assert(not samples[name], "twice: " .. name)
      samples[name] = assert(tonumber(value), line)
    end
  end
  return samples, text
end

--- Wait until a sample has a value: the board is copied now and then.
---@param server support.server
---@param name string
---@param value number
function M.wait(server, name, value)
  local last
  local ok = pcall(process.wait_for, function()
    last = M.samples(server)[name]
    return last == value
  end, name)
  if not ok then error(("%s is %s, not %s"):format(name, last, value), 2) end
end

return M
