--- Plans of requests: plain tables that are made at random, changed a little, made smaller, turned
--- into a request of lest.testing, and printed as the code that makes it.
---
---   local plan = plans.fresh(random, words)   -- of lest.testing.words
---   local smaller = plans.smaller(plan)   --> a list of plans
local clock = require "lest.base.clock"
local list = require "lest.base.list"
local principals = require "lest.testing.principal"
local requests = require "lest.testing.request"
local words_of = require "lest.testing.words"

local M = {}

---@class lest.testing.plan
---@field principal { [1]: string, [2]: table } the maker, as "basic", and its options
---@field previous? table options of a certificate that is renewed
---@field csr? table
---@field operation? string
---@field address? string
---@field approvals? { operator: string }[]
---@field time? integer
---@field world integer chooses what the policy is told from outside

local KINDS <const> = { "DNS:", "DNS:", "DNS:", "IP:", "email:", "URI:", "dirName:" }
local KEYS <const> = { "ec:P-256", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519", "rsa:2048",
  "rsa:3072", "same" }
local EKUS <const> = { "clientAuth", "serverAuth", "cmcRA", "anyExtendedKeyUsage", "codeSigning" }
local DAY <const> = 86400

local function word(random, words)
  if random:once_in(4) then return random:one_of(words_of.ODD) end
  if words.likely[1] and random:once_in(2) then return random:one_of(words.likely) end
  local one = random:one_of(words.all)
  return random:once_in(8) and one .. random:one_of(words.all) or one
end

local function facts(random, words)
  local made = {}
  for i = 1, random:up_to(2) do made[words.names[i] or "site"] = word(random, words) end
  made[random:one_of(words.names)] = word(random, words)
  return made
end

local function names(random, words)
  local subject = {}
  for i = 1, random:up_to(3) - (random:once_in(8) and 1 or 0) do
    subject[i] = { random:one_of(words.attributes), word(random, words) }
  end
  return subject
end

local function alternative_name(random, words)
  local kind = random:one_of(KINDS)
  if kind == "IP:" then return kind .. random:one_of(words_of.addresses(words)) end
  local text = word(random, words)
  if kind == "email:" then text = text .. "@" .. word(random, words) end
  if kind == "URI:" then text = "https://" .. text .. "/" end
  if kind == "dirName:" then text = "CN=" .. text end
  return kind .. text
end

local function alternative_names(random, words)
  local san = {}
  for i = 1, random:up_to(3) - 1 do san[i] = alternative_name(random, words) end
  return san
end

-- Tags of DER strings, and how a text is written in each.
local ENCODINGS <const> = {
  { 0x13 }, { 0x14 }, { 0x16 }, { 0x12 },
  { 0x1e, function(code) return string.pack(">I2", code & 0xffff) end },
  { 0x1c, function(code) return string.pack(">I4", code) end },
}
local CN <const> = "\x06\x03\x55\x04\x03"

