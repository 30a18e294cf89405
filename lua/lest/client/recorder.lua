--- Exchanges as a Lua file that plays them again (lest.tool.playback), written anew after each one,
--- so that it is there whatever happens next. What is secret is masked, unless one wants it.
---
---   assert(client:record "bug.lua")
local clock = require "lest.base.clock"
local core = require "lest.core"
local fail = require "lest.base.fail"
local secrets = require "lest.client.secrets"

local M = {}

-- Of a file, so that a script that runs for days fills no disk.
local EXCHANGES_MAX <const>, BYTES_MAX <const> = 200, 8 * 1024 * 1024
local MODE <const> = 384 -- 0600

local Recorder = {}
Recorder.__index = Recorder

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

-- Fit for a file of Lua and for a terminal.
local function quote(text)
  return '"' .. text:gsub('[%c"\\\127-\255]', function(c)
    return ESCAPES[c] or ("\\x%02x"):format(c:byte())
  end) .. '"'
end

local LINE <const> = 80

-- A line of the bytes is a line of the file; long ones are broken.
local function bytes(indent, text)
  local lines = {}
  for line in text:gmatch "[^\n]*\n?" do
    for at = 1, #line, LINE do lines[#lines + 1] = indent .. quote(line:sub(at, at + LINE - 1)) end
  end
  return table.concat(lines, ",\n")
end

local HEAD <const> = [[
-- What lest %s and a server said to each other, recorded at %s.
--   lest run FILE          plays the server on this machine, and asks it the same again
--   lest run FILE serve    only plays the server
-- %s This is a program: read one that a stranger sent before you run it.
return require "%s" ({
]]
local PLAYER <const> = "lest.tool.playback"
-- How a record begins, of whatever version.
local MARK <const> = HEAD:match "^[^%%]+"

-- Whether a file may be written anew: where there is none, or an earlier record.
local function check_place(path)
  local text, err = core.file.read_plain(path)
  if text and text:sub(1, #MARK) == MARK or err and err.code == "not_found" then return true end
  if err then return nil, err end
  return fail("exists", path .. " is there already, and is no record; nothing was written")
end

local function exchange_text(exchange)
  local lines = { "  {" }
  local function add(name, value)
    if value then lines[#lines + 1] = ("    %s = %s,"):format(name, value) end
  end
  add("operation", exchange.operation and quote(exchange.operation))
  add("tls", exchange.tls and quote(exchange.tls))
  add("error", exchange.error and quote(exchange.error))
  add("code", exchange.code and quote(exchange.code))
  for i, pem in ipairs(exchange.chain) do
    add("chain_" .. i, "{\n" .. bytes("      ", pem) .. " }")
  end
  add("sent", "{\n" .. bytes("      ", exchange.sent) .. " }")
  add("received", "{\n" .. bytes("      ", exchange.received) .. " }")
  lines[#lines + 1] = "  },\n"
  return table.concat(lines, "\n")
end

function Recorder:write()
  local parts = { HEAD:format(core.version, clock.text(core.clock.wall_us() // 1000000),
    self.secrets and "SECRETS ARE IN IT." or "Secrets are masked.", PLAYER) }
  parts[#parts + 1] = ("  url = %s,\n"):format(quote(self.url or ""))
  parts[#parts + 1] = "  anchors = {\n"
  for _, pem in ipairs(self.anchors) do
    parts[#parts + 1] = "    {\n" .. bytes("      ", pem) .. " },\n"
  end
  parts[#parts + 1] = "  },\n" .. table.concat(self.exchanges) .. "}, ...)\n"
  return core.file.write(self.path, table.concat(parts), { mode = MODE })
end

-- What a server that was refused has shown.
local function refused_chain(tls)
  local list = {}
  for _, der in ipairs(tls.refused and tls.chain or {}) do
    local cert = core.cert.parse(der)
    if cert then list[#list + 1] = cert:pem() end
  end
  return list
end

-- The anchor that vouched for the server vouches for what it issues, too.
local function learn_anchor(self, path)
  local der = path and path[#path]
  if not der or self.known[der] then return end
  self.known[der] = true
  local cert = core.cert.parse(der)
  if cert then table.insert(self.anchors, cert:pem()) end
end

--- Add an exchange of a client.
---@param client lest.client
---@param operation? string nil: driven by hand
---@param seen { sent: string, received: string, tls: table }
---@param err? lest.error in place of an answer
function Recorder:add(client, operation, seen, err)
  local tls, sent, received = seen.tls, seen.sent, seen.received
  if operation and sent:find "^CONNECT " then sent, received = "", "" end -- with a proxy alone
  local text = exchange_text {
    operation = operation, chain = refused_chain(tls),
    error = err and tostring(err), code = err and err.code,
    tls = tls.version and ("%s %s"):format(tls.version, tls.cipher),
    sent = self.secrets and sent or secrets.request(sent),
    received = self.secrets and received or secrets.answer(received),
  }
  if #self.exchanges >= EXCHANGES_MAX or self.size + #text > BYTES_MAX then
    if not self.full then client.notify("warning", self.path .. " is full: no more is recorded") end
    self.full = true
    return
  end
  self.size = self.size + #text
  table.insert(self.exchanges, text)
  self.url = tostring(client.base)
  learn_anchor(self, tls.path)
  local ok, problem = self:write()
  if ok then return end
  client.recorder = nil
  client.notify("warning", "no more is recorded: " .. tostring(problem))
end

--- A record in a file, which is written at once: what is wrong with its place shows here.
---@param path string
---@param with_secrets? boolean
---@return table?
---@return lest.error? err
function M.new(path, with_secrets)
  local self = setmetatable({ path = path, secrets = with_secrets or false,
    exchanges = {}, anchors = {}, known = {}, size = 0 }, Recorder)
  local ok, err = check_place(path)
  if ok then ok, err = self:write() end
  if not ok then return nil, err end
  return self
end

return M
