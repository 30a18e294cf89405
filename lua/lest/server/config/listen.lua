--- The shapes of the addresses where the server listens, and of who may stand in front of them.
local network = require "lest.base.network"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

-- As many as the core takes for a socket (csrc/net/server.h).
local NETWORKS_MAX <const> = 16

local function address(value)
  local host, port = tostring(value):match "^%[([%x:.]+)%]:(%d+)$"
  if not host then host, port = tostring(value):match "^([%d.]+):(%d+)$" end
  if not host or tonumber(port) > 65535 then
    local problem = "'%s' is no address: write one as \"[::]:8443\" or \"127.0.0.1:8443\""
    return nil, problem:format(tostring(value))
  end
  return value
end

-- What is counted says who asks for what, and is told without TLS: to this machine alone.
local function loopback_address(value)
  local accepted, problem = address(value)
  if not accepted then return nil, problem end
  if accepted:find "^127%." or accepted:find "^%[::1%]:" then return accepted end
  return nil, ("'%s' is not this machine's own: write one as \"127.0.0.1:9100\" or \"[::1]:9100\"")
    :format(accepted)
end

-- Who is in it may say to be anybody: that is never everybody.
local function balancers(value)
  if type(value) ~= "string" then return nil end
  local parsed, problem = network.parse(value)
  if not parsed then return nil, problem end
  if parsed.bits == 0 then return nil, ("'%s' is everybody, and so no balancer"):format(value) end
  return value
end

local proxy = s.list(s.custom("a network", balancers),
  { min = 1, max = NETWORKS_MAX, single = true, as = '{ "192.0.2.0/24" }' })

--- A record with an address, for which an address alone stands; and its text on the command line,
--- where the rest stands behind a comma: a word, or what it is with a name.
local function entry(fields, as)
  fields.address = s.custom("an address", address)
  local record = s.record(fields, as)
  local shape = s.custom("an address, or " .. as, function(value)
    if type(value) ~= "string" then return record.accept(value) end
    local first, words = value:match "^([^,]*),?(.*)$"
    local accepted, problem = address(first)
    if not accepted then return nil, problem end
    local raw = { address = accepted }
    for word in words:gmatch "[^,]+" do
      local name, text = word:match "^(%w+)=(.*)$"
      if name then
        raw[name] = type(raw[name]) == "table" and raw[name] or {}
        table.insert(raw[name], text)
      else
        raw[word] = true
      end
    end
    return record.accept(raw)
  end)
  shape.fields = record.fields
  return shape
end

M.listen = s.list(entry({
  psk = s.optional(s.boolean(), false),
  srp = s.optional(s.boolean(), false),
  proxy = s.optional(proxy),
}, '{ address = "[::]:8444", psk = true }'), { min = 1, max = 16, single = true })

M.listen_http = s.list(entry({ proxy = s.optional(proxy) },
  '{ address = "[::]:8080", proxy = { "192.0.2.0/24" } }'), { max = 8, single = true })

M.loopback = s.custom("a loopback address", loopback_address)

--- The balancers of addresses as core.server.new takes them.
---@param list { proxy?: string[] }[]
---@return string[][]
function M.balancers(list)
  local all = {}
  for i, each in ipairs(list) do
    all[i] = {}
    for k, text in ipairs(each.proxy or {}) do
      all[i][k] = network.pack(assert(network.parse(text)))
    end
  end
  return all
end

return M
