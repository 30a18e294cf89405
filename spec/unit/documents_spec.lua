-- The documents cite what is there (each path that they name, and each function after its colon),
-- and the manual says something of all that is public.
local annotations = require "lest.tool.manual.annotations"
local api = require "lest.tool.manual.api"
local core = require "lest.core"
local parser = require "lest.tool.manual.parser"
local process = require "support.process"

local DOCUMENTS <const> = { "ARCHITECTURE.md", "CHANGELOG.md", "OPERATING.md", "README.md",
  "SECURITY.md" }
local ROOTS <const> = { csrc = true, docs = true, lua = true, spec = true, policies = true,
  examples = true }

--- What a document cites: { line, path, names }.
---   csrc/net/server.c:on_accept,take   two functions of a file
local function citations(text)
  local found, number = {}, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    for word in line:gmatch "[%w_./:,-]+" do
      local path, names = word:gsub("^%./", ""):match "^([^:]*):?(.*)$"
      local root = path:match "^(%w+)/"
      if ROOTS[root] then
        table.insert(found, { line = number, path = path:gsub("[.,/]+$", ""), names = names })
      end
    end
  end
  return found
end

--- What is wrong with one citation, or nil.
local function problem(citation)
  if not process.exists(citation.path) then return "there is no " .. citation.path end
  if citation.names == "" then return nil end
  local text = process.read(citation.path)
  for name in citation.names:gmatch "[%w_]+" do
    if not text:find("%f[%w_]" .. name .. "%f[^%w_]") then
      return ("%s has no '%s'"):format(citation.path, name)
    end
  end
end

