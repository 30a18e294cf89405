--- `lest serve`: run the server. This process becomes the supervisor, which has no Lua.
local core = require "lest.core"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest serve",
    summary = "Run the server: SIGTERM finishes what is under way and stops; SIGHUP reads the "
      .. "configuration again, with its policies, anchors and CRLs, without losing a request. Log "
      .. "lines that nobody reads from standard error are dropped and counted; no request waits "
      .. "for them.",
    example = "lest serve pki/server.lua --listen 127.0.0.1:8443",
  }
  parser:argument "file":args "?"
    :description "The configuration; ./server.lua by default."
  parser:option "--config":argname "FILE":description "The same, as other commands have it."
  parser:option "--listen":argname "ADDRESS:PORT":count "*"
    :description("Listen here instead; may be repeated. Port 0: a free one, named in the log. "
      .. "ADDRESS:PORT,psk: for clients with a pre-shared key; ,srp: with a password; "
      .. ",proxy=NETWORK: behind a balancer that names them (PROXY protocol).")
  parser:flag "--check"
    :description "Only say whether it would start. Policies are read; no hook of theirs is run."
  return parser
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, function(options)
    if options.file and options.config then support.usage "the configuration is given twice" end
    local config = options.file or options.config or "./server.lua"
    local words = { "--role", "supervisor", "--config", config }
    for _, address in ipairs(options.listen) do
      table.insert(words, "--listen")
      table.insert(words, address)
    end
    if options.check then table.insert(words, "--check") end
    local clock = core.process.clock()
    if clock then table.move({ "--clock", clock }, 1, 2, #words + 1, words) end
    return core.process.exec(words)
  end)
end

return M
