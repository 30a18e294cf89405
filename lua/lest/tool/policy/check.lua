--- `lest policy check`: what is wrong with a policy, also on paths that no request has taken yet.
local account = require "lest.desk.account"
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

local function decides_for(label, path)
  for _, policy in ipairs(label.policies) do
    if core.file.resolve(policy.file) == path then return true end
  end
  return false
end

-- The labels of a configuration that a policy decides for.
local function labels_of(config, file)
  local names, path = {}, core.file.resolve(file)
  for _, name in ipairs(list.sorted_keys(config.labels)) do
    if decides_for(config.labels[name], path) then names[#names + 1] = name end
  end
  return names
end

-- What loading has said, in its line, which the message begins with as a rule. That an option is
-- not given, where there is no configuration, is no fault of the policy.
local function load_finding(file, err, is_of_label)
  local message = tostring(err):match "^[^\n]*"
  local is_note = err.option and not is_of_label
  local name = file:match "[^/]*$" -- Lua cuts a long path at its beginning
  local place = "%f[^/\0]" .. name:gsub("%p", "%%%0") .. ":(%d+)"
  local line = message:match(place)
  message = message:gsub("^%S*" .. place .. ": ", "")
  if err.option then message = ("options.%s: %s"):format(err.option, message) end
  if is_note then message = message .. ": --config has the options that a label gives" end
  return { level = is_note and "note" or "error", kind = "load", message = message,
    line = line and math.tointeger(tonumber(line)) }
end

local function append(found, all)
  table.move(all, 1, #all, #found + 1, found)
end

-- The policies of a label beside the one that is looked at, whose hooks these are.
local function look_at_stack(found, file, own, config, label, texts)
  local stack = {}
  for i, each in ipairs(config.labels[label].policies) do
    if core.file.resolve(each.file) == core.file.resolve(file) then
      stack[i] = { hooks = own }
    else
      local policy, err = desk.load(each.file, { config = config, label = label, files = texts })
      if not policy then return table.insert(found, load_finding(each.file, err, label)) end
      stack[i] = { name = each.file:match "[^/]*$", hooks = policy.hooks }
    end
  end
  append(found, findings.of_stack(label, stack))
end

-- As a worker would: for each of its labels, or without any.
local function load_all(file, config, labels, texts, found)
  local own = {}
  for _, label in ipairs(#labels > 0 and labels or { false }) do
    local policy, err = desk.load(file, { config = label and config, label = label or nil,
      files = texts })
    if not policy then
      table.insert(found, load_finding(file, err, label))
      return false
    end
    own = policy.hooks
    if label then look_at_stack(found, file, own, config, label, texts) end
  end
  append(found, findings.of_hooks(own))
  return true
end

-- The texts of the policies beside this one, which `user` may not be able to read.
local function read_stacks(config, labels, texts)
  for _, label in ipairs(labels) do
    local ok, err = desk.read(config.labels[label].policies, texts)
    if not ok then return nil, err end
  end
  return true
end

local function look(file, config, labels, texts)
  local found, text = {}, texts[core.file.absolute(file)]
  -- What Lua cannot read has no tree.
  local is_loaded = load_all(file, config, labels, texts, found)
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
  local is_read_only = false -- a text that could not be run to its end
  for _, each in ipairs(found) do
    is_read_only = is_read_only or each.kind == "load"
    io.write(support.clean(file), each.line and (":%d"):format(each.line) or "", ": ", each.level,
      ": ", support.clean(each.message), "\n")
  end
  io.write(wrong == 0 and is_read_only and "nothing is wrong in its text, which was not loaded\n"
    or wrong == 0 and "nothing is wrong\n"
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
  local texts, found = {}, nil
  local ok
  ok, err = read_stacks(config, labels, texts)
  texts[core.file.absolute(file)] = text
  if ok then ok, err = account.become(config) end
  if ok then found, err = look(file, config, labels, texts) end
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
