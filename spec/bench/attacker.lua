-- A stranger who costs a server what it can, until it is killed.
--   lest run spec/bench/attacker.lua PORT KIND VERSION
package.path = "spec/?.lua;" .. package.path
local raw_client = require "support.raw_client"

local port, kind, version = table.unpack(arg)
local client <close> = raw_client.new()
while true do
  local c <close> = client:connect { port = port, min = version, max = version,
    suites = raw_client.FLOODS.suites, ciphers = raw_client.FLOODS.ciphers }
  if c then c:flood(kind, 60000) end
end