describe("a document", function()
  for _, document in ipairs(DOCUMENTS) do
    it(document .. " cites only files and functions that are there", function()
      local problems = {}
      for _, citation in ipairs(citations(process.read(document))) do
        local what = problem(citation)
        if what then table.insert(problems, ("%s:%d: %s"):format(document, citation.line, what)) end
      end
      assert.same({}, problems)
    end)
  end

  it("of docs is in its list, and in the README's", function()
    local lists = { [""] = process.read "docs/README.md", ["docs/"] = process.read "README.md" }
    for path in process.must("ls docs"):gmatch "[^\n]+" do
      for folder, list in pairs(lists) do
        local is_there = folder .. path == "README.md" or list:find("](" .. folder .. path, 1, true)
        assert.is_truthy(is_there, folder .. path)
      end
    end
  end)

  it("that cites what is not there is found", function()
    for text, expected in pairs {
      ["see `csrc/net/nothing.c`"] = "there is no csrc/net/nothing.c",
      ["(lua/lest/nothing/)."] = "there is no lua/lest/nothing",
      ["`csrc/net/server.c:take,no_such`"] = "csrc/net/server.c has no 'no_such'",
    } do
      local all = citations(text)
      assert.equal(1, #all)
      assert.equal(expected, problem(all[1]))
    end
    assert.same({}, citations "no path: https://host/csrc/x, lua5.4, either/or")
  end)
end)

--- A local that a function uses.
local function upvalue(fn, name)
  for i = 1, 250 do
    local each, value = debug.getupvalue(fn, i)
    if each == name then return value end
    if not each then error("there is no upvalue " .. name) end
  end
end

--- What is in `real` without a text in `told`, and what `told` has besides.
local function differences(what, real, told)
  local problems = {}
  for name in pairs(real) do
    if not told[name] or told[name] == "" then
      table.insert(problems, ("%s: '%s' has no text"):format(what, name))
    end
  end
  for name in pairs(told) do
    if real[name] == nil then
      table.insert(problems, ("%s: there is no '%s'"):format(what, name))
    end
  end
  table.sort(problems)
  return problems
end

--- The texts of a class's fields.
local function fields_of(name)
  local told = {}
  for _, field in ipairs(assert(api.class(name), "no ---@class " .. name).fields) do
    told[field.name] = field.text
  end
  return told
end

local function keys_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

describe("the manual has", function()
  local function same(what, real, told)
    assert.same({}, differences(what, real, told))
  end

  -- lua/lest/server/config/meaning.lua, lua/lest/agent/meaning.lua
  it("every key of the configurations", function()
    local words = require "lest.tool.manual.shape"
    local function compare(where, fields, meaning)
      local told = {}
      for key, text in pairs(meaning) do
        told[key] = type(text) == "table" and text[1] or key ~= 1 and text or nil
      end
      same(where, fields, told)
      for key, field in pairs(fields) do
        local inner = words.fields(field)
        if inner then compare(key, inner, meaning[key]) end
      end
    end
    compare("server.lua", require "lest.server.config.shape".fields,
      require "lest.server.config.meaning")
    compare("agent.lua", require "lest.agent.shape".agent.fields, require "lest.agent.meaning")
    compare("fleet.lua", require "lest.fleet.shape".fleet.fields, require "lest.fleet.meaning")
  end)

  it("every field of what a policy sees (lua/lest/meta/policy.lua)", function()
    local view = require "lest.server.worker.view"
    local compared = 0
    for _, class in pairs(upvalue(view.new, "CLASS")) do
      local known = upvalue(class.__index, "known")
      if known then
        same(class.__name, known, fields_of(class.__name))
        compared = compared + 1
      end
    end
    assert.is_true(compared >= 6)
    for _, kind in ipairs(require "lest.server.wire.kinds".list) do
      local name = "lest.request.auth." .. kind.name
      same(name, keys_of(kind.facts), fields_of(name))
    end
    for _, name in ipairs { "lest.csr", "lest.cert" } do
      local told = fields_of(name)
      same(name, told, told)
    end
  end)

  it("every hook", function()
    local hooks = {}
    for _, operation in pairs(require "lest.server.wire.operations") do
      if operation.hook then hooks[operation.hook] = true end
    end
    hooks.issued, hooks.revoked = true, true
    same("lest.policy.hooks", hooks, fields_of "lest.policy.hooks")
  end)

  it("every option of a policy's functions", function()
    local functions = api.functions "lest.policy"
    local function options_of(name)
      local class = functions[name].parameters[1].type:match "lest%.policy%.[%w_]+"
      local told = fields_of(class)
      told["[1]"] = nil
      return told
    end
    for name, shape in pairs(upvalue(require "lest.verdict".check, "shapes")) do
      same("policy." .. name, shape.fields, options_of(name))
    end
    for name, shape in pairs(upvalue(require "lest.policy.shapes".check, "shapes")) do
      same("policy." .. name, shape.fields, options_of(name))
    end
  end)

  it("every option of a policy's inventories, and of its options", function()
    local inventories = require "lest.policy.inventories"
    same("policy.csv", upvalue(inventories.csv, "csv_options").fields,
      fields_of "lest.policy.csv_options")
    same("policy.http", upvalue(inventories.http, "http_options").fields,
      fields_of "lest.policy.http_options")
    local field_of = upvalue(upvalue(require "lest.policy.options".take, "shape_of"), "field_of")
    same("policy.options", upvalue(field_of, "declaration").fields, fields_of "lest.policy.option")
  end)

  it("every function of the public modules", function()
    for _, name in ipairs { "lest.policy", "lest.http", "lest.task", "lest.retry", "lest.json",
      "lest.log", "lest.url", "lest.duration", "lest.testing" } do
      local found, told, real = annotations.of(name), {}, {}
      for each, fn in pairs(api.functions(name)) do told[each] = fn.text end
      for _, field in ipairs(found.module.fields) do told[field.name] = field.text end
      for each in next, (require(name)) do real[each] = true end
      if name == "lest.task" then real.failure = true end -- nil until there is one
      same(name, real, told)
    end
  end)

  it("every option of lest.testing", function()
    local shapes = upvalue(require "lest.testing.shapes".check, "shapes")
    for what, class in pairs { policy = "policy", request = "request", cert = "certificate",
      never = "never" } do
      same("testing." .. what, shapes[what].fields, fields_of(("lest.testing.%s.options"):format(
        class)))
    end
    local told = fields_of "lest.testing.idevid.options"
    for name in pairs(shapes.cert.fields) do told[name] = told[name] or "as of testing.cert" end
    same("testing.idevid", shapes.idevid.fields, told)
  end)

  it("every function, field and method of what lest has of the core", function()
    local function look(name)
      local class = api.class(name)
      for _, kind in ipairs { "fields", "functions", "methods" } do
        local told = {}
        for _, each in ipairs(class and class[kind] or {}) do told[each.name] = each.text end
        same(name, told, told)
      end
    end
    local lest = require "lest"
    for name in pairs(debug.getmetatable(lest).__names) do
      if type(lest[name]) == "table" and lest[name] == rawget(core, name) then
        look("lest.core." .. name)
        look("lest." .. name)
      end
    end
  end)

  it("every field of lest (lua/lest/meta/lest.lua)", function()
    same("lest", debug.getmetatable(require "lest").__names, fields_of "lest")
  end)

  it("every method and option of the client, and of what scripts call", function()
    local client = require "lest.client" { url = "https://localhost" }
    local told, real = {}, {}
    for _, method in ipairs(api.class "lest.client".methods) do told[method.name] = method.text end
    for name in pairs(getmetatable(client)) do real[name] = not name:find "^__" or nil end
    same("lest.client", real, told)
    local options = require "lest.client.options"
    same("lest.client.options", options.client, fields_of "lest.client.options")
    same("lest.client.enrollment", options.enroll, fields_of "lest.client.enrollment")
    same("lest.client.renewal", options.reenroll, fields_of "lest.client.renewal")
    local check = upvalue(require "lest.http".request, "check")
    local http = fields_of "lest.http.options"
    http.url, http.method = "of request", "of request"
    same("lest.http.options", upvalue(check, "KNOWN"), http)
    same("lest.all.options", upvalue(upvalue(require "lest.all", "problem_of"), "KNOWN"),
      fields_of "lest.all.options")
    local retry = fields_of "lest.retry.options"
    retry.call, retry["[1]"] = retry["[1]"], nil
    same("lest.retry.options", upvalue(upvalue(require "lest.retry".retry, "options_of"),
      "shape").fields, retry)
  end)

  it("every command, subcommand, argument and option", function()
    local problems = {}
    local function look(command)
      if command.text == "" or not command.example then table.insert(problems, command.name) end
      for _, list in ipairs { command.arguments, command.options } do
        for _, option in ipairs(list) do
          if option.text == "" then
            table.insert(problems, command.name .. " " .. option.names[1])
          end
        end
      end
      for _, each in ipairs(command.commands) do look(each) end
    end
    for _, command in ipairs(parser.all()) do look(command) end
    assert.same({}, problems)
  end)

  it("every exit code", function()
    local text = require "lest.tool.manual.text".page(require "lest.tool.manual".page "lest", 80)
    for code, number in pairs(core.error.codes()) do
      assert.matches("\n +" .. number .. "\n", text, nil, nil, code)
    end
  end)
end)
