--- Messages between a worker, or the backend, and the authority: a packet each, with a closed
--- schema.
---
--- A worker may be in an attacker's hands, so the authority takes nothing that the schema does not
--- describe, with its bounds. The schema and the packet's form are C (csrc/wire/message.h), one
--- table for both ends. Bytes (DER, user names, secrets) are strings as they are; a flag that is
--- absent is false.
---
---   worker -> authority   begin    who asks for what; proofs are checked, a principal handle comes
---                                  back
---                         finish   the policy's verdict for a handle; a certificate may come back
---                         shadow   what the label's shadow says of a request that is over
---                         listens  a policy's hooks for what happened; then `hello`
---                         heard    what became of an event
---                         seek     whom a client names in its handshake, which stands still
---                         proven   that handshake has succeeded
---                         check    an OCSP request
---   authority -> worker   answer
---                         found    the secret of that client
---                         event    what happened, for a hook
---                         document what anybody may fetch at a path, with a sealed file
---                         checked  the response to an OCSP request
---                         revoked  which certificates were revoked
---                         identity the certificate and the key for TLS, where these renew
---                                  themselves: before `hello`, and when there is another
---                         hello    first of all else: the authority serves
---   authority -> backend  order    what a CA elsewhere is asked for
---                         recall   it ends: what no CA was sent yet is not to be asked any more
---                         renew    keys of an issuer's address that are wanted now
---   backend -> authority  outcome  what came of it
---                         keys     what an issuer's address has
---                         hello    first of all: it serves
local codec = require "lest.core".message
local refusal = require "lest.server.wire.refusal"

local M = {}

--- The most bytes of a packet, and of each thing that a client gives: a worker refuses a larger one
--- before it sends it.
M.SIZE_MAX = codec.SIZE_MAX
M.CSR_MAX = codec.CSR_MAX
M.SECRET_MAX = codec.SECRET_MAX
M.TOKEN_MAX = codec.TOKEN_MAX
M.JWKS_MAX = codec.JWKS_MAX
M.CERTIFICATE_MAX = codec.CERTIFICATE_MAX
M.CHAIN_MAX = codec.CHAIN_MAX

--- The most bytes of a document, which come beside its packet.
M.DOCUMENT_MAX = codec.DOCUMENT_MAX

--- Read one packet.
---@param packet string
---@param allowed table<string, boolean> the types that this side takes
---@return table|nil message
---@return string|nil problem a sentence; holds no value of the packet but names of keys
---@return string|nil id of a packet that begins as a message does and is none
function M.decode(packet, allowed)
  local message, err, id = codec.decode(packet, allowed)
  if message then return message end
  refusal.raise_memory(err)
  return nil, err.message, id
end

--- Write one packet. What the other side would refuse is not sent: it would end the connection, and
--- with it every request under way.
---@param message table
---@return string|nil packet
---@return string|nil problem as decode() tells it
function M.encode(message)
  local packet, err = codec.encode(message)
  if packet then return packet end
  refusal.raise_memory(err)
  return nil, err.message
end

return M
