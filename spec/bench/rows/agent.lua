--- Row: what an agent takes whose identities have nothing to do: memory, the CPU of its start and
--- of some idle seconds. Beside it what one takes that has renewed its only identity. PSS is what
--- is its own, and its share of what it has with others; private what would be free if it ended.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local sides_module = require "bench.side"

local COUNTS <const> = { 1, 100, 10000 }
local IDLE_S <const> = 20
local NAME <const> = "device-agent"
local TICKS <const> = 100 -- a second, of /proc/PID/stat

--- The state folder of one identity that has just been issued.
local function bootstrap(side, folder)
  process.must { "mkdir", "-p", folder }
  process.write(folder .. "/secret", side:credential(NAME) .. "\n")
  process.write(folder .. "/agent.lua", ([[
    local identities = {}
    for i = 1, tonumber(os.getenv "COUNT" or 1) do
      identities["dev" .. i] = { url = %q, trust = %q, username = %q, password_file = "secret",
        subject = "CN=%s" }
    end
    return { state = "state", identities = identities }]]):format(side.server.url,
    side.dir .. "/ca.pem", NAME, NAME))
  process.must { side.server.lest, "agent", folder .. "/agent.lua", "--once" }
end

-- By one process: as many as there are identities take minutes.
local COPY <const> = [[
  my ($state, $count) = @ARGV;
  my %text;
  my @files = map { "generations/1/$_" } qw(cert.pem key.pem chain.pem);
  for my $name (@files, "state.json", "anchors.pem") {
    open my $file, "<", "$state/dev1/$name" or die $!;
    local $/;
    $text{$name} = <$file>;
  }
  umask 077;
  for my $i (2 .. $count) {
    my $path = "$state/dev$i";
    next if -e $path;
    mkdir "$path$_" or die $! for "", "/generations", "/generations/1";
    for my $name (keys %text) {
      open my $file, ">", "$path/$name" or die $!;
      print $file $text{$name};
    }
    symlink "generations/1", "$path/current" or die $!;
    symlink "current/$_", "$path/$_" or die $! for qw(cert.pem key.pem chain.pem);
  }]]

local function copy(state, count)
  process.must { "perl", "-e", COPY, state, tostring(count) }
end

local function cpu_s(pid)
  local words = {}
  local rest = process.read(("/proc/%d/stat"):format(pid)):match "^.*%) (.*)$"
  for word in rest:gmatch "%S+" do words[#words + 1] = word end
  return (tonumber(words[12]) + tonumber(words[13])) / TICKS
end

local function memory_kib(pid, kind)
  return tonumber(process.read(("/proc/%d/status"):format(pid)):match(kind .. ":%s*(%d+)"))
end

-- KiB of some kinds of /proc/PID/smaps_rollup.
local function mapped_kib(pid, ...)
  local text, sum = process.read(("/proc/%d/smaps_rollup"):format(pid)), 0
  for _, kind in ipairs { ... } do sum = sum + tonumber(text:match("\n" .. kind .. ":%s*(%d+)")) end
  return sum
end

local function descriptor(folder)
  return { folder .. "/out", folder .. "/log" }
end

local function sleep(seconds)
  process.must { "sleep", tostring(seconds) }
end

--- Start an agent, and wait until it has no more to do: its CPU time stands still.
local function settle(side, folder, count)
  process.start({ "env", "COUNT=" .. count, side.server.lest, "agent",
    folder .. "/agent.lua" }, table.unpack(descriptor(folder)))
  process.wait_for(function() return #process.logged(folder .. "/log", "agent started") > 0 end,
    "the agent", 300)
  local pid <const> = process.own(process.logged(folder .. "/log", "agent started")[1].pid)
  local before
  repeat
    before = cpu_s(pid)
    sleep(2)
  until cpu_s(pid) - before < 0.05
  return pid
end

local function measure(pid)
  local start_s = cpu_s(pid)
  sleep(IDLE_S)
  return { start_cpu_s = start_s, idle_cpu_ms_s = (cpu_s(pid) - start_s) * 1000 / IDLE_S,
    resident_kib = memory_kib(pid, "VmRSS"), pss_kib = mapped_kib(pid, "Pss"),
    private_kib = mapped_kib(pid, "Private_Clean", "Private_Dirty") }
end

local function stop(pid)
  process.kill(pid, "TERM")
  process.wait_for(function() return not process.alive(pid) end, "the agent's end", 60)
end

local function line(name, found)
  return ("  %-22s %8.1f %8.1f %12.1f %12.2f %14.2f"):format(name, found.resident_kib / 1024,
    found.pss_kib / 1024, found.private_kib / 1024, found.start_cpu_s, found.idle_cpu_ms_s)
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local side = scope(sides_module.lest(context.builds[1], { requests = 1 }))
  local folder = side.folder .. "/agent"
  bootstrap(side, folder)
  local data = {}
  local lines = { ("  %-22s %8s %8s %12s %12s %14s"):format("identities", "RSS MiB", "PSS MiB",
    "private MiB", "start CPU s", "idle CPU ms/s") }
  for _, count in ipairs(COUNTS) do
    copy(folder .. "/state", count)
    os.remove(folder .. "/log")
    local pid = settle(side, folder, count)
    local found = measure(pid)
    stop(pid)
    data[tostring(count)] = found
    lines[#lines + 1] = line(tostring(count), found)
  end
  -- One that is due at once: what the attempt has left in a process that goes on.
  local path = folder .. "/state/dev1/state.json"
  local memory = cjson.decode(process.read(path))
  memory.retry = { set = os.time() - 10, at = os.time() - 5 }
  assert(core.file.write(path, cjson.encode(memory)))
  os.remove(folder .. "/log")
  local pid = settle(side, folder, 1)
  process.wait_for(function()
    return #process.logged(folder .. "/log", "certificate stored") == 1
  end, "a renewal", 60)
  data.renewed = measure(pid)
  stop(pid)
  lines[#lines + 1] = line("1, that has renewed", data.renewed)
  return data, lines
end
