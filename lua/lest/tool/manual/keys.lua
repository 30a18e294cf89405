--- The sections of a page about the keys of a configuration, from its shape and what each means.
---
---   for _, section in ipairs(keys.sections(shape.fields, meaning, { "listen" })) do ... end
local list = require "lest.base.list"
local words = require "lest.tool.manual.shape"

local M = {}

-- Keys in their order: those of `order` at the top, else those that are required come first.
local function ordered(fields, order)
  local rank = {}
  for i, key in ipairs(order or {}) do rank[key] = i - #order end
  local keys = list.sorted_keys(fields)
  for i, key in ipairs(keys) do
    rank[key] = rank[key] or i + (not order and fields[key].optional and #keys or 0)
  end
  table.sort(keys, function(a, b) return rank[a] < rank[b] end)
  return keys
end

local function facts_of(field)
  local default = words.default(field)
  return words.type(field) .. (not field.optional and "; required" or default
    and "; default " .. default or "")
end

-- How tables stand in each other: by names, in a list, or one alone.
local KINDS <const> = {
  map = { words = "a table for each name", code = "%s = { NAME = { ... }, ... }" },
  list = { words = "a list of tables", code = "%s = { { ... }, ... }" },
  record = { words = "a table", code = "%s = { ... }" },
}

local function kind_of(field)
  field = field.inner or field
  if not field.element then return KINDS.record end
  return field.wanted:find "^a list" and KINDS.list or KINDS.map
end

-- An item for each key; a table gets a section of its own.
local function items(fields, texts, sections, order)
  local blocks = {}
  for _, key in ipairs(ordered(fields, order)) do
    local field, text = fields[key], texts[key]
    local inner = words.fields(field)
    if inner then
      local kind = kind_of(field)
      sections[#sections + 1] = { key = key, fields = inner, texts = text, kind = kind }
      blocks[#blocks + 1] = { term = ("`%s` (%s%s)"):format(key, kind.words,
        field.optional and "" or "; required"),
        ("%s See %s below."):format(text[1], key:upper()) }
    else
      local any = words.words(field)
      blocks[#blocks + 1] = { term = ("`%s` (%s)"):format(key, facts_of(field)),
        any and ("%s Any of %s."):format(text, any) or text }
    end
  end
  return blocks
end

-- The section of a table. One that is as another says so. Those of tables in it come behind.
local function section_of(each, before, sections)
  local blocks = { title = each.key:upper(), { code = each.kind.code:format(each.key) } }
  if before[each.fields] then
    table.insert(blocks, ("Each has the keys of %s."):format(before[each.fields]))
  else
    before[each.fields] = each.key:upper()
    for _, block in ipairs(items(each.fields, each.texts, sections)) do
      table.insert(blocks, block)
    end
  end
  return blocks
end

--- KEYS, and a section for each table.
---@param fields table<string, lest.schema.shape>
---@param meaning table<string, string|table>
---@param order string[] what belongs together at the top; what is not named here follows
---@return lest.manual.section[]
function M.sections(fields, meaning, order)
  local waiting, before = {}, {}
  local top = items(fields, meaning, waiting, order)
  top.title = "KEYS"
  local sections, i = { top }, 1
  while waiting[i] do
    sections[#sections + 1] = section_of(waiting[i], before, waiting)
    i = i + 1
  end
  return sections
end

return M
