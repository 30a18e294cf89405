--- What an identity remembers, as its state.json has it: read as a stranger's, for it may be of
--- another version, or of a disk that forgets. An entry that is not as this version writes it is
--- none; the others count.
---
---   local memory = memories.accept(json.decode(text)) --> nil: nothing is remembered
local schema = require "lest.base.schema"

local M = {}

local s = schema
-- Beyond what a file of state may have.
local TEXT_MAX <const>, STEPS_MAX <const> = 256 * 1024, 256
-- A time that a certificate can have: to the end of the year 9999.
local TIME_MAX <const> = 253402300799

local text <const> = s.string { max = TEXT_MAX, any_bytes = true }
local time <const> = s.integer { max = TIME_MAX }
local count <const> = s.integer { max = 1 << 53 }
local flag <const> = s.boolean()
local share <const> = s.custom("a number from 0 to 1", function(value)
  return type(value) == "number" and value >= 0 and value <= 1 and value or nil
end)

local ENTRIES <const> = {
  place = share, -- in the window behind `renew_at`
  current = text, trust = text, way = text, operator = text,
  refused = text, replaced = flag,
  issued = time, failing_since = time,
  failures = count,
  clock_offset = s.integer { min = -TIME_MAX, max = TIME_MAX },
  retry = s.record { set = time, at = time, asked = s.optional(time), offline = s.optional(flag) },
  pending = s.record { since = time },
  error = s.record { at = time, code = text, message = text, exit_code = s.optional(count) },
  anchors = s.record { at = time, ends = s.optional(time) },
  window = s.custom("a window", function(value)
    local is_one = type(value) == "table" and share.accept(value.from) and share.accept(value.to)
      and value.from <= value.to
    return is_one and { from = value.from, to = value.to } or nil
  end),
  carried = s.record { at = s.optional(time), way = s.optional(text),
    refused = s.optional(s.map(flag, { max = 8 })) },
  deploy = s.record { newest = count, applied = count, former = s.optional(count),
    done = s.map(flag, { max = STEPS_MAX }), failures = count, retry_at = s.optional(time),
    problem = s.optional(text) },
}

--- What of it can be believed.
---@param raw any
---@return table|nil memory nil: it is none at all
function M.accept(raw)
  if type(raw) ~= "table" then return nil end
  local memory = {}
  for name, entry in pairs(ENTRIES) do
    if raw[name] ~= nil then memory[name] = entry.accept(raw[name]) end
  end
  return next(memory) and memory or nil
end

return M
