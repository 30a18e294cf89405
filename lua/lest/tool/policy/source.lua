--- A policy's text as a tree, by the parser of luacheck (Debian: lua-check): every path of it, also
--- those that no request has taken. A compiled chunk would tell globals and the names of fields,
--- but whose field it is, as of `request.principal` kept in a local, only the tree tells.
---
---   local source, err = source.read("policy.lua", text)
---   source.ast, source.warnings
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"

local M = {}

-- Debian installs luacheck for Lua 5.1 alone; it runs in 5.4 as well.
local WHERE <const> = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"

local function search(name)
  if name ~= "luacheck" and not name:find "^luacheck%." then return nil end
  local path = package.searchpath(name, WHERE)
  if path then return loadfile(path), path end
end

local luacheck

local function load_luacheck()
  if luacheck then return luacheck end
  table.insert(package.searchers, search)
  local ok, found = pcall(require, "luacheck")
  table.remove(package.searchers)
  if not ok then return nil end
  luacheck = found
  return found
end

-- Of style: length of lines, white space, and an argument that a hook does not look at.
local IGNORED <const> = { "6..", "212", "213" }

---@class lest.policy.source
---@field file string
---@field ast table of luacheck.parser; names have their variable, of luacheck.stages.linearize
---@field line_at fun(offset: integer): integer the line of a node's offset
---@field warnings lest.policy.finding[] luacheck's own

--- Read a policy's text, which Lua has compiled already.
---@param file string
---@param text string
---@return lest.policy.source|nil
---@return lest.error|nil err
function M.read(file, text)
  local checker = load_luacheck()
  if not checker then
    return fail("not_found", "luacheck is not installed, which reads the policy's text: "
      .. "apt install lua-check")
  end
  text = mark.strip(text)
  local state = require "luacheck.check_state".new(text)
  for _, stage in ipairs { "parse", "unwrap_parens", "linearize" } do
    require("luacheck.stages." .. stage).run(state)
  end
  local warnings = {}
  for i, each in ipairs(checker.check_strings({ text }, { std = "lua54", ignore = IGNORED })[1]) do
    warnings[i] = { level = "warning", kind = "luacheck", line = each.line,
      message = checker.get_message(each) }
  end
  local function line_at(offset)
    local line = 1
    while state.line_offsets[line + 1] and state.line_offsets[line + 1] <= offset do
      line = line + 1
    end
    return line
  end
  return { file = file, ast = state.ast, warnings = warnings, line_at = line_at }
end

return M
