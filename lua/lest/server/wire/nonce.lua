--- The nonces of HTTP Digest (RFC 7616 3.3). A worker makes them and remembers none; the authority
--- takes what was made with the key that it has said in `hello`, for the same realm.
---
--- A nonce is when it was made, random bytes, and a MAC of both and the realm. The time is that of
--- the monotonic clock, which all processes of a machine share: a clock that is put right makes no
--- nonce of now an old one.
---
---   local text = nonce.make(key, "lest", now)
---   local made, id = nonce.read(key, "lest", text)   --> now; nil where it is none of the key
local core = require "lest.core"

local M = {}

M.KEY_LEN = 32

local RANDOM_LEN <const>, MAC_LEN <const> = 12, 16
local HEAD_LEN <const> = 8 + RANDOM_LEN

local function mac(key, realm, head)
  return assert(core.secret.hmac_sha256(key, head .. realm)):sub(1, MAC_LEN)
end

---@param key string KEY_LEN bytes
---@param realm string
---@param now integer seconds of the monotonic clock
---@return string
function M.make(key, realm, now)
  local head = (">I8"):pack(now) .. assert(core.secret.random_bytes(RANDOM_LEN))
  return core.base64.encode(head .. mac(key, realm, head))
end

---@param key string
---@param realm string
---@param text string as a client sends it
---@return integer? made when, in seconds of the monotonic clock
---@return string? id what no other nonce of the key has
function M.read(key, realm, text)
  local bytes = core.base64.decode(text)
  if not bytes or #bytes ~= HEAD_LEN + MAC_LEN then return nil end
  local head = bytes:sub(1, HEAD_LEN)
  if not core.secret.equal(bytes:sub(HEAD_LEN + 1), mac(key, realm, head)) then return nil end
  return (">i8"):unpack(head), head
end

return M
