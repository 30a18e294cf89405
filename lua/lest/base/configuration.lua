--- Configurations that are Lua: a file that returns a table, run where no global can be made by
--- mistake; what is wrong in it is told with its line.
---
---   local raw, err = configuration.run(source, "agent.lua")
---   return configuration.error("agent.lua", source, problems)   -- those of lest.base.schema
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"

local M = {}

-- Mistakes that are told at once.
local TOLD_MAX <const> = 8

--- The line of `source` on which the last name of a path is written, if that can be told.
---@param source string
---@param where string "labels.default.auth[1]"
---@return integer|nil
function M.line_of(source, where)
  local key = where:match "([%w_]+)[%d%[%]]*$"
  if not key then return nil end
  local line, found = 0, nil
  for text in (source .. "\n"):gmatch "(.-)\n" do
    line = line + 1
    local code = text:gsub("%-%-.*$", "")
    if code:find("%f[%w_]" .. key .. "%f[^%w_]%s*=")
      or code:find('%[%s*["\']' .. key .. '["\']%s*%]%s*=') then
      if found then return nil end
      found = line
    end
  end
  return found
end

--- The error that says what is wrong, a line a mistake.
---@param file string as it is named
---@param source? string its text
---@param problems { path: string, problem: string }[]
---@return nil
---@return lest.error err code config
function M.error(file, source, problems)
  local sentences = {}
  for i, problem in ipairs(problems) do
    if i > TOLD_MAX then
      sentences[i] = ("and %d more"):format(#problems - TOLD_MAX)
      break
    end
    local line = source and M.line_of(source, problem.path)
    sentences[i] = ("%s: %s%s"):format(line and ("%s:%d"):format(file, line) or file,
      problem.path ~= "" and problem.path .. ": " or "", problem.problem)
  end
  return fail("config", table.concat(sentences, "\n"))
end

--- The folder of a file.
---@param file string
---@return string
function M.folder_of(file)
  local folder = file:match "^(.*)/[^/]*$"
  if folder == "" then return "/" end
  return folder or "."
end

--- A path that is relative to a folder.
---@param folder string absolute
---@param file string
---@return string
function M.absolute(folder, file)
  if file:sub(1, 1) == "/" then return file end
  return folder .. "/" .. file
end

--- Whether a text is a URI, which is relative to nothing.
---@param text string
---@return boolean
function M.is_uri(text)
  return text:find "^%a[%w+.-]+:" ~= nil
end

--- Run a text, and take the table that it returns. Assigning a global is an error.
---@param source string
---@param file string where it came from
---@param call? fun(chunk: function): boolean, any pcall, if none is given
---@return table|nil raw
---@return lest.error|nil err code config
function M.run(source, file, call)
  local env = setmetatable({}, { __index = _G, __newindex = function(_, key)
    error(("'%s' is assigned as a global: put 'local' before it"):format(tostring(key)), 2)
  end })
  local chunk, problem = load(mark.strip(source), "@" .. file, "t", env)
  if not chunk then return fail("config", problem) end
  local ok, raw = (call or pcall)(chunk)
  if not ok then return fail("config", tostring(raw)) end
  if type(raw) ~= "table" then
    return fail("config", file .. ": must return a table")
  end
  return raw
end

return M
