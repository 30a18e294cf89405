--- What `help(x)` and `source(x)` of the REPL say: the annotation of a function, a module, an
--- object or a field, from where lest-lua(3) and lest-policy(5) have it, and its place.
---
---   help.text(lest.key.generate)     help.text "request.principal"     help.place(lest.http.get)
local annotations = require "lest.tool.manual.annotations"
local api = require "lest.tool.manual.api"
local core = require "lest.core"
local list = require "lest.base.list"
local terminal = require "lest.base.terminal"
local text = require "lest.tool.manual.text"

local M = {}

local WIDTH <const> = 80
-- Of a word that many classes have.
local FIELDS_MAX <const> = 12

---@class lest.repl.subject
---@field blocks lest.manual.block[]
---@field place? string
---@field parameters? lest.manual.value[] of a function

-- Where a chunk is, by its source: "@lest/http.lua" where the build has compiled it.
local function path_of(source)
  local path = source:match "^@(.*)$"
  if not path or core.system.stamp(path) then return path end
  local module = path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  return package.searchpath(module, package.path) or path
end

local function place_of(module, line)
  local path = package.searchpath(module, package.path)
  return path and ("%s:%d"):format(path, line) or nil
end

-- The last word of a module's name.
local function module_of(path)
  return path:gsub("/init%.lua$", ""):gsub("%.lua$", ""):match "[^/]*$"
end

-- How a function of a file is called: "http." before M.get, "client:" before Client:enroll.
local function prefix_of(fn, path)
  local owner, sign = fn.defined:match "^([%w_]+)([.:])[%w_]+$"
  if not owner then return "" end
  if owner ~= "M" then return owner:lower() .. sign end
  return module_of(path) .. "."
end

local function call(prefix, fn, place)
  return { blocks = { api.call(prefix, fn) }, parameters = fn.parameters, place = place }
end

local function of_lua(fn)
  local info = debug.getinfo(fn, "S")
  local path = path_of(info.source)
  if not path then
    return { blocks = {}, place = ("line %d of what was typed"):format(info.linedefined) }
  end
  local place = ("%s:%d"):format(path, info.linedefined)
  local bytes = core.file.read(path)
  local found = bytes and annotations.read(bytes).by_line[info.linedefined]
  if not found then return { blocks = {}, place = place } end
  if found.defined == "" then found.name = module_of(path) end
  return call(prefix_of(found, path), found, place)
end

-- The methods of a class in C are an upvalue of its metatable's __index.
local function methods_of(class)
  local meta = debug.getregistry()[class]
  local index = type(meta) == "table" and rawget(meta, "__index")
  local methods = type(index) == "function" and select(2, debug.getupvalue(index, 1))
  return type(methods) == "table" and methods or {}
end

local function of_core(fn)
  local classes, homes = api.classes()
  for name, class in pairs(classes) do
    local module = name:match "^lest%.core%.([%w_]+)$"
    local functions = module and type(core[module]) == "table" and core[module] or {}
    for _, each in ipairs(class.functions) do
      if rawget(functions, each.name) == fn then
        return call(("lest.%s."):format(module), each, place_of(homes[name], each.line))
      end
    end
    local methods = methods_of(name)
    for _, each in ipairs(class.methods) do
      if methods[each.name] == fn then
        return call(name:match "[%w_]+$" .. ":", each, place_of(homes[name], each.line))
      end
    end
  end
end

local function add_calls(blocks, prefix, functions)
  table.sort(functions, function(a, b) return a.name < b.name end)
  for _, fn in ipairs(functions) do table.insert(blocks, api.call(prefix, fn)) end
end

