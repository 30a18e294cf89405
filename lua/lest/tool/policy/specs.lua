--- Finds specs, and runs them by busted in this process, once.
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

-- What busted ends with, instead of the process.
local Exit <const> = { __name = "lest.policy.specs.exit" }

--- What the output counted (lest.tool.policy.report).
---@type { passed: integer, failed: integer, first?: table }|nil first: what failed first, as
--- busted has it
M.outcome = nil
--- Whether nothing is printed.
M.is_quiet = false

local function load_busted()
  local ok, compatibility = pcall(require, "busted.compatibility")
  if not ok then
    return fail("not_found", "busted is not installed, which runs specs: apt install lua-busted")
  end
  function compatibility.exit(code) error(setmetatable({ code = code }, Exit), 0) end
  return require "busted.runner"
end

-- Every spec below a folder. What begins with a dot is none, and a folder that may not be read is
-- passed over: a ledger lies beside the policies.
---@return boolean could_read
local function search(lfs, folder, files, seen)
  local info = lfs.attributes(folder)
  local id = info and info.dev .. ":" .. info.ino
  if seen[id or ""] then return true end -- a link leads back
  local opened, next_name, state = pcall(lfs.dir, folder)
  if not info or not opened then return false end
  seen[id] = true
  local names = {}
  for name in next_name, state do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder:gsub("/+$", "") .. "/" .. name
    local mode = lfs.attributes(path, "mode")
    if mode == "directory" then
      search(lfs, path, files, seen)
    elseif mode == "file" and name:find "_spec%.lua$" then
      files[#files + 1] = path
    end
  end
  return true
end

--- The specs among files and folders. Busted's own search ends at the first closed folder.
---@return string[]|nil files
---@return lest.error|nil err
local function find(paths)
  local lfs, files, seen = require "lfs", {}, {} -- busted needs it, too
  for _, path in ipairs(paths) do
    local mode = lfs.attributes(path, "mode")
    if mode and mode ~= "directory" then
      files[#files + 1] = path
    elseif not mode or not search(lfs, path, files, seen) then
      return fail("io", ("%s: the user %s, whom specs run as, may not read it"):format(path,
        core.system.user_name() or core.system.user_id()))
    end
  end
  return files
end

local function words_of(options, files)
  local words = { [0] = "lest policy test", "-o",
    assert(package.searchpath("lest.tool.policy.report", package.path)) }
  if options.traceback then words[#words + 1] = "--verbose" end
  return table.move(files, 1, #files, #words + 1, words)
end

--- Let os.exit raise in this process from now on: what ends has passed, and neither a spec nor a
--- policy says so by itself.
function M.refuse_exit()
  os.exit = function() -- luacheck: ignore 122
    error("neither a spec nor a policy ends the process", 2)
  end
end

--- Run specs, which end no process.
---@param options { paths: string[], traceback?: boolean, is_quiet?: boolean }
---@return { passed: integer, failed: integer, first?: table }|nil outcome
---@return lest.error|nil err
function M.run(options)
  local runner, err = load_busted()
  if not runner then return nil, err end
  local files
  files, err = find(options.paths)
  if not files then return nil, err end
  if not files[1] then return { passed = 0, failed = 0 } end
  require "lest.testing" -- before busted, which forgets what a spec has loaded
  M.is_quiet = options.is_quiet or false
  arg = words_of(options, files) -- luacheck: ignore 121
  M.refuse_exit()
  local ok, problem = pcall(runner, { standalone = false })
  if not ok and getmetatable(problem) ~= Exit then error(problem, 0) end
  return M.outcome or { passed = 0, failed = 1 } -- busted has said why
end

return M
