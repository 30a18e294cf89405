-- lua/lest/meta/core.lua, which editors read, says what the core really has: no more and no less.
local core = require "lest.core"

--- Classes that no function gives to a user, or that have nothing but what Lua itself calls.
local INTERNAL <const> = { ["lest.buf"] = true, ["lest.ledger.waiter"] = true, ["lest.loop"] = true,
  ["lest.pool.job"] = true, ["lest.pool.key_job"] = true }
--- Of the lest binary alone, and told apart there by reading: its fields are made when asked for.
local PROCESS <const> = "lest.core.process"

--- Every ---@class of the file: fields and functions by name; `callable` if it has a table.
local function annotated()
  local classes, of_local, class = {}, {}, nil
  for line in io.lines(package.searchpath("lest.meta.core", package.path)) do
    local name = line:match "^%-%-%-@class ([%w_.]+)"
    local field = line:match "^%-%-%-@field ([%w_]+)%??"
    local table_name = line:match "^local ([%w_]+) = {}$"
    local owner, separator, fn = line:match "^function ([%w_]+)([.:])([%w_]+)%("
    if name then
      assert(not classes[name], name .. " is annotated twice")
      class = { name = name, fields = {}, functions = {}, methods = {} }
      classes[name] = class
    elseif field then
      class.fields[field] = true
    elseif table_name then
      assert(not of_local[table_name], table_name .. " is used twice")
      of_local[table_name], class.callable = class, true
    elseif fn then
      local kind = separator == ":" and "methods" or "functions"
      assert(not of_local[owner][kind][fn], owner .. "." .. fn .. " is annotated twice")
      of_local[owner][kind][fn] = true
    end
  end
  return classes
end

--- The names in a table whose values are functions, or are not.
local function names(from, are_functions)
  local set = {}
  for name, value in pairs(from) do
    if (type(value) == "function") == are_functions then set[name] = true end
  end
  return set
end

--- The classes of the binding: methods and getters are the first two upvalues of __index.
local function registered()
  local classes = {}
  for name, meta in pairs(debug.getregistry()) do
    local index = type(name) == "string" and name:find "^lest%." and meta.__index
    local _, methods = debug.getupvalue(index or print, 1)
    local _, getters = debug.getupvalue(index or print, 2)
    -- (a lest.name is a table whose fields are the types of its pairs)
    if type(methods) == "table" and not INTERNAL[name] then
      classes[name] = { methods = names(methods, true), fields = names(getters, true) }
    end
  end
  return classes
end

local function differences(what, real, told)
  local list = {}
  for name in pairs(real) do
    if not told[name] then table.insert(list, ("%s: %s has no annotation"):format(what, name)) end
  end
  for name in pairs(told) do
    if not real[name] then table.insert(list, ("%s: there is no %s"):format(what, name)) end
  end
  table.sort(list)
  return table.concat(list, "\n")
end

describe("the annotations of the core", function()
  local told, classes = annotated(), registered()

  it("name its tables", function()
    local real = names(core, false)
    assert.equal("", differences("lest.core", real, told["lest.core"].fields))
    local tables = { version = true, built = true }
    for name in pairs(told) do tables[name:match "^lest%.core%.([%w_]+)$" or "version"] = true end
    assert.equal("", differences("---@class lest.core.*", real, tables))
  end)

  for name, value in pairs(core) do
    if type(value) == "table" then
      local class = told["lest.core." .. name]
      it("name what lest.core." .. name .. " has", function()
        assert.truthy(class, "no ---@class lest.core." .. name)
        assert.equal("", differences(class.name, names(value, true), class.functions))
        local fields = names(value, false)
        if class.name == PROCESS then
          for field in pairs(class.fields) do fields[field] = value[field] ~= nil or nil end
        end
        assert.equal("", differences(class.name, fields, class.fields))
      end)
    end
  end

  for name, real in pairs(classes) do
    it("name what an object of " .. name .. " has", function()
      local class = told[name]
      assert.truthy(class, "no ---@class " .. name)
      assert.equal("", differences(name, real.methods, class.methods))
      assert.equal("", differences(name, real.fields, class.fields))
    end)
  end

  it("name no class that is not there", function()
    for name, class in pairs(told) do
      if class.callable and not name:find "^lest%.core%." then
        assert.truthy(classes[name], name .. " is no class of the binding")
      end
    end
  end)

  it("name the fields that an error may be made with", function()
    for field in pairs(told["lest.error"].fields) do
      local value = { code = "io", message = "x", exit_code = 1 }
      value[field] = value[field] or 1
      assert.truthy(core.error.new(value)[field], field)
    end
  end)
end)
