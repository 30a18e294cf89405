--- A server whose decisions are to be looked at later: of an inventory, of a renewal, and of who
--- shows a certificate and a secret at once (the label `both`).
---
---   local server, inventory = recorded.start { policy = POLICY, both = BOTH }
---   recorded.ask_inventory(server, inventory, "pump-7")
---   recorded.renew(server)
---   recorded.show_both(server)
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local M = {}

--- In the policy, "INVENTORY" is the inventory's address and "CA" the file to trust it by.
---@param options { policy: string, both: string, config?: fun(text: string): string }
---@return support.server
---@return table inventory a raw_server
function M.start(options)
  local server = support.make { files = { ["both.lua"] = options.both }, config = function(text)
    text = text:gsub('names = "principal"', 'names = "policy"'):gsub("labels = {", [[
      workers = 1, labels = {
        both = { policy = "both.lua", profile = "device", auth = "certificate+basic" },
    ]], 1)
    return options.config and options.config(text) or text
  end }
  local inventory = raw_server.start {
    cert = server.dir .. "/server.pem", key = server.dir .. "/server.key",
  }
  local policy = options.policy:gsub("INVENTORY", inventory.url)
    :gsub("CA\"", server.dir .. '/ca.pem"')
  process.write(server.dir .. "/policy.lua", policy)
  server:run()
  return server, inventory
end

---@return integer status
function M.enroll(server, name)
  return (server:post("/simpleenroll", server:csr(name), "--user",
    name .. ":" .. server:credential(name)))
end

--- listed7, whose host the inventory has, and listed8, which is not there.
function M.ask_inventory(server, inventory, host)
  inventory:answer(raw_server.http(200, {}, ('{ "host": "%s" }'):format(host)))
  assert(M.enroll(server, "listed7") == 200)
  inventory:request()
  inventory:answer(raw_server.http(404, {}, ""))
  assert(M.enroll(server, "listed8") == 403)
  inventory:request()
end

local function of_device(server)
  local base = server.folder .. "/device001"
  return "--cert", base .. ".pem", "--key", base .. ".key"
end

--- device001, which has enrolled.
function M.renew(server)
  local status, body = server:post("/simplereenroll", server:csr("device001", { reuse = true }),
    of_device(server))
  assert(status == 200, body)
end

--- The secret of `both` with the certificate of device001.
function M.show_both(server)
  local status, body = server:post("/both/simpleenroll", server:csr "both", "--user",
    "both:" .. server:credential "both", of_device(server))
  assert(status == 200, body)
end

return M
