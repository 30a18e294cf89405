--- An agent of one identity, dev9, in a folder of its own, at a server of support.server.
---
---     local server = agent.server()
---     local it_is = agent.new(server, { hooks = "{ ... }" }, { textfile = '"x"' })
---     it_is:once()     it_is:status().state     it_is:cert()
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local temporary = require "support.temporary"

local M = {}

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { subject = request.csr.subject, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}]]

--- A server that issues what a CSR asks for, for an hour unless told.
---@param options? { lifetime?: string, policy?: string, edit?: fun(text: string): string,
--- lest?: string, hosts?: string[], listen?: string[] } the last three of support.server
function M.server(options)
  options = options or {}
  local lifetime = options.lifetime or "1h"
  local edit = options.edit or function(text) return text end
  return support.start { policy = options.policy or POLICY, lest = options.lest,
    hosts = options.hosts, listen = options.listen, config = function(text)
    return edit(text:gsub('names = "principal"',
      'names = "policy", subject = { "CN" }, san = { "DNS", "IP" }')
      :gsub('lifetime = "[^"]*"', ('lifetime = "%s"'):format(lifetime)))
  end }
end

local Agent = {}
Agent.__index = Agent

local serial = 0

local function lines_of(fields)
  local parts = {}
  for key, value in pairs(fields) do parts[#parts + 1] = ("%s = %s"):format(key, value) end
  return table.concat(parts, ", ")
end

--- One with a one-time secret, and nothing done yet.
---@param more? table<string, string> keys of the identity, as they are written
---@param beside? table<string, string> keys beside `identities`
function M.new(server, more, beside)
  serial = serial + 1
  local self = setmetatable({ folder = temporary.folder(), server = server }, Agent)
  self.name = ("agent%d"):format(serial)
  process.write(self.folder .. "/secret", server:credential(self.name))
  self:configure(more, beside)
  return self
end

--- Write its configuration anew.
function Agent:configure(more, beside)
  local fields = { subject = '"CN=dev9"', username = ("%q"):format(self.name),
    password_file = '"secret"', url = ("%q"):format(self.server.url),
    trust = ("%q"):format(self.server.root) }
  for key, value in pairs(more or {}) do fields[key] = value end
  local others = { state = '"state"' }
  for key, value in pairs(beside or {}) do others[key] = value end
  temporary.file(self.folder, "agent.lua", ("return { %s,\n  identities = { dev9 = { %s } } }\n")
    :format(lines_of(others), lines_of(fields)))
end

function Agent:file(name)
  return self.folder .. "/" .. name
end

--- Of its state folder.
function Agent:state(name)
  return ("%s/state/dev9/%s"):format(self.folder, name)
end

local function words_of(self, ...)
  return { "env", table.unpack(self.environment or {}) }, { process.lest, "agent", ... }
end

--- Words behind each other.
local function join(first, second)
  return table.move(second, 1, #second, #first + 1, first)
end

--- Run `lest agent` with these words; `environment` has words of env(1).
function Agent:run(...)
  return shell.run(process.line(join(words_of(self, self:file "agent.lua", ...))))
end

function Agent:once(...)
  return self:run("--once", ...)
end

--- What `lest agent status` says of it, and its exit code.
function Agent:status()
  local result = shell.run(process.line(join(words_of(self, "status", self:file "agent.lua",
    "--json"))))
  local each = cjson.decode(result.out)[1]
  each.code = result.code
  return each
end

--- The certificate in use.
function Agent:cert()
  return assert(core.cert.load(self:state "cert.pem"))
end

--- Start it in the background, with more words of env(1).
function Agent:start(...)
  local first, words = words_of(self, self:file "agent.lua")
  self.pid = process.start(join(join(first, { ... }), words), self:file "out", self:file "log")
  return self.pid
end

--- Send it a signal, and wait until it has ended.
function Agent:stop(signal)
  if not self.pid then return end
  process.kill(self.pid, signal or "TERM")
  process.wait_for(function() return not process.alive(self.pid) end, "the agent's end", 60)
  self.pid = nil
end

return M
