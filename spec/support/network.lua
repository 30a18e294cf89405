--- Networks of a spec's own (network namespaces), in which links appear and go; root only.
---
---   local first, second = network.new(), network.new()
---   network.connect(first, second)     -- a cable that both still have to switch on
---   first:run("ip link set veth up")
---   process.start(first:words { "lest", ... }, out, log)
local process = require "support.process"

local M = {}

local Network = {}
Network.__index = Network

--- Whether there can be one here.
---@return boolean
function M.is_possible()
  return (process.run { "unshare", "--net", "sh", "-c",
    "ip link set lo up && ip link add veth type veth peer name other" }) == 0
end

--- An empty network but for loopback, which is up; it is gone once it is closed.
---@return support.network
function M.new()
  local self = setmetatable({ folder = process.folder() }, Network)
  local out = self.folder .. "/out"
  self.pid = process.start({ "unshare", "--net", "sh", "-c",
    "ip link set lo up && echo up && exec sleep 3600" }, out, self.folder .. "/err")
  process.wait_for(function() return process.read(out) == "up\n" end, "a network", 60)
  return self
end

--- Words that run others in it.
---@param words string[]
---@return string[]
function Network:words(words)
  return table.move(words, 1, #words, 3, { "nsenter", ("--net=/proc/%d/ns/net"):format(self.pid) })
end

--- A shell command in it, which must succeed.
---@param command string
---@return string stdout
function Network:run(command)
  return process.must(self:words { "sh", "-ec", command })
end

--- A file that runs a program in it.
---@param path string of the program
---@return string path
function Network:wrap(path)
  local file = self.folder .. "/wrapped"
  process.write(file, ("#!/bin/sh\nexec %s \"$@\"\n"):format(process.line(self:words { path })))
  process.must { "chmod", "755", self.folder, file }
  return file
end

function Network:close()
  process.kill(self.pid, "KILL")
  os.execute("rm -rf " .. self.folder)
end

--- A cable between two, "veth" at both ends, switched off and without addresses.
---@param first support.network
---@param second support.network
function M.connect(first, second)
  process.must { "ip", "link", "add", "veth", "netns", tostring(first.pid), "type", "veth", "peer",
    "name", "veth", "netns", tostring(second.pid) }
end

-- BPF: socket(AF_NETLINK, ...) is refused with EAFNOSUPPORT, as by RestrictAddressFamilies.
local REFUSE <const> = [[
  my ($socket, $prctl) = (POSIX::uname())[4] eq "x86_64" ? (41, 157) : (198, 167);
  my @program = ([0x20, 0, 0, 0], [0x15, 0, 3, $socket], [0x20, 0, 0, 16], [0x15, 0, 1, 16],
    [0x06, 0, 0, 0x00050000 + 97], [0x06, 0, 0, 0x7fff0000]);
  my $code = join "", map { pack "SCCL", @$_ } @program;
  my $filter = pack "Sx![P]P", scalar @program, $code;
  syscall($prctl, 38, 1, 0, 0, 0) == 0 && syscall($prctl, 22, 2, $filter, 0, 0) == 0 or die $!;
  exec @ARGV;]]

--- Words that run others where the kernel gives no netlink sockets.
---@param words string[]
---@return string[]
function M.without_netlink(words)
  return table.move(words, 1, #words, 5, { "perl", "-MPOSIX", "-e", REFUSE })
end

return M