local function tlv(tag, body)
  local length = #body < 128 and string.char(#body) or #body < 256 and "\x81" .. string.char(#body)
    or "\x82" .. string.pack(">I2", #body)
  return string.char(tag) .. length .. body
end

-- A name whose CN is written as another kind of string than ours.
local function odd_name(random, text)
  local tag, encode = table.unpack(random:one_of(ENCODINGS))
  if encode and utf8.len(text) then
    local parts = {}
    for _, code in utf8.codes(text) do parts[#parts + 1] = encode(code) end
    text = table.concat(parts)
  end
  return tlv(0x30, tlv(0x31, tlv(0x30, CN .. tlv(tag, text))))
end

local function certificate(random, words)
  local options = { subject = names(random, words) }
  if random:once_in(3) then options.san = alternative_names(random, words) end
  if random:once_in(3) then options.eku = { random:one_of(EKUS), random:one_of(EKUS) } end
  if random:once_in(3) then options.anchors = random:one_of(words.all) end
  if random:once_in(4) then options.is_own = random:once_in(2) end
  if random:once_in(6) then options.facts = facts(random, words) end
  local time = random:up_to(4)
  if time == 1 then options.left = random:up_to(60) * DAY
  elseif time == 2 then options.expired = random:up_to(30) * DAY end
  return options
end

local function user(random, words)
  local options = { name = (word(random, words):gsub("[%z:]", "")) }
  if random:once_in(4) then options.credential = facts(random, words) end
  return options
end

local MAKERS <const> = {
  basic = user, digest = user, bearer = user, challenge = user, psk = user, srp = user,
  cert = certificate,
  idevid = function(random, words)
    local options = { serialNumber = word(random, words) }
    if random:once_in(3) then options.anchors = random:one_of(words.all) end
    if random:once_in(4) then options.CN = word(random, words) end
    return options
  end,
}
local MAKER_NAMES <const> = { "basic", "basic", "digest", "bearer", "cert", "cert",
  "idevid" }

-- How each field is made; false where it is absent.
local FIELDS <const> = {
  principal = function(random, words)
    local maker = random:one_of(MAKER_NAMES)
    return { maker, MAKERS[maker](random, words) }
  end,
  previous = function(random, words)
    return random:once_in(3) and certificate(random, words)
  end,
  csr = function(random, words)
    local csr = {}
    local kind = random:up_to(4)
    if kind == 1 then csr.subject = names(random, words)
    elseif kind == 2 then
      csr.subject_der = odd_name(random, word(random, words))
    end
    if random:once_in(3) then csr.san = alternative_names(random, words) end
    if random:once_in(3) then csr.key = random:one_of(KEYS) end
    if random:once_in(6) then csr.eku = { random:one_of(EKUS) } end
    if random:once_in(8) then csr.change = { subject = names(random, words) } end
    return next(csr) and csr
  end,
  operation = function(random) return random:once_in(3) and "simplereenroll" end,
  address = function(random, words)
    return random:once_in(2) and random:one_of(words_of.addresses(words))
  end,
  approvals = function(random, words)
    local approvals = {}
    for i = 1, random:up_to(4) - 1 do
      approvals[i] = { operator = random:one_of { "alice", "bob", "alice", word(random, words) } }
    end
    return approvals[1] and random:once_in(2) and approvals
  end,
  time = function(random)
    return random:once_in(2) and 1767225600 + random:up_to(14 * DAY) + random:up_to(3) * 365 * DAY
  end,
  world = function(random) return random:up_to(4096) end,
}
local ORDER <const> = { "principal", "operation", "previous", "csr", "address", "approvals", "time",
  "world" }

--- A plan at random.
---@param random lest.testing.random
---@param words lest.testing.words
---@return lest.testing.plan
function M.fresh(random, words)
  local plan = {}
  for _, field in ipairs(ORDER) do plan[field] = FIELDS[field](random, words) or nil end
  return plan
end

--- The same plan with one or two fields made anew.
---@param random lest.testing.random
---@param words lest.testing.words
---@param plan lest.testing.plan
---@return lest.testing.plan
function M.changed(random, words, plan)
  local result = list.copy(plan)
  for _ = 1, random:up_to(2) do
    local field = random:one_of(ORDER)
    result[field] = FIELDS[field](random, words) or nil
  end
  return result
end

-- Every table within a plan, with what leaves one of its fields or entries out.
local function without_each(plan, root, results)
  for key, value in pairs(plan) do
    if math.type(key) ~= "integer" or plan == root then
      local kept = plan[key]
      plan[key] = nil
      results[#results + 1] = list.copy(root)
      plan[key] = kept
    elseif #plan > 1 and type(value) == "table" and plan ~= root.principal then
      table.remove(plan, key)
      results[#results + 1] = list.copy(root)
      table.insert(plan, key, value)
    end
  end
  for _, value in pairs(plan) do
    if type(value) == "table" then without_each(value, root, results) end
  end
end

--- Plans that are smaller by a field or an entry; some make no request.
---@param plan lest.testing.plan
---@return lest.testing.plan[]
function M.smaller(plan)
  local results = {}
  plan = list.copy(plan)
  without_each(plan, plan, results)
  if plan.principal and plan.principal[1] ~= "basic" then
    local simple = list.copy(plan)
    simple.principal = { "basic", { name = "device001" } }
    table.insert(results, 1, simple)
  end
  return results
end

local function principal_of(maker, options)
  if MAKERS[maker] == user then return principals[maker](options.name, options.credential) end
  return principals[maker](list.copy(options))
end

--- The request of a plan; raises where it makes none.
---@param plan lest.testing.plan
---@return lest.testing.request
function M.request(plan)
  local options = list.copy(plan)
  options.world = nil
  if plan.principal then options.principal = principal_of(table.unpack(plan.principal)) end
  if plan.previous then options.previous = principals.cert(options.previous) end
  return requests.new(options)
end

-- As code

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\x7f-\xff]', function(char)
    if char == '"' or char == "\\" then return "\\" .. char end
    return ("\\x%02x"):format(char:byte())
  end) .. '"'
end

-- What Lua takes for no name.
local KEYWORDS <const> = list.set { "and", "break", "do", "else", "elseif", "end", "false", "for",
  "function", "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true",
  "until", "while" }

--- A value of plain tables as Lua writes it.
---@param value any
---@return string
function M.literal(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "function" then return "nil --[[ the spec's own function ]]" end
  if type(value) ~= "table" then return tostring(value) end
  local parts, keys = {}, {}
  for i = 1, #value do parts[i] = M.literal(value[i]) end
  for key in pairs(value) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local name = key:find "^[%a_][%w_]*$" and not KEYWORDS[key] and key
      or "[" .. quoted(key) .. "]"
    parts[#parts + 1] = name .. " = " .. M.literal(value[key])
  end
  return parts[1] and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

local function maker_code(maker, options)
  local call = "testing." .. maker
  if MAKERS[maker] ~= user then return call .. " " .. M.literal(options) end
  if not options.credential then return call .. " " .. quoted(options.name) end
  return ("%s(%s, %s)"):format(call, quoted(options.name), M.literal(options.credential))
end

--- The code that makes a plan's request.
---@param plan lest.testing.plan
---@param indent string
---@return string
function M.code(plan, indent)
  local lines = {}
  for _, field in ipairs(ORDER) do
    local value = plan[field]
    if value ~= nil and field ~= "world" then
      local text = field == "principal" and maker_code(table.unpack(value))
        or field == "previous" and maker_code("cert", value)
        or field == "time" and quoted(clock.text(value):gsub(" UTC$", ""))
        or M.literal(value)
      lines[#lines + 1] = ("%s  %s = %s,"):format(indent, field, text)
    end
  end
  if not lines[1] then return "testing.request()" end
  return "testing.request {\n" .. table.concat(lines, "\n") .. "\n" .. indent .. "}"
end

return M
