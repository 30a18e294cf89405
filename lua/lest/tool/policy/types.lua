--- The types of what a policy sees, from the annotations that the manual and editors have too.
---
---   types.field("lest.request", "principal")   --> "lest.request.principal"
---   types.has("lest.request", "principle")      --> false, { principal = true, ... }
---
--- A type is the name of a class, or "module:lest.policy", with "[]" behind for a list of them.
local annotations = require "lest.tool.manual.annotations"
local api = require "lest.tool.manual.api"

local M = {}

local MODULES <const> = { "lest", "lest.policy", "lest.http", "lest.task", "lest.json", "lest.url",
  "lest.duration", "lest.log", "lest.retry" }

--- The type of a module, nil for one that is not public.
---@param name string
---@return string|nil
function M.module(name)
  for _, each in ipairs(MODULES) do
    if each == name then return "module:" .. name end
  end
end

-- A type as an annotation has it, as one of ours; nil: nothing is known of it.
local function known(type)
  local element = type:match "^(.-)%[%]$"
  if element then
    local inner = known(element)
    return inner and inner .. "[]"
  end
  local module = type:match "^lest%.module%.(%w+)$"
  if module then return M.module("lest." .. module) end
  return api.class(type) and type or nil
end

local VERDICTS <const> = { approve = true, consent = true, reject = true, pending = true,
  unavailable = true }
local declared = 0

-- Names with their types (false: unknown), and whether there may be others.
local shapes <const> = {}

local function add_class(into, class)
  for _, field in ipairs(class and class.fields or {}) do
    if field.name:find "^%[" then into.is_open = into.is_open or field.name ~= "[integer]"
    else into.names[field.name] = known(field.type) or false end
  end
  for _, kind in ipairs { "methods", "functions" } do
    for _, each in ipairs(class and class[kind] or {}) do into.names[each.name] = false end
  end
end

local function shape_of(type)
  if shapes[type] ~= nil then return shapes[type] end
  local module = type:match "^module:(.*)$"
  local shape = { names = {}, is_open = false, called = module or type }
  if module == "lest" then
    add_class(shape, api.class "lest")
  elseif module then
    for name in pairs(api.functions(module)) do shape.names[name] = false end
    add_class(shape, annotations.of(module).module)
  elseif api.class(type) then
    add_class(shape, api.class(type))
  else
    shape = false
  end
  shapes[type] = shape
  return shape
end

--- A type of what a policy declares itself, as its options.
---@param called string "options"
---@param names table<string, false>
---@return string type
function M.declare(called, names)
  declared = declared + 1
  local type = ("declared:%d"):format(declared)
  shapes[type] = { names = names, is_open = false, called = called }
  return type
end

--- The names of the options of a verdict's function, as policy.approve; nil for other functions,
--- which say what is wrong with theirs when they are called, which is when a policy is loaded.
---@param name string "approve"
---@return table<string, any>|nil
function M.verdict_options(name)
  if not VERDICTS[name] then return nil end
  local parameter = api.functions "lest.policy"[name].parameters[1]
  local shape = shape_of(parameter.type:match "lest%.policy%.[%w_]+")
  return shape and shape.names
end

--- The type of what a function of the kit gives; nil where nothing is known of it.
---@param name string "csv"
---@return string|nil
function M.result(name)
  local fn = api.functions "lest.policy"[name]
  local result = fn and fn.returns[1]
  return result and known(result.type)
end

--- The type of a field; nil where nothing is known of it.
---@param type string
---@param name string
---@return string|nil
function M.field(type, name)
  local shape = shape_of(type)
  return shape and shape.names[name] or nil
end

--- Whether a type has a field or a method.
---@param type string
---@param name string
---@return boolean
---@return table<string, any> names that it has
---@return string called as a person calls it: "request.principal"
function M.has(type, name)
  local shape = shape_of(type)
  if not shape or shape.is_open or next(shape.names) == nil then return true, {}, type end
  return shape.names[name] ~= nil, shape.names,
    (shape.called:gsub("^lest%.request", "request"):gsub("^lest%.event", "event")
      :gsub("^lest%.(%l+)$", "%1")
      :gsub("^lest%.policy%.(%l+)$", "%1"))
end

--- The type of what a list has in it.
---@param type string|nil
---@return string|nil
function M.element(type)
  return type and type:match "^(.*)%[%]$"
end

--- Whether a function of the kit takes functions of a request, or lists of them, as an argument.
---@param name string "when"
---@param i integer the argument
---@return boolean
function M.takes_request(name, i)
  local fn = api.functions "lest.policy"[name]
  local parameter = fn and fn.parameters[i]
  return parameter ~= nil and parameter.type:find("fun(request: lest.request)", 1, true) ~= nil
end

--- What a hook is called with; nil for what is no hook.
---@param hook string "enroll"
---@return string|nil
function M.hook_argument(hook)
  for _, field in ipairs(api.class "lest.policy.hooks".fields) do
    if field.name == hook then return known(field.type:match "^fun%([%w_]+: ([%w_.]+)" or "") end
  end
end

return M
