--- Processes of specs, and their files: commands with exit code and output, children in the
--- background.
local cjson = require "cjson"

local M = {}

--- The binary under test.
M.lest = LEST_PREFIX .. "/bin/lest"

--- A word for /bin/sh.
---@param word any
---@return string
function M.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- A command line from words; a word { raw = "2>&1" } stands as it is.
---@param words any[]
---@return string
function M.line(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = type(word) == "table" and word.raw or M.quote(word)
  end
  return table.concat(quoted, " ")
end

--- Raise what a sanitizer has found in a process, if its standard error says so.
---@param stderr string
function M.check_sanitizers(stderr)
  local at = stderr:find "ERROR: %a+Sanitizer" or stderr:find ":%d+:%d+: runtime error: "
  if at then
    error("a sanitizer has found this:\n" .. stderr:sub(math.max(1, at - 100), at + 4000), 2)
  end
end

--- Run words (or a shell line) to the end.
---@param command string|any[]
---@param options? { stdin: string, dir: string }
---@return integer code
---@return string stdout
---@return string stderr
function M.run(command, options)
  options = options or {}
  local line = type(command) == "table" and M.line(command) or command
  local folder = M.folder()
  if options.stdin then M.write(folder .. "/in", options.stdin) end
  if options.dir then line = "cd " .. M.quote(options.dir) .. " && { " .. line .. "\n}" end
  local _, how, code = os.execute(("{ %s\n} <%s >%s/out 2>%s/err"):format(line,
    options.stdin and folder .. "/in" or "/dev/null", folder, folder))
  local out, err = M.read(folder .. "/out"), M.read(folder .. "/err")
  os.execute("rm -r " .. folder)
  M.check_sanitizers(err)
  return how == "signal" and 128 + code or code, out, err
end

--- As run, for what must succeed; returns its output.
---@param command string|any[]
---@param options? table
---@return string stdout
function M.must(command, options)
  local code, out, err = M.run(command, options)
  if code ~= 0 then
    local line = type(command) == "table" and M.line(command) or command
    error(("%s: exit code %d\n%s%s"):format(line, code, out, err), 2)
  end
  return out
end

--- A port of loopback that nothing has now, and that the kernel gives to nobody who names none.
---@return string
function M.free_port()
  return M.must { "perl", "-MIO::Socket::INET", "-e", [[
    do { $port = 10240 + int rand 20000 } until IO::Socket::INET->new(Listen => 1,
      LocalAddr => "127.0.0.1", LocalPort => $port);
    print $port]] }
end

--- The first line of what a shell command prints.
---@param command string
---@return string|nil
function M.capture(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read "l")
end

--- A new folder, mode 0700; who makes it removes it (support.temporary does for a whole spec).
---@return string
function M.folder()
  return (assert(M.capture "mktemp -d"))
end

---@param path string
---@return string
function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

---@param path string
---@param data string
function M.write(path, data)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(data))
end

---@param path string
---@return boolean
function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- State and start time of a process, nil if there is none with this id. The name of a process can
-- hold anything; numbers follow its last bracket.
local function stat(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid), "r")
  -- A process that ends meanwhile gives nothing to read.
  local rest = file and (file:read "a" or ""):match "^.*%) (.*)$"
  if not rest then return nil end
  local fields = {}
  for field in rest:gmatch "%S+" do fields[#fields + 1] = field end
  return fields[1], fields[20]
end

-- Process id -> when that process was started: the id is somebody else's once it has another time.
local started = {}

-- Where this process is killed, nothing of what it started stays.
local reaper

--- Take note of a process that may be signalled later, and ends with this one.
---@param pid integer
---@return integer pid
function M.own(pid)
  started[pid] = select(2, stat(pid)) or "ended"
  reaper = reaper or assert(io.popen("exec spec/support/reaper", "w"))
  reaper:write(pid, " ", started[pid], "\n")
  reaper:flush()
  return pid
end

--- Start words in the background; returns the process id. Output goes to files.
---@param words any[]
---@param stdout string
---@param stderr string
---@return integer pid
function M.start(words, stdout, stderr)
  M.write(stdout, "")
  M.write(stderr, "")
  local pipe <close> = assert(io.popen(("%s </dev/null >%s 2>%s & echo $!"):format(M.line(words),
    M.quote(stdout), M.quote(stderr)), "r"))
  return M.own(math.tointeger(pipe:read "n"))
end

--- Whether a process lives (a zombie does not, nor one that only has the id of one we own).
---@param pid integer
---@return boolean
function M.alive(pid)
  local state, since = stat(pid)
  return state ~= nil and state ~= "Z" and (started[pid] or since) == since
end

--- Signal a process that we own, if it is still there.
---@param pid integer
---@param signal? string "TERM"
function M.kill(pid, signal)
  if not started[pid] then error(("the process %d is not ours"):format(pid), 2) end
  if M.alive(pid) then os.execute(("kill -%s %d 2>/dev/null"):format(signal or "TERM", pid)) end
end

--- The lines of a JSON log with this event, decoded.
---@param path string
---@param event string
---@return table[]
function M.logged(path, event)
  local lines = {}
  for line in (M.exists(path) and M.read(path) or ""):gmatch "[^\n]+" do
    local ok, value = pcall(cjson.decode, line)
    if ok and value.event == event then table.insert(lines, value) end
  end
  return lines
end

--- How often a process has waited for something: what has a loop, at each of its turns.
---@param pid integer
---@return integer
function M.turns(pid)
  local status = M.read(("/proc/%d/status"):format(pid))
  return math.tointeger(tonumber(status:match "\nvoluntary_ctxt_switches:%s*(%d+)"))
end

local SETTLE_MS <const> = 500

--- Wait until a server's processes have passed their lines on: its children sleep, and then so does
--- the supervisor, which a line in a pipe wakes at once. What never sleeps is not waited for.
---@param pid integer of the supervisor
function M.settle(pid)
  local core = require "lest.core"
  local deadline = core.clock.monotonic_ms() + SETTLE_MS
  local function wait(each)
    local function is_busy()
      local file <close> = io.open(("/proc/%d/stat"):format(each))
      local text = file and file:read "a" -- nil where it has just ended
      return text and text:match "%) ([RD])"
    end
    while is_busy() and core.clock.monotonic_ms() < deadline do
      require("lest.task").sleep(0.001)
    end
  end
  local children <close> = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  for child in (children and children:read "a" or ""):gmatch "%d+" do wait(child) end
  wait(pid)
end

--- Wait until check() gives a true value; fails after `seconds` (default 10).
---@generic T
---@param check fun(): T
---@param what string
---@param seconds? number
---@return T
function M.wait_for(check, what, seconds)
  local core = require "lest.core"
  local task = require "lest.task"
  local deadline = core.clock.monotonic_ms() + (seconds or 10) * 1000
  repeat
    local value = check()
    if value then return value end
    task.sleep(0.02)
  until core.clock.monotonic_ms() > deadline
  error("timed out waiting for " .. what, 2)
end

return M
