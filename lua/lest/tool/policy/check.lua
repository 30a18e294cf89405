--- `lest policy check`: what is wrong with a policy, also on paths that no request has taken yet.
local core = require "lest.core"
local config_file = require "lest.server.config.load"
local desk = require "lest.desk.policy"
local fail = require "lest.base.fail"
local findings = require "lest.tool.policy.findings"
local flow = require "lest.tool.policy.flow"
local grants = require "lest.tool.policy.grants"
local json = require "lest.json"
local list = require "lest.base.list"
local mark = require "lest.base.mark"
local source = require "lest.tool.policy.source"
local support = require "lest.tool.command.support"

local M = {}

local FILE_MAX <const> = 1024 * 1024

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "check",
    summary = "Load a policy as a worker would, and read its text: unknown fields and functions on "
      .. "any of its paths, calls that block the worker, hooks that are missing, and what luacheck "
      .. "finds. With --config also approvals that the profiles of its labels can never grant. "
      .. "Exit code 0: nothing is wrong; 1: something is.",
    example = "lest policy check policy.lua --config server.lua",
  })
  command:argument "file":description "The policy."
  command:option "--config":argname "SERVER.lua"
    :description "The configuration that has labels with this policy."
  command:flag "--json":description "Print the findings as JSON."
end

-- The labels of a configuration that a policy decides for.
local function labels_of(config, file)
  local names, path = {}, core.file.resolve(file)
  for _, name in ipairs(list.sorted_keys(config.labels)) do
    if core.file.resolve(config.labels[name].policy) == path then names[#names + 1] = name end
  end
  return names
end

-- The message of an error of the policy begins with its file, as does its line.
local function load_finding(file, err)
  local message = tostring(err)
  return { level = "error", kind = "load", line = math.tointeger(tonumber(message:match(
    file:gsub("%p", "%%%0") .. ":(%d+)"))), message = message }
end

local function append(found, all)
  table.move(all, 1, #all, #found + 1, found)
end

-- As a worker would: for each of its labels, or without any.
local function load_all(file, config, labels, found)
  local hooks = {}
  for _, label in ipairs(#labels > 0 and labels or { false }) do
    local policy, err = desk.load(file, label and { config = config, label = label } or nil)
    if not policy then
      table.insert(found, load_finding(file, err))
      return false
    end
    hooks = policy.hooks
  end
  append(found, findings.of_hooks(hooks))
  return true
end

local function look(file, text, config, labels)
  local found = {}
  -- What Lua cannot read has no tree.
  local is_loaded = load_all(file, config, labels, found)
  if not is_loaded and not load(mark.strip(text), "=policy", "t") then return found end
  local read, err = source.read(file, text)
  if not read then return nil, err end
  local follow = flow.new(read)
  append(found, findings.of_text(read, follow))
  for _, label in ipairs(labels) do append(found, grants.of(read, follow, config, label)) end
  append(found, read.warnings)
  for i, each in ipairs(found) do each.place = i end
  table.sort(found, function(a, b)
    local left, right = a.line or 0, b.line or 0
    return left < right or left == right and a.place < b.place
  end)
  for _, each in ipairs(found) do each.place = nil end
  return found
end

local function print_text(file, found, wrong)
  for _, each in ipairs(found) do
    io.write(support.clean(file), each.line and (":%d"):format(each.line) or "", ": ", each.level,
      ": ", support.clean(each.message), "\n")
  end
  io.write(wrong == 0 and "nothing is wrong\n"
    or ("%d %s\n"):format(wrong, wrong == 1 and "finding" or "findings"))
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  local file, labels, config = options.file, {}, nil
  local text, err = core.file.read(file, FILE_MAX)
  if not text then return nil, support.file_error(err) end
  if options.config then
    config, err = config_file.load(options.config)
    if not config then return nil, err end
    labels = labels_of(config, file)
    if #labels == 0 then
      return fail("config", ("%s: no label has the policy %s"):format(options.config, file))
    end
  end
  local found
  found, err = look(file, text, config, labels)
  if not found then return nil, err end
  local wrong = 0
  for _, each in ipairs(found) do wrong = wrong + (each.level == "note" and 0 or 1) end
  if options.json then
    for i, each in ipairs(found) do found[i] = json.object(each) end
    support.print_json(json.object { file = file, labels = labels, findings = found,
      wrong = wrong })
  else
    print_text(file, found, wrong)
  end
  return wrong > 0 and 1 or 0
end

return M
