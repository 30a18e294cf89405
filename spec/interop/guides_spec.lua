-- The guides of docs/, as a reader follows them: files are written, commands run one after another
-- in one folder, and what they print is what the guide says ("..." stands for anything).
local process = require "support.process"
local temporary = require "support.temporary"

-- Those of one list go on in the folder of the one before.
local STORIES <const> = { { "first-policy", "why-refused" } }

local LIMIT_S <const> = 300

--- The blocks of a guide, in order: { language, path or "", text }.
local function blocks_of(name)
  local blocks = {}
  for head, text in process.read("docs/" .. name .. ".md"):gmatch "\n```(%w[^\n]*)\n(.-)\n```" do
    local language, path = head:match "^(%w+) ?(.*)$"
    table.insert(blocks, { language = language, path = path, text = text })
  end
  return blocks
end

--- The commands of a block of console, each with what it is to print.
local function commands_of(text)
  local commands = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local command = line:match "^%$ (.*)$"
    if command then
      table.insert(commands, { command = command, expected = "" })
    else
      local last = commands[#commands]
      last.expected = last.expected .. line .. "\n"
    end
  end
  return commands
end

--- One shell that does all that the guides say; what a command printed is in a file of its number.
local function script_of(names, folder)
  local lines = { "set -e", "cd " .. process.quote(folder), "PATH=" .. LEST_PREFIX .. "/bin:$PATH",
    "trap 'kill $(jobs -p); wait' EXIT" }
  local asked = {}
  for _, name in ipairs(names) do
    for _, block in ipairs(blocks_of(name)) do
      if block.language == "lua" then
        table.insert(lines, ("cat > %s <<'END'\n%s\nEND"):format(block.path, block.text))
      elseif block.language == "sh" then
        table.insert(lines, block.text)
      else
        for _, each in ipairs(commands_of(block.text)) do
          table.insert(asked, each)
          table.insert(lines, ("printed=%s/printed.%d\n{ %s\n} > $printed 2>&1 || true")
            :format(folder, #asked, each.command:find ">>? %S+$"
              and each.command .. " 2> $printed" or each.command))
        end
      end
    end
  end
  return table.concat(lines, "\n"), asked
end

--- A pattern of Lua for what a guide shows.
local function pattern_of(text)
  local pattern = text:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.\n", ".*\n?")
  return "^" .. pattern:gsub("%%%.%%%.%%%.", ".*") .. "$"
end

for _, names in ipairs(STORIES) do
  describe("what is told in " .. table.concat(names, " and then "), function()
    after_each(temporary.clean)

    it("happens", function()
      local folder = temporary.folder()
      local script, asked = script_of(names, folder)
      local port = process.free_port()
      -- `lest ca init` writes the usual port.
      script = script:gsub("lest serve ", "sed -i s/8443/" .. port .. "/ pki/server.lua; %0", 1)
        :gsub("localhost:8443", "localhost:" .. port)
      local code, _, err = process.run { "timeout", LIMIT_S, "bash", "-c", script }
      assert.equal(0, code, err)
      for number, each in ipairs(asked) do
        assert.matches(pattern_of(each.expected), process.read(folder .. "/printed." .. number),
          1, false, each.command)
      end
    end)
  end)
end
