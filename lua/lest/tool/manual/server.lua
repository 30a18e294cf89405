--- lest-server.lua(5): the configuration, from its shape and the meaning of each key.
local list = require "lest.base.list"
local meaning = require "lest.server.config.meaning"
local shape = require "lest.server.config.shape"
local words = require "lest.tool.manual.shape"

-- What belongs together at the top, in the order of the page; what is not named here follows.
local ORDER <const> = { "listen", "tls", "ledger", "user", "authority_user", "workers", "ca", "cas",
  "anchors", "crls", "crl_required", "profiles", "labels", "limits" }

--- Keys in their order: those of ORDER at the top, else those that are required come first.
local function ordered(fields, is_top)
  local rank = {}
  for i, key in ipairs(is_top and ORDER or {}) do rank[key] = i - #ORDER end
  local keys = list.sorted_keys(fields)
  for i, key in ipairs(keys) do
    rank[key] = rank[key] or i + (not is_top and fields[key].optional and #keys or 0)
  end
  table.sort(keys, function(a, b) return rank[a] < rank[b] end)
  return keys
end

local function facts_of(field)
  local default = words.default(field)
  return words.type(field) .. (not field.optional and "; required" or default
    and "; default " .. default or "")
end

--- An item for each key; a table gets a section of its own.
local function items(fields, texts, sections)
  local blocks = {}
  for _, key in ipairs(ordered(fields, fields == shape.fields)) do
    local field, text = fields[key], texts[key]
    local inner = words.fields(field)
    if inner then
      local is_map = (field.inner or field).element ~= nil
      sections[#sections + 1] = { key = key, fields = inner, texts = text, is_map = is_map }
      blocks[#blocks + 1] = { term = ("`%s` (%s%s)"):format(key,
        is_map and "a table for each name" or "a table", field.optional and "" or "; required"),
        ("%s See %s below."):format(text[1], key:upper()) }
    else
      local any = words.words(field)
      blocks[#blocks + 1] = { term = ("`%s` (%s)"):format(key, facts_of(field)),
        any and ("%s Any of %s."):format(text, any) or text }
    end
  end
  return blocks
end

--- The section of a table. One that is as another says so.
local function section_of(each, before)
  local blocks = { title = each.key:upper(), { code = each.is_map
    and ("%s = { NAME = { ... }, ... }"):format(each.key) or each.key .. " = { ... }" } }
  if before[each.fields] then
    table.insert(blocks, ("Each has the keys of %s."):format(before[each.fields]))
  else
    before[each.fields] = each.key:upper()
    for _, block in ipairs(items(each.fields, each.texts, {})) do table.insert(blocks, block) end
  end
  return blocks
end

local EXAMPLE <const> = [[
return {
  listen = { "[::]:8443" },
  ledger = "ledger/ledger.db",
  tls = { cert = "server.pem", key = "server.key" },
  ca = { cert = "ca.pem", key = "ca.key" },
  user = "lest", authority_user = "lest-ca",
  anchors = { own = "ca.pem" },
  profiles = { device = { lifetime = "90d", keys = { "ec:P-256" } } },
  labels = {
    default = { policy = "policy.lua", profile = "device",
      auth = { "certificate", "basic" } },
  },
}]]

local page <const> = {
  name = "lest-server.lua", section = 5, manual = "File Formats",
  summary = "configuration of an EST server",
  { title = "DESCRIPTION",
    "The configuration of `lest serve` is a Lua file that returns a table. `lest ca init` writes "
      .. "one with comments; `lest serve --check` says whether a server would start with it, and "
      .. "SIGHUP has a running one read it again.",
    "Paths are relative to the file's folder. A duration is a number of seconds or a text with "
      .. "units: `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"90d\"`, `\"1y\"`, `\"1h30m\"`. A size is a "
      .. "number of bytes, or `\"64KiB\"`, `\"10MiB\"`. No other keys are taken: a mistake is an "
      .. "error that names its line, the key and the nearest right word.",
  },
}

local sections, before = {}, {}
local top = items(shape.fields, meaning, sections)
top.title = "KEYS"
table.insert(page, top)
for _, each in ipairs(sections) do table.insert(page, section_of(each, before)) end
table.insert(page, { title = "EXAMPLE", { code = EXAMPLE } })
table.insert(page, { title = "SEE ALSO",
  "`lest-serve`(1), `lest-ca`(1), `lest-policy`(5); OPERATING.md, which says what a server needs "
    .. "over the years" })

return page
