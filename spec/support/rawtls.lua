--- A process of the fixture rawtls (spec/support/rawtls.h) with a pipe each way, for raw_client and
--- raw_server.
local base64 = require("lest.core").base64
local process = require "support.process"

local M = {}
M.__index = M

--- Bytes as a word of a line.
---@param bytes? string
---@return string
function M.encode(bytes)
  return (bytes or "") == "" and "-" or base64.encode(bytes)
end

--- The bytes of a word.
---@param word string
---@return string
function M.decode(word)
  return word == "-" and "" or assert(base64.decode(word))
end

--- KEY=VALUE words of a table, without the keys in `except`.
---@param settings table<string, string|integer|boolean>
---@param except? table<string, boolean>
---@return string[]
function M.words(settings, except)
  local words = {}
  for key, value in pairs(settings) do
    if not (except and except[key]) and value then
      local text = value == true and "1" or tostring(value)
      assert(not text:find "%s", "a setting has no blanks: " .. key)
      words[#words + 1] = key .. "=" .. text
    end
  end
  table.sort(words)
  return words
end

--- A handshake message in a record of its own, for a hello that OpenSSL would not make.
---@param kind integer 1 ClientHello, 2 ServerHello
---@param suites string of the client, or the one that the server takes
---@param extensions? table<integer, string>
---@return string
function M.hello(kind, suites, extensions)
  local list = {}
  for number, value in pairs(extensions or {}) do
    list[#list + 1] = (">I2s2"):pack(number, value)
  end
  local body = "\3\3" .. ("r"):rep(32) .. "\0"
    .. (kind == 1 and (">s2"):pack(suites) .. "\1\0" or suites .. "\0")
    .. (">s2"):pack(table.concat(list))
  return ("\22\3\3" .. (">s2"):pack(string.char(kind) .. (">s3"):pack(body)))
end

--- INFO... as a table; bytes decoded.
---@param text string
---@return table<string, string|boolean>
function M.info(text)
  local bytes = { exporter = true, finished = true, peer_finished = true, peer = true, sni = true,
    alpn = true }
  local info = {}
  for key, value in text:gmatch "(%S-)=(%S+)" do
    info[key] = bytes[key] and M.decode(value) or value
  end
  info.reused = info.reused == "1"
  return info
end

--- Start it. Words are its command line.
---@param ... string
---@return table process
function M.start(...)
  -- A named pipe for the answers: popen gives one direction only.
  local folder = process.folder()
  local fifo = folder .. "/answers"
  assert(os.execute("mkfifo " .. fifo))
  local command = process.line { LEST_PREFIX .. "/fixture/rawtls", ... }
  local input = assert(io.popen("exec " .. command .. " >" .. fifo, "w"))
  input:setvbuf "no"
  local output = assert(io.open(fifo, "r"))
  os.execute("rm -r " .. folder)
  return setmetatable({ input = input, output = output }, M)
end

--- Send a command.
---@param ... string
function M:send(...)
  assert(self.input, "the fixture was stopped")
  self.input:write(table.concat({ ... }, " "), "\n")
end

--- The next line.
---@return string
function M:line()
  return self.output:read "l" or error("rawtls ended; its words are above", 3)
end

--- Send a command, and give the next line.
---@param ... string
---@return string
function M:ask(...)
  self:send(...)
  return self:line()
end

function M:stop()
  if not self.input then return end
  self.input:write "quit\n"
  self.input:close()
  self.output:close()
  self.input = nil
end

return M
