--- Row: what it costs to start lest, and to enroll one device by command, beside curl with a ready
--- CSR.
local cjson = require "cjson"
local process = require "support.process"
local server_module = require "support.server"
local sides_module = require "bench.side"

local ROUNDS <const> = 21
local TOOL <const> = LEST_PREFIX .. "/bench/start_bench"
local NAME <const> = "device-start"

--- Words of `lest enroll` and of curl for one device of a server.
local function enrollment(side)
  local file = side.folder .. "/device"
  local secret = side:credential(NAME)
  local body, key = server_module.request(NAME)
  process.write(file .. ".secret", secret .. "\n")
  process.write(file .. ".csr", body)
  assert(key:save(file .. ".key"))
  local command = { side.server.lest, "enroll", side.server.url, "--trust", side.dir .. "/ca.pem",
    "--username", NAME, "--password-file", file .. ".secret", "--subject", "CN=" .. NAME,
    "--csr-key", file .. ".key" }
  local curl = { "curl", "-sS", "--fail", "--cacert", side.dir .. "/ca.pem", "--user",
    NAME .. ":" .. secret, "-H", "Content-Type: application/pkcs10", "--data-binary",
    "@" .. file .. ".csr", side.server.url .. "/.well-known/est/simpleenroll" }
  return command, curl
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local names, words = {}, { TOOL, ROUNDS }
  local function add(name, command)
    if #names > 0 then table.insert(words, "---") end
    table.insert(names, name)
    table.move(command, 1, #command, #words + 1, words)
  end
  local last
  for _, build in ipairs(context.builds) do
    local side = scope(sides_module.lest(build, { requests = 1 }))
    local empty = side.folder .. "/empty.lua"
    process.write(empty, "")
    local enroll, curl = enrollment(side)
    add(build.name .. " --version", { side.server.lest, "--version" })
    add(build.name .. " run empty.lua", { side.server.lest, "run", empty })
    add(build.name .. " enroll", enroll)
    last = last or curl
  end
  add("curl POST of a ready CSR", last)
  local data = {}
  local lines = { ("  %-26s %9s %9s %9s"):format("", "wall ms", "CPU ms", "peak MiB") }
  for i, found in ipairs(cjson.decode(process.must(words))) do
    data[names[i]] = found
    lines[i + 1] = ("  %-26s %9.1f %9.1f %9.1f"):format(names[i], found.wall_ms, found.cpu_ms,
      found.peak_kib / 1024)
  end
  return data, lines
end
