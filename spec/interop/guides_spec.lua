-- The guides of docs/, as a reader follows them: files are written, commands run one after another
-- in one folder, what is for the REPL is typed there, and what is printed is what the guide says
-- ("..." stands for anything).
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

-- Those of one list go on in the folder of the one before. Of `installs` the reader is root, on a
-- machine where lest was installed.
local STORIES <const> = {
  { "first-policy", "why-refused", "live" },
  { "in-front-of-your-ca", installs = true },
  { "factory-to-field" },
  { "keep-alive" },
  { "repl-tour" },
}

local LIMIT_S <const> = 300

-- The reader of the others is not root, who is warned, and whose files `user` cannot read.
local FOR_ROOT <const> = { "lest policy %l+: policies and specs run as root: [^\n]*\n",
  "[^\n]*: cannot be read anew; as it was at the beginning\n" }

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

--- The statements of a block of repl, each with what it is to show. Tab at the end of one shows how
--- it is completed.
local function statements_of(text)
  local statements = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local more, code = line:match "^>(>?) (.*)$"
    local last = statements[#statements]
    if more == ">" then
      last.command = last.command .. "\n" .. code
    elseif more then
      table.insert(statements, { command = code, expected = "" })
    else
      last.expected = last.expected .. line .. "\n"
    end
  end
  return statements
end

--- What patch(1) takes, of the changes that a guide shows: it wants to know how long each is, and
--- finds where.
local function patch_of(text)
  local hunks = {}
  for hunk in (text .. "\n@@\n"):gmatch "(.-\n)@@\n" do
    local _, old = ("\n" .. hunk):gsub("\n[ -]", "")
    local _, new = ("\n" .. hunk):gsub("\n[ +]", "")
    table.insert(hunks, ("@@ -1,%d +1,%d @@\n%s"):format(old, new, hunk))
  end
  return "--- a\n+++ b\n" .. table.concat(hunks)
end

-- The prefix of an installation is /usr/local; its machine is called est.example.com.
local INSTALL <const> = [[
cmake --install %s >/dev/null
PATH=/usr/local/bin:$PATH
install spec/support/systemctl /usr/local/bin
echo "127.0.0.1 est.example.com" >> /etc/hosts]]

-- One REPL for all of a guide, at a pipe. `tell N` is told what is typed, and copies what was shown
-- of it to printed.N; a line of its own says where that ends.
local SESSION <const> = [[
mkfifo typed
: > shown
lest repl < typed > shown 2>&1 &
exec 9> typed
tell() {
  before=$(wc -c < shown)
  { cat; echo "print 'told $1'"; } >&9
  until grep -q "^told $1$" shown; do sleep 0.05; done
  tail -c +$((before + 1)) shown | sed '$d' > printed.$1
}]]

-- A line that ends with Tab as code that shows how it is completed, or with what it could be.
local COMPLETION <const> = [[
local line = %q; local more, offers = require("lest.tool.repl.complete").complete({}, line, {})
print(more ~= "" and line .. more or table.concat(offers, " "))]]

local function typed(statement)
  local before = statement:match "^(.*)<Tab>$"
  return before and COMPLETION:format(before) or statement
end

-- How a reader leaves: what runs in the background, and terminals.
local END <const> = [[
export XDG_STATE_HOME=FOLDER
leave() {
  kill $(jobs -p) 2>/dev/null || :
  for each in FOLDER/terminal.*; do FOLDER/typist "$each" close 2>/dev/null || :; done
  wait
}
trap leave EXIT]]

-- What a guide shows at the prompt of a command, in a terminal that stays: what stands behind a
-- prompt is typed. `told` has the terminals by their commands, each with all that it is to show.
local function add_terminal(lines, asked, block, told, folder)
  local is_new = not told[block.path]
  if is_new then
    told.count = told.count + 1
    told[block.path] = { expected = "",
      typist = ("%s/typist %s/terminal.%d "):format(folder, folder, told.count) }
  end
  local terminal = told[block.path]
  local typist = terminal.typist
  if is_new then table.insert(lines, typist .. "open " .. process.quote(block.path)) end
  for prompt, text in ("\n" .. block.text):gmatch "\n(%l+)> ([^\n]+)" do
    table.insert(lines, ("%stype %s %s"):format(typist, prompt, process.quote(text)))
  end
  terminal.expected = terminal.expected .. block.text .. "\n"
  table.insert(asked, { command = block.path, expected = terminal.expected })
  table.insert(lines, ("%sshow > %s/printed.%d"):format(typist, folder, #asked))
end

--- One shell that does all that the guides say; what a command printed is in a file of its number.
local function script_of(names, folder)
  local prefix = process.quote(LEST_PREFIX)
  local lines = { "set -e", names.installs and INSTALL:format(prefix)
    or "PATH=" .. prefix .. "/bin:$PATH", "cd " .. process.quote(folder),
    (END:gsub("FOLDER", function() return folder end)) }
  local asked, told = {}, { count = 0 }
  local has_session = false
  for _, name in ipairs(names) do
    for _, block in ipairs(blocks_of(name)) do
      if block.language == "repl" and not has_session then
        table.insert(lines, SESSION)
        has_session = true
      end
      if block.language == "lua" then
        table.insert(lines, ("cat > %s <<'END'\n%s\nEND"):format(block.path, block.text))
      elseif block.language == "diff" then
        table.insert(lines, ("patch -s %s <<'END'\n%sEND"):format(block.path,
          patch_of(block.text)))
      elseif block.language == "sh" then
        table.insert(lines, block.text)
      elseif block.language == "repl" then
        for _, each in ipairs(statements_of(block.text)) do
          table.insert(asked, each)
          table.insert(lines, ("tell %d <<'END'\n%s\nEND"):format(#asked, typed(each.command)))
        end
      elseif block.language == "terminal" then
        add_terminal(lines, asked, block, told, folder)
      elseif block.language == "console" then
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

-- A container may keep its root from making another.
local function may_install()
  return core.system.user_id() == 0
    and (process.run "unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt'") == 0
end

--- `lest ca init` writes the usual port, which something else here may have.
local function with_port(script, port)
  return (script:gsub("lest serve ", "sed -i s/8443/" .. port .. "/ pki/server.lua; %0", 1)
    :gsub("localhost:8443", "localhost:" .. port))
end

describe("a guide", function()
  it("is one of those that are run", function()
    local run = { ["README"] = true }
    for _, names in ipairs(STORIES) do
      for _, name in ipairs(names) do run[name] = true end
    end
    for name in process.must("ls docs"):gmatch "([^\n]+)%.md\n" do
      assert.is_true(run[name], name)
    end
  end)
end)

for _, names in ipairs(STORIES) do
  describe("what is told in " .. table.concat(names, " and then "), function()
    after_each(temporary.clean)

    it("happens", function()
      if names.installs and not may_install() then
        return pending "it is told of root, on a machine of its own"
      end
      local folder = temporary.folder()
      process.must { "chmod", "755", folder } -- workers read inventories
      process.must { "cp", "spec/support/typist", folder }
      local script, asked = script_of(names, folder)
      local runner = { "timeout", LIMIT_S }
      if names.installs then
        table.insert(runner, "spec/support/own-machine")
      else
        script = with_port(script, process.free_port())
      end
      for _, word in ipairs { "bash", "-c", script } do table.insert(runner, word) end
      local code, _, err = process.run(runner)
      assert.equal(0, code, err)
      for number, each in ipairs(asked) do
        local printed = process.read(folder .. "/printed." .. number)
        for _, remark in ipairs(FOR_ROOT) do printed = printed:gsub(remark, "") end
        assert.matches(pattern_of(each.expected), printed, 1, false, each.command)
      end
    end)
  end)
end
