--- Which expression of a policy's text has which type: what its hooks, rules and tests are called
--- with, followed through locals, fields, loops and calls of the file's own functions.
---
---   local flow = flow.new(source)
---   flow:type_of(node)          --> "lest.request.principal", or nil where nothing is certain
---
--- What is not certain has no type, so that no finding is made of a guess.
local types = require "lest.tool.policy.types"

local M = {}

---@class lest.policy.flow
---@field is_new boolean whether this pass has found a type
local Flow = {}
Flow.__index = Flow

local PASSES_MAX <const> = 20

--- Call visit(node) for every node.
---@param node table
---@param visit fun(node: table)
function M.walk(node, visit)
  if node.tag then visit(node) end
  for _, child in ipairs(node) do
    if type(child) == "table" then M.walk(child, visit) end
  end
end

--- The text of a node that is a string.
---@param node table|nil
---@return string|nil
function M.text(node)
  return node and node.tag == "String" and type(node[1]) == "string" and node[1] or nil
end

-- The only value that a variable is ever given; nil for arguments, loops and others.
local function only_value(var)
  if not var or var.type == "arg" or #var.values ~= 1 then return nil end
  local value = var.values[1]
  -- Of `local a, b = f()` only the first is the call's first result.
  local item = value.item
  if item and item.lhs and item.rhs and item.lhs[#item.rhs + 1] and value.secondaries
    and value ~= value.secondaries[1] then
    return nil
  end
  return value.node
end

--- What an expression is where it is a name: the only value of its variable.
local function resolve(node)
  local seen = 0
  while node and node.tag == "Id" and seen < 20 do
    local value = only_value(node.var)
    if not value then break end
    node, seen = value, seen + 1
  end
  return node
end

local OPERATORS <const> = {
  ["and"] = function(self, node, depth) return self:type_of(node[3], depth) end,
  ["or"] = function(self, node, depth)
    local left, right = self:type_of(node[2], depth), self:type_of(node[3], depth)
    return left == right and left or nil
  end,
}

local EXPRESSIONS <const> = {
  Paren = function(self, node, depth) return self:type_of(node[1], depth) end,
  Id = function(self, node, depth)
    local var = node.var
    if not var then return nil end
    local given = self.given[var]
    if given ~= nil then return #var.values <= 1 and given or nil end
    local value = only_value(var)
    return value and self:type_of(value, depth) or nil
  end,
  Index = function(self, node, depth)
    local base, key = self:type_of(node[1], depth), M.text(node[2])
    if not base then return nil end
    if key then return types.field(base, key) end
    return types.element(base)
  end,
  Call = function(self, node)
    local name = node[1].tag == "Id" and node[1][1] == "require" and not node[1].var
      and M.text(node[2])
    if name then return types.module(name) end
    local made = self:kit_call(node)
    return made and types.result(made) or self:options_type(node)
  end,
  Op = function(self, node, depth)
    local operator = OPERATORS[node[1]]
    return operator and operator(self, node, depth)
  end,
}

--- The type of an expression.
---@param node table
---@param depth? integer
---@return string|nil
function Flow:type_of(node, depth)
  depth = (depth or 0) + 1
  local expression = EXPRESSIONS[node.tag]
  if not expression or depth > 50 then return nil end
  return expression(self, node, depth)
end

-- An argument is of a type: where two calls differ, of none.
function Flow:give(var, type)
  local before = self.given[var]
  if before == false or before == type then return end
  self.given[var], self.is_new = before == nil and type, true
end

function Flow:give_argument(fn, i, type)
  local argument = fn[1][i]
  if argument and argument.tag == "Id" and argument.var then
    self:give(argument.var, type)
  end
end

--- What a policy uses as a rule, a test or a hook: functions, and what is made of them.
function Flow:use(node, type, depth)
  node = resolve(node)
  if not node or depth > 10 then return end
  if node.tag == "Function" then
    self:give_argument(node, 1, type)
  elseif node.tag == "Table" then
    for _, each in ipairs(node) do
      self:use(each.tag == "Pair" and each[2] or each, type, depth + 1)
    end
  elseif node.tag == "Index" then
    self:use_field(node, type, depth)
  end
end

-- M.enroll, where M is a table of this file.
function Flow:use_field(node, type, depth)
  local base, key = resolve(node[1]), M.text(node[2])
  if not base or base.tag ~= "Table" or not key then return end
  for _, each in ipairs(base) do
    if each.tag == "Pair" and M.text(each[1]) == key then self:use(each[2], type, depth + 1) end
  end
  for _, set in ipairs(self.sets) do
    if set.name == key and resolve(set.base) == base then
      self:use(set.value, type, depth + 1)
    end
  end
end

-- What the file returns: a hook, or a table of them.
function Flow:use_result(node)
  local result = node and resolve(node)
  if not result then return end
  if result.tag ~= "Table" then return self:use(result, types.hook_argument "enroll", 0) end
  local function use(name, value)
    local type = types.hook_argument(name)
    if type then self:use(value, type, 0) end
  end
  for _, each in ipairs(result) do
    if each.tag == "Pair" and M.text(each[1]) then use(each[1][1], each[2]) end
  end
  for _, set in ipairs(self.sets) do
    if resolve(set.base) == result then use(set.name, set.value) end
  end
end

-- What policy.options { ... } gives has the names that are declared there.
function Flow:options_type(node)
  if self.options[node] ~= nil then return self.options[node] end
  self.options[node] = false -- while it is looked at
  local declared = self:kit_call(node) == "options" and node[2]
  if declared and declared.tag == "Table" then
    local names = {}
    for _, each in ipairs(declared) do
      local name = each.tag == "Pair" and M.text(each[1])
      if not name then return false end
      names[name] = false
    end
    self.options[node] = types.declare("options", names)
  end
  return self.options[node]
end

--- Whether a node is a call of a function of lest.policy, and of which.
---@param node table
---@return string|nil name
function Flow:kit_call(node)
  if node.tag ~= "Call" or node[1].tag ~= "Index" then return nil end
  return self:type_of(node[1][1]) == "module:lest.policy" and M.text(node[1][2]) or nil
end

-- What a call gives a function of this file.
function Flow:each_argument(call, visit)
  local fn = resolve(call[1])
  for i = 2, fn and fn.tag == "Function" and #call or 0 do
    visit(fn, i - 1, self:type_of(call[i]))
  end
end

-- Who is also called with what has no type takes anything.
function Flow:doubt()
  self.is_new = false
  for _, call in ipairs(self.calls) do
    self:each_argument(call, function(fn, i, type)
      if not type then self:give_argument(fn, i, false) end
    end)
  end
end

-- One look at what gives types.
function Flow:pass()
  self.is_new = false
  self:use_result(self.result)
  for _, call in ipairs(self.calls) do
    local kit = self:kit_call(call)
    for i = 2, kit and #call or 0 do
      if types.takes_request(kit, i - 1) then self:use(call[i], "lest.request", 0) end
    end
    self:each_argument(call, function(fn, i, type)
      if type then self:give_argument(fn, i, type) end
    end)
  end
  for _, loop in ipairs(self.loops) do
    local call, element = loop[2][1], loop[1][2]
    local type = call.tag == "Call" and call[1].tag == "Id" and call[1][1] == "ipairs" and call[2]
      and types.element(self:type_of(call[2]))
    if type and element and element.var then self:give(element.var, type) end
  end
end

-- What the passes look at, found once.
local COLLECT <const> = {
  Call = function(self, node) table.insert(self.calls, node) end,
  Forin = function(self, node) table.insert(self.loops, node) end,
  Set = function(self, node)
    for i, target in ipairs(node[1]) do
      local name = target.tag == "Index" and M.text(target[2])
      if name and node[2][i] then
        table.insert(self.sets, { base = target[1], name = name, value = node[2][i] })
      end
    end
  end,
}

--- Follow what a policy's hooks are called with.
---@param source lest.policy.source
---@return lest.policy.flow
function M.new(source)
  local self = setmetatable({ ast = source.ast, given = {}, options = {}, calls = {}, loops = {},
    sets = {} }, Flow)
  M.walk(source.ast, function(node)
    if COLLECT[node.tag] then COLLECT[node.tag](self, node) end
  end)
  local last = source.ast[#source.ast]
  self.result = last and last.tag == "Return" and last[1] or nil
  for _, look in ipairs { Flow.pass, Flow.doubt } do
    local passes = 0
    repeat
      look(self)
      passes = passes + 1
    until not self.is_new or passes == PASSES_MAX
  end
  return self
end

return M