local function of_class(name)
  local classes, homes = api.classes()
  local class = classes[name]
  if not class then return nil end
  local blocks = { { heading = name } }
  api.add_class(blocks, name, name:match "[%w_]+$")
  add_calls(blocks, name:gsub("^lest%.core%.", "lest.") .. ".",
    table.move(class.functions, 1, #class.functions, 1, {}))
  local options = name .. ".options" -- of one that is called to make an object, as lest.client
  return { blocks = blocks, place = place_of(homes[name], class.line),
    parameters = classes[options] and { { type = options } } or nil }
end

local function of_module(name)
  local path = package.searchpath(name, package.path)
  if not name:find "^lest%." or not path then return nil end
  local blocks, functions = api.blocks(annotations.of(name).head), {}
  table.insert(blocks, 1, { heading = name })
  if api.class(name) then api.add_class(blocks, name, name:match "[%w_]+$") end
  for _, fn in pairs(api.functions(name)) do
    functions[#functions + 1] = fn
  end
  add_calls(blocks, name:match "[%w_]+$" .. ".", functions)
  return { blocks = blocks, place = path .. ":1" }
end

local function of_object(value)
  if core.error.is(value) then return of_class "lest.error" end
  for name, module in pairs(package.loaded) do
    if rawequal(module, value) then
      return name == "lest" and of_class "lest" or of_module(name)
    end
  end
  for name in pairs(api.classes()) do
    local module = name:match "^lest%.core%.([%w_]+)$"
    if module and rawequal(core[module], value) then return of_class(name) end
  end
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and of_class(name) or nil
end

-- The class in a type, as that of the list in "lest.cert[]".
local function class_in(type)
  for name in type:gmatch "lest[%w_.]*" do
    if api.class(name) then return name end
  end
end

-- A field or a function of a class, and the class that a path goes on with.
local function member(name, word)
  local class, homes = api.class(name), select(2, api.classes())
  for _, field in ipairs(class.fields) do
    if field.name == word then
      local blocks = { { heading = name } }
      api.add_fields(blocks, { fields = { field } })
      return { blocks = blocks, place = place_of(homes[name], class.line) }, class_in(field.type)
    end
  end
  for sign, calls in pairs { [":"] = class.methods, ["."] = class.functions } do
    for _, fn in ipairs(calls) do
      if fn.name == word then
        local prefix = name:gsub("^lest%.core%.", "lest.") .. sign
        return call(prefix, fn, place_of(homes[name], fn.line))
      end
    end
  end
end

-- The class that a path begins with: the longest name of one, "request" for "lest.request".
local function first_class(path)
  local at = #path + 1
  while at do
    local name = path:sub(1, at - 1)
    for _, each in ipairs { name, "lest." .. name } do
      if api.class(each) then return each, path:sub(at) end
    end
    at = name:find "[.:][^.:]*$"
  end
end

local function of_path(path)
  local class, rest = first_class(path)
  if not class then return nil end
  local found = of_class(class)
  for word in rest:gmatch "[%w_]+" do
    if not class then return nil end
    found, class = member(class, word)
    if not found then return nil end
  end
  return found
end

-- A word that stands alone: what every class has by that name.
local function of_word(word)
  local blocks, count = {}, 0
  for _, name in ipairs(list.sorted_keys((api.classes()))) do
    local found = member(name, word)
    count = count + (found and 1 or 0)
    if found and count <= FIELDS_MAX then table.move(found.blocks, 1, #found.blocks,
      #blocks + 1, blocks) end
  end
  local policy = api.functions("lest.policy")[word]
  if policy then table.insert(blocks, 1, api.call("policy.", policy)) end
  if count > FIELDS_MAX then
    table.insert(blocks, ("... and of %d more classes"):format(count - FIELDS_MAX))
  end
  return blocks[1] and { blocks = blocks } or nil
end

local function of_text(path)
  if path:find "^policy[.:]" then
    local name = path:match "^policy[.:]([%w_]+)$" or ""
    local functions, homes = api.functions "lest.policy"
    local fn = functions[name]
    return fn and call("policy.", fn, place_of(homes[name], fn.line))
  end
  if path:find "^[%w_]+$" and not api.class("lest." .. path) and not api.class(path) then
    return of_word(path)
  end
  return of_path(path)
end

--- What is known of a value, or of what a text names; nil where nothing is.
---@param value any
---@return lest.repl.subject?
function M.find(value)
  if type(value) == "function" then
    if debug.getinfo(value, "S").what == "C" then return of_core(value) end
    return of_lua(value)
  elseif type(value) == "string" then
    return of_text(value)
  elseif type(value) == "table" or type(value) == "userdata" then
    return of_object(value)
  end
end

--- The annotation of a value.
---@param value any
---@return string
function M.text(value)
  local found = M.find(value)
  if not found then return "nothing is written about that; help() says what can be asked" end
  if not found.blocks[1] then return "it has no annotation; it is in " .. found.place end
  local lines = text.blocks(found.blocks, WIDTH) .. "\n"
  return (lines:gsub("([^\n]*)\n", function(line) return terminal.safe(line) .. "\n" end)
    :gsub("\n$", ""))
end

--- Where a value is made, or described if it is of C.
---@param value any
---@return string
function M.place(value)
  local found = M.find(value)
  return terminal.safe(found and found.place or "its place is not known")
end

return M
