--- Temporary folders and child processes for specs.
---   local folder = temporary.folder()   -- and temporary.clean() in after_each
local M = {}

local made = {}

--- One line of what a shell command prints.
function M.capture(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "l"
end

--- A new folder, mode 0700.
---@return string path
function M.folder()
  local path = M.capture "mktemp -d"
  made[#made + 1] = path
  return path
end

--- Remove every folder made since the last time.
function M.clean()
  for _, path in ipairs(made) do os.execute("rm -rf '" .. path .. "'") end
  made = {}
end

--- Write a file and return its path.
function M.file(folder, name, text)
  local path = folder .. "/" .. name
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

--- The binary under test.
M.lest = LEST_PREFIX .. "/bin/lest"

--- Start `lest run` on a script in the background; its first line of output is the process id, then
--- come the script's own lines. Close the pipe to wait for the end.
---@return file* pipe
---@return string pid
function M.start(script, ...)
  local words = { "echo $$; exec", M.lest, "run", script }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
  local pipe = assert(io.popen(table.concat(words, " ")))
  return pipe, pipe:read "l"
end

return M
