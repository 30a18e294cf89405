--- Files that a policy names: where they are, and whether `user`, as whom a policy runs, can read
--- them.
local M = {}

--- A name as a path: relative to a folder, unless it begins at the root.
---@param folder string
---@param name string
---@return string
function M.path(folder, name)
  return name:sub(1, 1) == "/" and name or folder .. "/" .. name
end

--- The folder of a chunk's file.
---@param source string as debug.getinfo() has it: "@/etc/lest/policy.lua"
---@return string|nil folder nil for what stands in no file
function M.folder_of(source)
  local file = source:match "^@(.+)"
  return file and (file:match "^(.*)/[^/]*$" or ".")
end

--- Why a file cannot be read; nil where it can.
---@param path string
---@return string|nil problem with the path
function M.problem(path)
  local file <close>, problem = io.open(path, "rb")
  if not file then return problem end
  local there
  there, problem = file:read(0)
  if there or not problem then return nil end -- an empty file has no byte, and no problem
  return problem:find(path, 1, true) and problem or ("%s: %s"):format(path, problem)
end

return M
