--- Messages between a worker and the authority: one JSON object a packet, with a closed schema.
---
--- A worker may be in an attacker's hands, so the authority takes nothing that is not described
--- here, with its bounds. Bytes (DER, user names, secrets) travel as base64; serials and ids as
--- strings, since JSON numbers are floats to cjson.
---
---   worker -> authority   begin    who asks for what; proofs are checked, a principal handle comes
---                                  back
---                         finish   the policy's verdict for a handle; a certificate may come back
---   authority -> worker   answer
local cjson = require "cjson.safe"
local core = require "lest.core"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

--- The most bytes a packet may have; the kernel's own limit for one is 212,960.
M.SIZE_MAX = 200000

--- The most bytes of what a client gives, for who answers it.
M.CSR_MAX = 65536
M.SECRET_MAX = 1024
M.CERTIFICATE_MAX = 32768
M.CHAIN_MAX = 8

local json = cjson.new()
json.decode_max_depth(12)
json.encode_max_depth(12)
json.decode_invalid_numbers(false)

local function bytes(max)
  return s.custom("base64", function(value)
    if type(value) ~= "string" or #value > (max + 2) // 3 * 4 then return nil end
    return (core.base64.decode(value))
  end)
end

local text = s.string { max = 1000 }
local long_text = s.string { max = 8000 }
local id = s.string { max = 64, pattern = "^[%w_.:-]+$", what = "an id" }
local name = s.string { max = 64, pattern = "^[%w][%w._-]*$", what = "a name" }
local label = s.string { max = 128, pattern = "^[%w%-._~!$&'()*+,;=:@%%]+$", what = "a label" }
-- The names of what is kept for a request, as bounded as the values.
local function short(key)
  if #key > 64 then return false, "a name longer than 64 bytes" end
  return true
end

-- JSON has no infinity, but 1e999 is read as one, and could not be written again.
local facts = s.map(s.custom("a string, a finite number or a boolean", function(value)
  local kind = type(value)
  if kind == "boolean" or (kind == "number" and value - value == 0)
    or (kind == "string" and #value <= 4096) then
    return value
  end
end), { max = 64, key = short })

-- A part of a name: type, value[, marks: "+" where it joins the one before, "#" where it is DER]
local part_texts = s.list(s.string { max = 1024 }, { min = 2, max = 3 })
local pair = s.custom("a part of a name", function(value)
  local part = part_texts.accept(value)
  local marks = part and (part[3] or "")
  if not marks or not marks:find "^%+?#?$" then return nil end
  return { part[1], part[2], plus = marks:find("+", 1, true) ~= nil, der = marks:find "#" ~= nil }
end)

local tls = s.record {
  version = s.string { max = 16 }, cipher = s.string { max = 64 },
  channel_bound = s.optional(s.boolean(), false),
}

local verdict = s.one_of { "approve", "reject", "pending", "unavailable", "error" }

local kinds = {
  begin = s.record {
    type = s.string(), id = id,
    operation = s.one_of { "simpleenroll", "simplereenroll" }, label = label,
    address = s.string { max = 64 }, tls = tls, csr = bytes(M.CSR_MAX),
    headers = s.optional(s.map(text, { max = 16, key = short })),
    basic = s.optional(s.record { username = bytes(M.SECRET_MAX),
      password = bytes(M.SECRET_MAX) }),
    certificate = s.optional(s.list(bytes(M.CERTIFICATE_MAX), { min = 1, max = M.CHAIN_MAX })),
  },
  finish = s.record {
    type = s.string(), id = id, handle = id,
    verdict = verdict,
    reason = s.optional(text), detail = s.optional(long_text),
    profile = s.optional(name), lifetime = s.optional(s.integer { min = 1, max = 3200000000 }),
    renewal = s.optional(s.boolean(), false),
    subject = s.optional(s.list(pair, { max = 32 })),
    san = s.optional(s.list(s.string { max = 1024 }, { max = 128 })),
    facts = s.optional(facts),
    retry_after = s.optional(s.integer { min = 1, max = 31536000 }),
    expires = s.optional(s.integer { min = 1, max = 315360000 }),
    policy_file = s.optional(s.string { max = 4096 }),
    policy_hash = s.optional(s.string { max = 64 }),
    duration_us = s.optional(s.integer {}),
  },
  answer = s.record {
    type = s.string(), id = id,
    status = s.optional(s.integer { min = 200, max = 599 }), reason = s.optional(text),
    retry_after = s.optional(s.integer { min = 0 }),
    challenge = s.optional(s.boolean()), -- whether credentials would help
    verdict = s.optional(verdict), -- as it was recorded
    who = s.optional(s.string { max = 1024 }), -- the principal, for the log
    handle = s.optional(id),
    principal = s.optional(s.record {
      kind = s.one_of { "basic", "certificate" }, name = s.string { max = 1024 },
      anchors = s.optional(name), certificate = s.optional(bytes(M.CERTIFICATE_MAX)),
      credential = s.optional(facts), claims = s.optional(facts),
    }),
    -- what was proven, by kind
    auth = s.optional(s.record {
      basic = s.optional(s.record { name = s.string { max = 1024 } }),
      certificate = s.optional(s.record { name = s.string { max = 1024 }, anchors = name }),
    }),
    previous = s.optional(s.record {
      certificate = bytes(M.CERTIFICATE_MAX), facts = s.optional(facts),
    }),
    approvals = s.optional(s.list(s.record {
      operator = text, comment = s.optional(text), time = s.integer {},
    }, { max = 64 })),
    certificate = s.optional(bytes(65536)), serial = s.optional(id),
      replayed = s.optional(s.boolean()),
  },
}

local function problem_text(problems)
  local first = problems[1]
  return ("%s: %s"):format(first.path, first.problem)
end

--- Read one packet.
---@param packet string
---@param allowed table<string, boolean> the types that this side takes
---@return table|nil message
---@return string|nil problem a sentence; holds no value of the packet but names of keys
---@return any id of a packet that is an object but no message
function M.decode(packet, allowed)
  if #packet > M.SIZE_MAX then return nil, "the packet is too large" end
  local value = json.decode(packet)
  if type(value) ~= "table" then return nil, "the packet is no JSON object" end
  local kind = value.type
  if type(kind) ~= "string" or not kinds[kind] or not allowed[kind] then
    return nil, "the packet has no type that is taken here"
  end
  local message, problems = schema.check(kinds[kind], value)
  if not message then return nil, problem_text(problems), value.id end
  return message
end

--- Write one packet of what others had a hand in: a client, a policy. What the authority would
--- refuse is not sent: it would end the connection, and with it every request under way.
---@param message table bytes in base64 already (see bytes())
---@return string|nil packet
---@return string|nil problem as decode() tells it
function M.encode(message)
  local _, problems = schema.check(kinds[message.type], message)
  if problems then return nil, problem_text(problems) end
  return M.write(message)
end

--- Write one packet as it is; the other side checks it.
---@param message table bytes in base64 already (see bytes())
---@return string|nil packet
---@return string|nil problem
function M.write(message)
  local packet = json.encode(message)
  if not packet then return nil, "the message has a value that JSON has not" end
  if #packet > M.SIZE_MAX then return nil, "the packet is too large" end
  return packet
end

--- Bytes as they travel.
---@param value string|nil
---@return string|nil
function M.bytes(value)
  return value and core.base64.encode(value)
end

return M
