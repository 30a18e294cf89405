--- What the kit's tests and templates are made with: closed shapes, whose mistakes are sentences.
local core = require "lest.core"
local duration = require "lest.duration"
local glob = require "lest.policy.glob"
local key_kinds = require "lest.base.key_kinds"
local list = require "lest.base.list"
local network = require "lest.base.network"
local places = require "lest.policy.places"
local schema = require "lest.base.schema"
local template = require "lest.policy.template"
local vocabulary = require "lest.base.vocabulary"
local week = require "lest.policy.week"

local M = {}

local s <const> = schema

--- The attributes of a subject in the order in which a template writes them.
M.ATTRIBUTES = { "DC", "C", "ST", "L", "street", "O", "OU", "title", "CN", "UID", "serialNumber",
  "emailAddress" }

-- One value, or a list of them.
local function several(wanted, accept)
  return s.list(s.custom(wanted, accept), { min = 1, single = true })
end

--- A text of which `parse` makes something.
local function parsed(wanted, parse)
  return s.optional(several(wanted, function(value)
    if type(value) == "string" then return parse(value) end
  end))
end

local function pattern(text)
  local found = text ~= "" and glob.parse(text)
  if found then return found end
  return nil, "a pattern is UTF-8 of 1 to 1024 bytes"
end

--- An alternative name as it is compared: hosts have no case.
---@param name string
---@return string
function M.folded(name)
  return name:find "^DNS:" and name:lower() or name
end

local SAN_KINDS <const> = list.set(core.san.types())

--- A text that begins with the kind of an alternative name.
local function san_kind(text)
  local kind = text:match "^(%a%w*):."
  if SAN_KINDS[kind] then return kind end
  return nil, ("'%s' does not begin with a kind of name, as \"DNS:\"%s"):format(text:sub(1, 60),
    schema.hint(kind, SAN_KINDS))
end

--- A pattern, or one with parts of the request in it: `template`, the `patterns` of its texts by
--- their places there, and the place that its parts have.
local function wish(text, place, fold)
  local function folded(piece) return fold and piece:lower() or piece end
  local plain, problem = pattern(folded(text))
  if not plain or not text:find("${", 1, true) then return plain, problem end
  local pieces
  pieces, problem = template.parse(text)
  if not pieces then return nil, problem end
  local patterns = {}
  for i, piece in ipairs(pieces) do
    patterns[i] = type(piece) == "string" and glob.parse(folded(piece))
  end
  return { template = pieces, patterns = patterns, place = place, fold = fold }
end

local function san_wish(text)
  local kind, problem = san_kind(text)
  if not kind then return nil, problem end
  local place = places.SAN[kind]
  if not place and text:find("${", 1, true) then
    return nil, ("'%s': a template is for DNS:, IP:, email: and URI:"):format(text:sub(1, 60))
  end
  return wish(text, place, kind == "DNS")
end

--- A purpose as a certificate has it: its name, where it has one.
local function purpose(value)
  local accepted, problem = vocabulary.purpose(value)
  if not accepted then return nil, problem end
  local known = core.csrattrs.decode(assert(core.csrattrs.encode { accepted }))[1]
  return known.name or known.oid
end

local function left(value)
  local percent = type(value) == "string" and value:match "^(%d%d?)%%$"
  if percent then return { percent = tonumber(percent) } end
  return duration.field().accept(value)
end

local function attributes(field)
  local fields = {}
  for _, name in ipairs(M.ATTRIBUTES) do fields[name] = field(name) end
  return fields
end

local asks_for = attributes(function(name)
  return parsed("a pattern", function(text) return wish(text, places.of(name)) end)
end)
asks_for.san = parsed("a pattern", san_wish)

local TEMPLATES <const> = s.optional(s.list(s.string { max = 1024 }, { min = 1, single = true }))
local names = attributes(function() return TEMPLATES end)
names.san = s.optional(s.list(s.custom("a text, as \"DNS:host\"", function(value)
  if type(value) ~= "string" then return nil end
  local kind, problem = san_kind(value)
  return kind and value, problem
end), { min = 1, single = true }))
names.row = s.optional(s.custom("a test of policy.listed", function(value)
  if type(value) == "function" then return value end
end))
names.profile, names.ca = s.optional(s.string { max = 64 }), s.optional(s.string { max = 64 })
names.lifetime = s.optional(duration.field { min = 1 })

-- Facts by name: the patterns of what each must be.
local facts <const> = s.optional(s.map(s.list(s.custom("a pattern", function(value)
  if type(value) == "string" then return pattern(value) end
end), { min = 1, single = true }), { max = 64 }))

