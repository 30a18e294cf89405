--- What a policy's text says that cannot be right, on any of its paths: fields and functions that
--- there are not, and calls for which the whole worker waits.
local flow = require "lest.tool.policy.flow"
local list = require "lest.base.list"
local schema = require "lest.base.schema"
local types = require "lest.tool.policy.types"

local M = {}

---@class lest.policy.finding
---@field level "error"|"warning"|"note" a note is no reason to fail
---@field kind string "field", "blocking", "grant", "hook", "luacheck", "load"
---@field line? integer of the policy
---@field message string

local WAITS <const> = "all requests of the worker wait for it"
local HTTP <const> = WAITS .. ": ask over HTTP, by lest.http.get"
local CLOCK <const> = "not the time that is decided by, nor that of a test or a replay: use "
  .. "request.time"

-- What is called of Lua's own libraries, and what is wrong with that. `with` arguments it is right.
local BLOCKING <const> = {
  io = { popen = { HTTP }, read = { "nobody writes what it reads: " .. WAITS },
    stdin = { "nobody writes what it reads: " .. WAITS } },
  os = { execute = { HTTP }, exit = { "ends the worker, and all of its requests" },
    time = { CLOCK, with = 1 }, date = { CLOCK, with = 2 }, clock = { CLOCK },
    remove = { "changes a file: a policy decides, and may be asked twice" },
    rename = { "changes a file: a policy decides, and may be asked twice" } },
}

local function global_name(node)
  return node.tag == "Id" and not node.var and node[1] or nil
end

local function add(found, level, kind, node, message)
  table.insert(found, { level = level, kind = kind, line = node.line, message = message })
end

-- os.time { year = ... } is no clock; a plain os.time that is given away may be.
local function look_at_library(found, node, call)
  local library, name = global_name(node[1]), flow.text(node[2])
  local row = library and name and BLOCKING[library] and BLOCKING[library][name]
  if not row or row.with and call and #call - 1 >= row.with then return end
  add(found, "warning", "blocking", node, ("%s.%s: %s"):format(library, name, row[1]))
end

local function look_at_field(found, follow, node, name, what)
  local type = follow:type_of(node[1])
  if not type then return end
  local has, names, called = types.has(type, name)
  if has then return end
  add(found, "error", "field", node, ("%s has no %s '%s'%s"):format(called, what, name,
    schema.hint(name, names)))
end

-- The options of a verdict are looked at when it is made, which may be in no test.
local function look_at_options(found, follow, node)
  local name = follow:kit_call(node)
  local names = name and types.verdict_options(name)
  local given = names and node[2]
  for _, each in ipairs(given and given.tag == "Table" and given or {}) do
    local key = each.tag == "Pair" and flow.text(each[1])
    if key and names[key] == nil then
      add(found, "error", "field", each, ("policy.%s has no option '%s'%s"):format(name, key,
        schema.hint(key, names)))
    end
  end
end

local function look_at_assignment(found, follow, node)
  for _, target in ipairs(node[1]) do
    local type = target.tag == "Index" and follow:type_of(target[1])
    if type and type:find "^lest%." then
      add(found, "error", "field", target, ("%s is read-only: '%s' cannot be set"):format(
        select(3, types.has(type, "")), flow.text(target[2]) or "?"))
    end
  end
end

--- Unknown fields and functions, and calls that block.
---@param source lest.policy.source
---@param follow lest.policy.flow
---@return lest.policy.finding[]
function M.of_text(source, follow)
  local found, called = {}, {}
  flow.walk(source.ast, function(node)
    if node.tag == "Call" then
      called[node[1]] = node
      look_at_options(found, follow, node)
    end
    if node.tag == "Set" then look_at_assignment(found, follow, node) end
    if node.tag == "Index" then
      look_at_library(found, node, called[node])
      local name = flow.text(node[2])
      if name then
        look_at_field(found, follow, node, name, called[node] and "function" or "field")
      end
    elseif node.tag == "Invoke" and flow.text(node[2]) then
      look_at_field(found, follow, node, node[2][1], "method")
    end
  end)
  return found
end

--- Hooks that are not there: what is asked for then is refused.
---@param hooks table<string, function>
---@return lest.policy.finding[]
function M.of_hooks(hooks)
  local found = {}
  local WITHOUT <const> = { { "enroll", "nobody gets a first certificate" },
    { "reenroll", "nothing is renewed" } }
  for _, row in ipairs(WITHOUT) do
    if not hooks[row[1]] then
      table.insert(found, { level = "note", kind = "hook",
        message = ("there is no hook '%s': %s by this policy"):format(row[1], row[2]) })
    end
  end
  return found
end

--- Hooks that one policy of a label does not have and another one has: it is not asked then, also
--- where it would refuse.
---@param label string
---@param stack { name: string, hooks: table<string, function> }[] its policies; without a name: the
--- one that is looked at
---@return lest.policy.finding[]
function M.of_stack(label, stack)
  local found, has = {}, {}
  for _, each in ipairs(stack) do
    for hook in pairs(each.hooks) do has[hook] = true end
  end
  has.csrattrs = nil -- for the one that states names to say
  for _, each in ipairs(stack) do
    for _, hook in ipairs(list.sorted_keys(has)) do
      if not each.hooks[hook] then
        table.insert(found, { level = "warning", kind = "hook",
          message = ("label %s: %s no hook '%s', which another policy of the label has: such "
            .. "requests are decided without it; a hook with policy.consent() says that this is "
            .. "meant"):format(label, each.name and each.name .. " has" or "there is", hook) })
      end
    end
  end
  return found
end

return M
