--- Passwords in handshakes (SRP, RFC 5054), as others do them: curl as a client of EST, and the
--- messages of TLS 1.2 by hand. (openssl s_client and s_server of 3.0 crash at `-srpuser`.)
---
---   local answer, err = srp.request({ address = "127.0.0.2", port = server.ports[2] },
---     { name = "device001", password = secret }, "GET", "/cacerts")
---   answer.status, answer.body
local process = require "support.process"
local rawtls = require "support.rawtls"

local M = {}

--- SRP_SHA_WITH_AES_256_CBC_SHA, and the number of the extension that has the user name.
M.SUITE, M.EXTENSION = "\xc0\x20", 12

--- One request, and its answer.
---@param to { address: string, port: string }
---@param who { name: string, password: string }
---@param method string
---@param path string of the operation
---@param body? string a CSR in base64
---@param ... string further words for curl
---@return { status: integer, body: string }? answer
---@return string stderr
function M.request(to, who, method, path, body, ...)
  local command = { "curl", "-sSk", "--max-time", "20", "-w", "\n%{http_code}", "-X", method,
    "--tlsuser", who.name, "--tlspassword", who.password, ... }
  if body then
    table.move({ "-H", "Content-Type: application/pkcs10", "--data-binary", "@-" }, 1, 4,
      #command + 1, command)
  end
  table.insert(command, ("https://%s:%s/.well-known/est%s"):format(to.address, to.port, path))
  local code, out, err = process.run(command, { stdin = body })
  if code ~= 0 then return nil, err end
  local text, status = out:match "^(.*)\n(%d+)$"
  return { status = math.tointeger(status), body = text }, err
end

--- A ClientHello with a user name.
---@param name string
---@return string
function M.hello(name)
  return rawtls.hello(1, M.SUITE, { [M.EXTENSION] = string.pack("s1", name) })
end

--- A message of the handshake, in a record of its own.
---@param kind integer
---@param body string
---@return string
function M.message(kind, body)
  return "\22\3\3" .. string.pack(">s2", string.char(kind) .. string.pack(">s3", body))
end

--- What a server says first: a ServerHello, a ServerKeyExchange (2.6) and ServerHelloDone.
---@param numbers { prime: string, generator: string, salt: string, public: string }
---@return string
function M.words(numbers)
  local exchange = string.pack(">s2s2s1s2", numbers.prime, numbers.generator, numbers.salt,
    numbers.public)
  return rawtls.hello(2, M.SUITE, { [0xff01] = "\0" }) .. M.message(12, exchange)
    .. M.message(14, "")
end

--- What a server's words say of SRP; nil where there is no ServerKeyExchange.
---@param bytes string records
---@return { prime: string, generator: string, salt: string, public: string }?
function M.read(bytes)
  local records, at = {}, 1
  while bytes:byte(at) == 22 and #bytes >= at + 4 do
    records[#records + 1], at = string.unpack(">s2", bytes, at + 3)
  end
  local messages = table.concat(records)
  at = 1
  while at < #messages do
    local kind, body, after = string.unpack(">Bs3", messages, at)
    if kind == 12 then
      local prime, generator, salt, public = string.unpack(">s2s2s1s2", body)
      return { prime = prime, generator = generator, salt = salt, public = public }
    end
    at = after
  end
end

return M
