--- Temporary folders that are removed together.
---   local folder = temporary.folder()   -- and temporary.clean() in after_each
local process = require "support.process"

local M = {}

local made = {}

--- A new folder, mode 0700.
---@return string path
function M.folder()
  local path = process.folder()
  made[#made + 1] = path
  return path
end

--- Remove every folder made since the last time.
function M.clean()
  for _, path in ipairs(made) do os.execute("rm -rf " .. process.quote(path)) end
  made = {}
end

--- Write a file and return its path.
---@param folder string
---@param name string
---@param text string
---@return string path
function M.file(folder, name, text)
  local path = folder .. "/" .. name
  process.write(path, text)
  return path
end

return M
