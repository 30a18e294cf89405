--- openssl s_client as a client of EST: a request written by hand, over whatever TLS it can do.
---
---   local answer, err = s_client.request({ address = "127.0.0.2", port = server.ports[2] },
---     { "-psk_identity", "device001", "-psk", key, "-tls1_2" }, "GET", "/cacerts")
---   answer.status, answer.body
local process = require "support.process"

local M = {}

--- Send bytes, and read until the server ends the connection.
---@param to { address: string, port: string }
---@param words string[] further words for s_client
---@param bytes string
---@return string received
---@return string stderr
function M.exchange(to, words, bytes)
  local command = { "timeout", "20", "openssl", "s_client", "-quiet", "-connect",
    to.address .. ":" .. to.port }
  table.move(words, 1, #words, #command + 1, command)
  local _, out, err = process.run(command, { stdin = bytes })
  return out, err
end

--- One request, and its answer.
---@param to { address: string, port: string }
---@param words string[]
---@param method string
---@param path string of the operation
---@param body? string a CSR in base64
---@return { status: integer, body: string, head: string }? answer
---@return string stderr
function M.request(to, words, method, path, body)
  local lines = { ("%s /.well-known/est%s HTTP/1.1"):format(method, path), "Host: localhost",
    "Connection: close", "Content-Type: application/pkcs10",
    body and "Content-Length: " .. #body or nil }
  local out, err = M.exchange(to, words, table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  local status = out:match "^HTTP/1.1 (%d+) "
  if not status then return nil, err end
  local head, rest = out:match "^(.-)\r\n\r\n(.*)$"
  return { status = math.tointeger(status), head = head, body = rest }, err
end


return M
