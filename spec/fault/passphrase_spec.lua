-- Encrypted keys whose passphrase a program tells, or does not.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("the passphrase_command of a server", function()
  local server

  --- A server with encrypted keys; ask is the program that knows their passphrase.
  local function make(ask)
    server = support.make { files = { ask = "#!/bin/sh\n" .. ask .. "\n" }, config = function(text)
      for _, name in ipairs { "server", "ca" } do
        text = text:gsub('key = "' .. name .. '.key"',
          '%0, passphrase_command = { "./ask", "' .. name .. '" }')
      end
      return text
    end }
    finally(function() server:stop() end)
    os.execute("chmod 755 " .. server.dir .. "/ask")
    for _, name in ipairs { "server", "ca" } do
      local file = server.dir .. "/" .. name .. ".key"
      assert(assert(core.key.load(file)):save(file, { passphrase = "secret of " .. name }))
    end
  end

  it("S77 opens the keys of the CA and of TLS", function()
    make 'echo "secret of $1"'
    server:run()
    server:enroll "device001"
  end)

  it("is ended with what it started when it hangs, and the log says so", function()
    make('echo $$ >"$0.pid"; sleep 1000 & sleep 1001')
    local code, out, err = process.run { support.lest, "serve", server.dir .. "/server.lua",
      "--check" }
    assert.equal(2, code, out)
    assert.matches("^lest serve: ca.passphrase_command: /.*/ask: takes too long to answer\n$", err)
    local group = process.read(server.dir .. "/ask.pid"):match "%d+"
    process.wait_for(function()
      return process.capture("pgrep -g " .. group .. " -r R,S,D") == nil
    end, "the end of all")
  end)
end)
