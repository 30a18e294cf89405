--- Functions and classes as blocks of a page, from their annotations.
local annotations = require "lest.tool.manual.annotations"

local M = {}

-- Where classes are described; the last one that has a class wins.
local SOURCES <const> = { "lest.policy.verdicts", "lest.policy.ready", "lest.policy.rules",
  "lest.policy.tests", "lest.policy.asks_for", "lest.policy.past", "lest.policy.names",
  "lest.policy.inventory", "lest.policy.inventories", "lest.policy",
  "lest.client", "lest.http", "lest.task", "lest.all",
  "lest.retry", "lest.url",
  "lest.log", "lest.testing", "lest.client.trust", "lest.client.trace",
  "lest.client.connection", "lest.explanation", "lest.probe",
  "lest.meta.core", "lest.meta.policy", "lest.meta.lest", "lest.tool.repl.desk" }

-- A module that gives what stands in other files too.
local PARTS <const> = { ["lest.policy"] = { "verdicts", "ready", "rules", "tests", "asks_for",
  "past", "logic", "names", "inventories" } }

--- The functions of a public module, by name.
---@param module string
---@return table<string, lest.manual.function> functions
---@return table<string, string> homes the module of which file each is
function M.functions(module)
  local found, home = {}, {}
  local function add(from)
    for name, fn in pairs(annotations.of(from).functions) do found[name], home[name] = fn, from end
  end
  add(module)
  for _, part in ipairs(PARTS[module] or {}) do add(module .. "." .. part) end
  return found, home
end

local classes, homes

--- Every class that has a description, by its name, and the module that describes it.
---@return table<string, lest.manual.class> classes
---@return table<string, string> homes
function M.classes()
  if not classes then
    classes, homes = {}, {}
    for _, source in ipairs(SOURCES) do
      for each, class in pairs(annotations.of(source).classes) do
        classes[each], homes[each] = class, source
      end
    end
  end
  return classes, homes
end

--- A class by its name.
---@param name string
---@return lest.manual.class|nil
function M.class(name)
  return (M.classes())[name]
end

--- A comment's text as blocks: paragraphs, and code where lines are indented.
---@param text string
---@return lest.manual.block[]
function M.blocks(text)
  local blocks, paragraph = {}, {}
  local function finish()
    if paragraph[1] then blocks[#blocks + 1] = table.concat(paragraph, " ") end
    paragraph = {}
  end
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local code = line:match "^  (.*)$"
    if code then
      finish()
      local last = blocks[#blocks]
      if type(last) == "table" then last.code = last.code .. "\n" .. code
      else blocks[#blocks + 1] = { code = code } end
    elseif line == "" then
      finish()
    else
      paragraph[#paragraph + 1] = line
    end
  end
  finish()
  return blocks
end

local MANY <const> = { any = "values", string = "strings", integer = "integers",
  ["lest.cert"] = "certificates" }

-- Types are written for editors; a page says what a person writes.
local function readable(type)
  return (type:gsub("|", " or "):gsub("%f[%w]([%w_.]+)%[%]%[%]", function(each)
    return "a list of lists of " .. (MANY[each] or each)
  end):gsub("%f[%w]([%w_.]+)%[%]", function(each)
    return "a list of " .. (MANY[each] or each)
  end):gsub("%f[%w]lest%.name%f[^%w_.]", "a name"))
end

local function facts_of(value)
  return ("(%s%s)"):format(readable(value.type), value.optional and ", optional" or "")
end

-- A field that is a function is shown as its call.
local function term_of(field)
  local arguments = field.type:match "^fun(%b())"
  if not arguments then return ("`%s` %s"):format(field.name, facts_of(field)) end
  local names = {}
  for name, optional in arguments:gsub("%b<>", ""):gsub("%b{}", ""):gmatch "([%w_.]+)(%??):" do
    names[#names + 1] = optional == "?" and "[" .. name .. "]" or name
  end
  return ("`%s`(%s)"):format(field.name, table.concat(names, ", "))
end

--- The items of a class's fields.
---@param blocks lest.manual.block[] to add to
---@param class lest.manual.class
function M.add_fields(blocks, class)
  for _, field in ipairs(class.fields) do
    table.insert(blocks, { term = term_of(field), field.text ~= "" and field.text or nil })
  end
end

-- The classes of ours in a type, of which the fields are options and have no section.
local function options_in(type)
  local name = type:match "lest%.policy%.[%w_]+" or type:match "lest%.[%w_.]+%.options"
    or type:match "lest%.client%.renewal" or type:match "lest%.client%.enrollment"
  return name and M.class(name)
end

-- Whether a type says what a table has: it is one, or the name of one that is told elsewhere.
local function has_fields(type)
  if type:find "^{" then return true end
  for name in type:gmatch "lest%.[%w_.]+" do
    local class = M.class(name)
    if class and #class.fields > 0 and #class.methods == 0 then return true end
  end
  return false
end

local function shown(value)
  local text = value.name == "err" and value.text
    or value.name .. (value.name ~= "" and value.text ~= "" and ", " or "") .. value.text
  return readable(value.type) .. (text ~= "" and " (" .. text .. ")" or "")
end

-- "X, or nil and an error" is what most of what may fail returns.
local function returns_of(fn)
  local first, second = fn.returns[1], fn.returns[2]
  if not first then return nil end
  if first.optional and second and second.type == "lest.error" then
    return ("Returns %s, or nil and an error%s."):format(shown(first),
      second.text ~= "" and " (" .. second.text .. ")" or "")
  end
  local words = {}
  for i, value in ipairs(fn.returns) do
    words[i] = shown(value) .. (value.optional and " or nil" or "")
  end
  return "Returns " .. table.concat(words, ", and ") .. "."
end

local function call_of(prefix, fn)
  local names = {}
  for i, parameter in ipairs(fn.parameters) do
    names[i] = parameter.optional and "[" .. parameter.name .. "]" or parameter.name
  end
  return ("`%s%s`(%s)"):format(prefix, fn.name:match "[%w_]+$", table.concat(names, ", "))
end

--- The item of one function. Options of a class that `seen` has are not told again.
---@param prefix string "policy."
---@param fn lest.manual.function
---@param seen? table<table, string> the function that told a class
---@return lest.manual.block
function M.call(prefix, fn, seen)
  local block = { term = call_of(prefix, fn), table.unpack(M.blocks(fn.text)) }
  for _, parameter in ipairs(fn.parameters) do
    local options = options_in(parameter.type)
    local item = { term = ("`%s` %s"):format(parameter.name, facts_of(parameter)),
      parameter.text ~= "" and parameter.text or nil }
    if options and seen and seen[options] then
      item[1] = ("As of `%s`."):format(seen[options])
    elseif options then
      M.add_fields(item, options)
      if seen then seen[options] = prefix .. fn.name:match "[%w_]+$" end
    end
    if options or parameter.text ~= "" or has_fields(parameter.type) then
      table.insert(block, item)
    end
  end
  table.insert(block, returns_of(fn))
  return block
end

--- What an object of a class has: its fields, then its methods.
---@param blocks lest.manual.block[] to add to
---@param name string of the class
---@param called string what it is called in the page: "cert"
function M.add_class(blocks, name, called)
  local class = assert(M.class(name), name)
  for _, block in ipairs(M.blocks(class.text)) do table.insert(blocks, block) end
  M.add_fields(blocks, class)
  for _, method in ipairs(class.methods) do table.insert(blocks, M.call(called .. ":", method)) end
end

return M
