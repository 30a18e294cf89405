--- A handshake of TLS that goes no further than the server's first word: which versions, suites
--- and extensions it takes (RFC 5246 7.4.1, RFC 8446 4.1). So can be offered what OpenSSL has no
--- more.
---
---   local bytes = hello.client { version = hello.TLS_1_0, host = "est.example.com" }
---   local heard = hello.server(answer)     -- { version = 0x0301, ... }, { alert = 70 }, or nil
local core = require "lest.core"

local M = { SSL_3 = 0x0300, TLS_1_0 = 0x0301, TLS_1_1 = 0x0302, TLS_1_2 = 0x0303, TLS_1_3 = 0x0304 }

-- Extensions by their number.
local SNI <const>, GROUPS <const>, FORMATS <const>, SIGNATURES <const> = 0, 10, 11, 13
local VERSIONS <const>, KEY_SHARE <const> = 43, 51
M.EXTENDED_MASTER_SECRET, M.RENEGOTIATION_INFO = 23, 0xff01

local function numbers(list)
  local parts = {}
  for i, number in ipairs(list) do parts[i] = (">I2"):pack(number) end
  return table.concat(parts)
end

--- Suites that are offered: what servers of each age take; then what none may.
M.SUITES = {
  old = { 0xc013, 0xc014, 0xc009, 0xc00a, 0x002f, 0x0035, 0x0033, 0x0039, 0x000a, 0x0016, 0x0005,
    0x0004 },
  now = { 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc0ac, 0xc0ae, 0x009e, 0x009f, 0x009c,
    0x009d, 0xc023, 0xc027, 0xc024, 0xc028, 0xc009, 0xc013, 0x002f, 0x0035 },
  tls_1_3 = { 0x1301, 0x1302, 0x1303, 0x1304, 0x1305 },
  unprotected = { 0x0001, 0x0002, 0x003b, 0xc001, 0xc006, 0xc00b, 0xc010, 0xc015, 0xc016, 0xc017,
    0xc018, 0xc019, 0x0018, 0x001a, 0x001b, 0x0034, 0x003a, 0x0046, 0x0089, 0x006c, 0x006d, 0x009b,
    0x00a6, 0x00a7, 0x00bf, 0x00c5 },
  weak = { 0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, 0x0017, 0x0019, 0x0062, 0x0063,
    0x0064, 0x0065, 0x0009, 0x000c, 0x000f, 0x0012, 0x0015 },
}

-- RFC 6066 3: host names only.
local function sni(host)
  if not host or host:find ":" or host:find "^[%d.]+$" then return nil end
  return (">s2"):pack("\0" .. (">s2"):pack(host))
end

local function extensions_of(what)
  if what.version == M.SSL_3 then return "" end
  local parts = {}
  local function add(number, value)
    if value then parts[#parts + 1] = (">I2s2"):pack(number, value) end
  end
  add(SNI, sni(what.host))
  add(GROUPS, (">s2"):pack(numbers { 29, 23, 24, 25 }))
  add(FORMATS, "\1\0")
  if what.version >= M.TLS_1_2 then
    add(SIGNATURES, (">s2"):pack(numbers { 0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806,
      0x0401, 0x0501, 0x0601, 0x0203, 0x0201 }))
  end
  add(M.EXTENDED_MASTER_SECRET, "")
  if what.version == M.TLS_1_3 then
    add(VERSIONS, "\2\3\4")
    add(KEY_SHARE, (">s2"):pack((">I2s2"):pack(29, what.random))) -- any is a point
  else
    add(M.RENEGOTIATION_INFO, "\0")
  end
  return (">s2"):pack(table.concat(parts))
end

--- The bytes of a ClientHello.
---@param what { version: integer, suites?: integer[], host?: string }
---@return string? bytes
---@return lest.error? err
function M.client(what)
  local random, err = core.secret.random_bytes(32)
  if not random then return nil, err end
  local suites = what.suites or what.version == M.TLS_1_3 and M.SUITES.tls_1_3
    or what.version == M.TLS_1_2 and M.SUITES.now or M.SUITES.old
  local body = (">I2"):pack(math.min(what.version, M.TLS_1_2)) .. random .. "\0"
    .. (">s2"):pack(numbers(suites)) .. "\1\0"
    .. extensions_of { version = what.version, host = what.host, random = random }
  local message = "\1" .. (">I3"):pack(#body) .. body
  return "\22" .. (">I2s2"):pack(math.min(what.version, M.TLS_1_0), message)
end

local ALERT <const>, HANDSHAKE <const>, SERVER_HELLO <const> = 21, 22, 2

-- Unpack, or nothing where the bytes are too short.
local function take(format, bytes, at)
  local found = table.pack(pcall(string.unpack, format, bytes, at))
  if found[1] then return table.unpack(found, 2, found.n) end
end

local function read_extensions(bytes, at)
  local found = {}
  local list = take(">s2", bytes, at)
  local place = 1
  while list and place <= #list do
    local number, value, behind = take(">I2s2", list, place)
    if not number then return nil end
    found[number], place = value, behind
  end
  return found
end

--- What the first bytes of a server say.
---@param bytes string of a stranger
---@return { alert?: integer, version?: integer, suite?: integer, extensions?: table }|nil
function M.server(bytes)
  local kind, _, record = take(">BI2s2", bytes, 1)
  if kind == ALERT and #record == 2 then return { alert = record:byte(2) } end
  if kind ~= HANDSHAKE or record:byte(1) ~= SERVER_HELLO then return nil end
  local body = take(">s3", record, 2)
  local version, at = take(">I2", body or "", 1)
  local _, after = take(">s1", body or "", (at or 1) + 32)
  local suite, rest = take(">I2", body or "", (after or 1))
  if not version or not after or not suite then return nil end
  local extensions = read_extensions(body, rest + 1) -- behind the compression method
  if not extensions then return nil end
  local chosen = take(">I2", extensions[VERSIONS] or "", 1)
  return { version = chosen or version, suite = suite, extensions = extensions }
end

return M
