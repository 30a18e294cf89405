--- Packets between a worker and the authority written by hand, as one who does not use the codec
--- writes them: right or wrong, nothing is checked. Values are given as the packet has them:
---
---   local p = require "support.packet"
---   p.begin { label = p.bytes "../x" }            -- a good one but for its label
---   p.finish({ verdict = "\1" }, "\200" .. p.integer(1))   -- with something before its end
local M = {}

-- Fields in the order of their numbers; what a good message has of them.
local FIELDS <const> = {
  begin = { "id", "operation", "label", "address", "tls", "csr", "headers", "basic",
    "digest", "bearer", "challenge", "certificate", "psk", "srp",
    "binding", "cmc" },
  finish = { "id", "handle", "verdict", "reason", "detail", "profile", "lifetime", "renewal",
    "subject", "san", "facts", "retry_after", "expires", "policy_file", "policy_hash",
    "duration_us", "needed", "rule", "asked_at", "trace", "outside",
    "key", "ca" },
  answer = { "id", "status", "reason", "retry_after", "stale", "verdict", "who", "device",
    "handle", "principal", "auth", "previous", "approvals", "certificate", "serial", "replayed" },
  ask = { "id", "handle", "number", "history", "rate" },
}
local TYPES <const> = { begin = "\1", finish = "\2", answer = "\3", ask = "\5" }

function M.bytes(value) return string.pack(">s4", value) end

function M.integer(value) return string.pack(">i8", value) end

--- The values one after the other, behind their number.
function M.list(values) return string.pack(">I4", #values) .. table.concat(values) end

--- Pairs of a name and a value, in this order.
function M.map(pairs_of)
  local parts = { string.pack(">I4", #pairs_of) }
  for _, pair in ipairs(pairs_of) do table.insert(parts, M.bytes(pair[1]) .. pair[2]) end
  return table.concat(parts)
end

--- Fields in this order, each its number and its value.
function M.record(fields)
  local parts = {}
  for _, field in ipairs(fields) do
    table.insert(parts, string.char(field[1]) .. field[2])
  end
  return table.concat(parts) .. "\0"
end

--- What a fact is: a text, an integer, a float, or a boolean.
function M.fact(value)
  if type(value) == "string" then return "\1" .. M.bytes(value) end
  if type(value) == "boolean" then return value and "\5" or "\4" end
  if math.type(value) == "integer" then return "\2" .. M.integer(value) end
  return "\3" .. string.pack(">d", value)
end

--- The number of a field.
function M.number(kind, name)
  for number, each in ipairs(FIELDS[kind]) do
    if each == name then return number end
  end
  error("no field " .. name)
end

--- A message of these fields, by name.
---@param kind string
---@param values table<string, string> false: absent
---@param more? string bytes before its end
function M.message(kind, values, more)
  local fields = {}
  for number, name in ipairs(FIELDS[kind]) do
    if values[name] then table.insert(fields, { number, values[name] }) end
  end
  return "\1" .. TYPES[kind] .. M.record(fields):sub(1, -2) .. (more or "") .. "\0"
end

local function changed(good, changes)
  for name, value in pairs(changes or {}) do good[name] = value end
  return good
end

--- A good one but for the changes.
function M.begin(changes, more)
  return M.message("begin", changed({
    id = M.bytes "w-1", operation = "\1", label = M.bytes "default", address = M.bytes "127.0.0.1",
    tls = M.record { { 1, M.bytes "TLSv1.3" }, { 2, M.bytes "TLS_AES_128_GCM_SHA256" } },
    csr = M.bytes "der",
  }, changes), more)
end

function M.finish(changes, more)
  return M.message("finish", changed({ id = M.bytes "w-1", handle = M.bytes "h", verdict = "\1" },
    changes), more)
end

function M.ask(changes, more)
  return M.message("ask", changed({ id = M.bytes "w-1", handle = M.bytes "h",
    number = M.integer(1) }, changes), more)
end

--- The record of a rate in `ask`, good but for the changes.
function M.rate(changes)
  local rate = changed({ name = M.bytes "x", per = M.list { "\4" }, most = M.integer(5),
    every = M.integer(60) }, changes)
  return M.record { { 1, rate.name }, { 2, rate.per }, { 3, rate.most }, { 4, rate.every } }
end

function M.answer(changes, more)
  return M.message("answer", changed({ id = M.bytes "w-1" }, changes), more)
end

return M
