-- What another process prints: nothing for a terminal to obey, and each byte in a file.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"
local terminals = require "support.terminal"

describe("what another process prints", function()
  after_each(temporary.clean)

  local function script()
    return temporary.file(temporary.folder(), "print.lua", [[
      local out = require "lest.tool.printer".new(io.stdout, 1)
      for byte in ("caf\u{e9} \27[2J\27]0;owned\7\u{1f600} end\n"):gmatch "." do
        out:write(byte)
      end]])
  end

  it("is shown at a terminal without its sequences, though its pieces cut characters", function()
    local terminal <close> = terminals.start(shell.line("run", script()))
    terminal:expect "caf\u{e9} \\x1b[2J\\x1b]0;owned\\x07\u{1f600} end"
    assert.is_nil(terminal:shown():find("\27", 1, true))
  end)

  it("is in a pipe as it is", function()
    assert.equal("caf\u{e9} \27[2J\27]0;owned\7\u{1f600} end\n",
      process.must { shell.binary, "run", script() })
  end)
end)
