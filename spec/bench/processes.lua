--- What processes cost, from /proc: CPU time and resident memory.
local M = {}

-- sysconf(_SC_CLK_TCK) on every Linux that Debian runs on
local TICKS_PER_SECOND <const> = 100

local function read(path)
  local file <close> = io.open(path, "r")
  return file and file:read "a"
end

--- The process and all that descend from it.
---@param pid integer
---@param list? integer[]
---@return integer[]
function M.tree(pid, list)
  list = list or {}
  table.insert(list, pid)
  for child in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch "%d+" do
    M.tree(math.tointeger(tonumber(child)), list)
  end
  return list
end

--- Command line, words joined by blanks.
---@param pid integer
---@return string
function M.command(pid)
  return ((read(("/proc/%d/cmdline"):format(pid)) or ""):gsub("\0", " "))
end

--- Seconds of CPU, user and system, its ended children included.
---@param pid integer
---@return number
function M.cpu_s(pid)
  local fields = {}
  local stat = assert(read(("/proc/%d/stat"):format(pid)), "a process of the server has ended")
  for field in stat:match("%) (.*)"):gmatch "%S+" do table.insert(fields, field) end
  -- proc(5): utime, stime, cutime, cstime are fields 14 to 17; the first here is the third
  local ticks = 0
  for i = 12, 15 do ticks = ticks + tonumber(fields[i]) end
  return ticks / TICKS_PER_SECOND
end

--- KiB resident, the most that it ever was, and KiB where a shared page counts in parts (nil if
--- this user may not know).
---@param pid integer
---@return { rss: integer, peak: integer, pss: integer? }
function M.memory(pid)
  local status = read(("/proc/%d/status"):format(pid)) or ""
  local smaps = read(("/proc/%d/smaps_rollup"):format(pid)) or ""
  return {
    rss = math.tointeger(tonumber(status:match "VmRSS:%s*(%d+)")),
    peak = math.tointeger(tonumber(status:match "VmHWM:%s*(%d+)")),
    pss = math.tointeger(tonumber(smaps:match "\nPss:%s*(%d+)")),
  }
end

return M