-- Claims are nested as JSON has them, and so are their patterns.
local claims
claims = s.map(s.custom("a pattern, or a table of claims", function(value)
  if type(value) == "table" and value[1] == nil then return claims.accept(value) end
  return several("a pattern", pattern).accept(value)
end), { max = 64 })

local function of_each(keys, field)
  local fields = {}
  for _, name in ipairs(keys) do fields[name] = field end
  return fields
end

-- As of request.history.
local ABOUT <const> = { "principal", "device", "subject", "key" }
local STATES <const> = { "issued", "active", "expired", "revoked", "renewed", "refused", "pending" }
local period <const> = s.optional(duration.field { min = 1 })
-- A history is counted to 1000: whether there are more than that, nobody can tell.
local number <const> = s.optional(s.integer { min = 0, max = 999 })
local bounds <const> = s.record { least = number, most = number, within = period }

local RATE_KEYS <const> = { "address", "network", "principal", "device", "subject", "key", "label" }

local shapes <const> = {
  principal = s.record {
    kind = s.optional(s.one_of { "certificate", "basic", "digest", "bearer", "challenge",
      "psk", "srp" }),
    is_own = s.optional(s.boolean()),
    anchors = s.optional(s.list(s.string { max = 64 }, { min = 1, single = true })),
    name = parsed("a pattern", pattern), eku = s.optional(several("the name of a usage", purpose)),
    credential = facts, claims = s.optional(claims),
  },
  asks_for = s.record(asks_for),
  key = s.record {
    type = s.optional(several("a kind of key", key_kinds.accept)),
    security_bits = s.optional(s.integer { min = 1, max = 512 }), reuse = s.optional(s.boolean()),
    is_known = s.optional(s.boolean()),
  },
  time = s.record { days = parsed("days", week.days), hours = parsed("hours", week.hours) },
  validity = s.record {
    left = s.optional(s.custom("a duration or a share, as \"30%\"", left)),
    expired = s.optional(duration.field()),
  },
  names = s.record(names),
  history = s.record(of_each(ABOUT, s.optional(s.record(of_each(STATES, s.optional(bounds)))))),
  revoked = s.record {
    of = s.list(s.one_of(ABOUT), { min = 1, single = true }), within = period,
    reason = s.optional(s.list(s.string { max = 64 }, { min = 1, single = true })),
  },
  rate = s.record {
    per = s.list(s.one_of(RATE_KEYS), { min = 1, max = #RATE_KEYS, single = true }),
    most = s.integer { min = 1, max = 1000000 },
    every = duration.field { min = 1, max = 31 * 86400 },
    name = s.optional(s.string { max = 100 }),
  },
}
local address <const> = parsed("a network", network.parse)

local EXAMPLES <const> = {
  principal = '{ kind = "basic" }', asks_for = '{ CN = "device-*" }', key = '{ type = "ec:P-256" }',
  history = '{ device = { active = { most = 4 } } }', revoked = '{ of = "device" }',
  rate = '{ per = "device", most = 5, every = "1m" }',
  time = '{ days = "mon-fri" }', validity = '{ left = "30d" }', names = '{ CN = "${device}" }',
  address = '{ "192.0.2.0/24" }',
}

-- What others call a field, and how it is written here.
local OTHER_FIELDS <const> = {
  bits = 'security_bits = 128, or type = "rsa:3072..16384"',
  dns = 'san = "DNS:..."', ip = 'san = "IP:..."', email = 'san = "email:..."',
  uri = 'san = "URI:..."', sans = 'san = "DNS:..."',
  subject = 'CN = "...", and the other attributes likewise',
}

--- A problem as a sentence.
local function sentence(name, path, problem)
  local other = problem:find "^unknown" and OTHER_FIELDS[path:lower()]
  if other then problem = "unknown: write " .. other end
  return ("policy.%s: %s%s"):format(name, path ~= "" and path .. ": " or "", problem)
end

--- Check what a function of the kit was called with.
---@param name string "principal"
---@param value any
---@return table|nil options as they are to be used
---@return string|nil problem the first, as a sentence
function M.check(name, value)
  local shape = shapes[name] or address
  local is_plain = type(value) == "table" and getmetatable(value) == nil
  if not is_plain and not (name == "address" and type(value) == "string") then
    return nil, ("policy.%s takes a table, as %s, not %s"):format(name, EXAMPLES[name],
      schema.kind(value))
  elseif is_plain and next(value) == nil then
    return nil, ("policy.%s: nothing is stated: write policy.%s %s, say"):format(name, name,
      EXAMPLES[name])
  end
  local result, problems = schema.check(shape, value)
  if result then return result end
  return nil, sentence(name, problems[1].path, problems[1].problem)
end

return M
