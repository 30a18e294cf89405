--- What a person calls a host, and the name that its certificate has: a DNS name, 192.0.2.1,
--- 2001:db8::1 or [::1].
---
---   host.san "est.example.com"   --> "DNS:est.example.com"
local core = require "lest.core"

local M = {}

local function is_ipv4(text)
  local count = 0
  for octet in text:gmatch "[^.]+" do
    if not octet:find "^%d%d?%d?$" or tonumber(octet) > 255 then return false end
    count = count + 1
  end
  return count == 4 and text:find "^%d+%.%d+%.%d+%.%d+$" ~= nil
end

local function is_dns(text)
  if #text > 253 then return false end
  for label in (text:gsub("^%*%.", "") .. "."):gmatch "([^.]*)%." do
    if #label > 63 or not label:find "^[%w_]$" and not label:find "^[%w_][%w_-]*[%w_]$" then
      return false
    end
  end
  return not text:find "^[%d.]+$"
end

--- The subject alternative name of a host; nil for what is none.
---@param name string
---@return string|nil san
function M.san(name)
  if is_ipv4(name) then return "IP:" .. name end
  local v6 = name:match "^%[([%x:.]+)%]$" or (name:find ":" and name:match "^[%x:.]+$")
  if v6 then return core.san.encode { "IP:" .. v6 } and "IP:" .. v6 or nil end
  return is_dns(name) and "DNS:" .. name or nil
end

--- Whether it can be the host in a URL that many read: one host's name or address, an IPv6 address
--- in brackets.
---@param name string
---@return boolean
function M.is_in_url(name)
  if name:find "[*_]" or name:find(":", 1, true) and not name:find "^%[" then return false end
  return M.san(name) ~= nil
end

local CN_MAX <const> = 64 -- RFC 5280 appendix A.1: ub-common-name

--- The subject of a server's certificate, a common name for people: clients look at the alternative
--- names only.
---@param hosts string[]
---@return string[][]
function M.subject(hosts)
  for _, name in ipairs(hosts) do
    if #name <= CN_MAX then return { { "CN", name } } end
  end
  return {}
end

return M
