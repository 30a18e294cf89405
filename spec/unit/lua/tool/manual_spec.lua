-- The manual pages that the build writes, `lest help`, and the completions of shells.
local annotations = require "lest.tool.manual.annotations"
local process = require "support.process"
local shell = require "support.shell"

local SHARE <const> = LEST_PREFIX .. "/share"

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

describe("a manual page", function()
  local pages = lines_of(process.must { "find", SHARE .. "/man", "-type", "f" })

  it("is there for each command and topic", function()
    local command = require "lest.tool.command"
    assert.equal(1 + #command.commands + #command.topics, #pages)
    for _, row in ipairs(command.commands) do
      assert.is_true(process.exists(("%s/man/man1/lest-%s.1"):format(SHARE, row[1])), row[1])
    end
  end)

  it("pleases mandoc and groff", function()
    for _, command in ipairs { "mandoc -T lint -W warning", "groff -man -ww -K utf8 -T utf8 -z" } do
      local code, out, err = process.run(command .. " " .. process.line(pages))
      assert.equal("0", code .. out .. err)
    end
  end)

  it("has every character that stands in a text, whatever roff makes of it", function()
    local texts = { ".TH is no macro here", "'br neither", "a\\nb \\fB \\(co",
      "it's `x-y_z ~^` \"q\"" }
    local code = ".so /etc/passwd\n'so /etc/passwd\n\\*(.T -- '`~^"
    local page = require "lest.tool.manual.roff".page { name = "page", section = 7,
      manual = "Manual", summary = "a - b", { title = "TEXT", table.unpack(texts) },
      { title = "ITEM", { term = "`.a`", texts[2], texts[1], { term = "'b", texts[3] } } },
      { title = "CODE", { code = code } } }
    local shown = process.must("mandoc -T utf8 -O width=78", { stdin = page }):gsub(".\b", "")
    texts[4] = texts[4]:gsub("`", ""):gsub("'", "’")
    for _, line in ipairs { texts[1], texts[3], texts[4], "’br neither", "’b",
      table.unpack(lines_of(code)) } do
      assert.is_truthy(shown:find(line, 1, true) or shown:find(line:gsub("’", "'"), 1, true),
        line .. " is not in\n" .. shown)
    end
    assert.is_nil(shown:find "root:")
  end)

  it("has no line that a terminal of 80 columns would break", function()
    for _, page in ipairs(pages) do
      local text = process.must { "mandoc", "-T", "utf8", "-O", "width=78", page }
      for _, line in ipairs(lines_of(text)) do
        local shown = line:gsub(".\b", "")
        assert.is_true(utf8.len(shown) <= 80, page .. ": " .. shown)
      end
    end
  end)

  it("says what a person writes", function()
    for topic, texts in pairs {
      ["server.lua"] = { "anchors (a path for each name)" },
      policy = { "subject (a name or a list of lists of strings, optional)",
        "san (a list of strings, optional)" } } do
      local text = process.must { process.lest, "help", topic }
      for _, each in ipairs(texts) do assert.matches(each, text, 1, true) end
    end
  end)

  it("says of a parameter what its table may have, or where that is told", function()
    local api = require "lest.tool.manual.api"
    local function told(type)
      local block = api.call("x.", { name = "f", text = "", returns = {},
        parameters = { { name = "what", type = type, text = "" } } })
      return block[1] and block[1].term
    end
    assert.equal("`what` (lest.client.sending)", told "lest.client.sending")
    assert.equal("`what` ({ a?: string })", told "{ a?: string }")
    assert.is_nil(told "string")
    assert.is_nil(told "lest.cert")
    assert.matches("plan %(lest%.csr_plan%)", shell.lest("help", "lua").out)
  end)

  it("is shown by `lest help`, plain on a pipe", function()
    local out = shell.lest("help", "policy").out
    assert.matches("^lest%-policy %- ", out)
    assert.matches("\n       policy%.reject%(%[options%]%)\n", out)
    assert.is_nil(out:find "[\27`]")
    assert.matches("\n       lifetime %(a duration from 1m; required%)\n",
      shell.lest("help", "server.lua").out)
    assert.matches("did you mean 'policy'%?", shell.lest("help", "polcy").err)
  end)

  it("goes through a pager on a terminal", function()
    local command = "PAGER='sed s/^/paged:/' script -qec "
      .. shell.quote(shell.line("help", "lua")) .. " /dev/null"
    assert.matches("^paged:lest%-lua %- ", shell.run(command).out)
  end)
end)

describe("a shape", function()
  local duration, s = require "lest.duration", require "lest.base.schema"
  local words = require "lest.tool.manual.shape"

  it("is told in words, with its bounds and its default", function()
    for told, shape in pairs {
      ["a string"] = s.string(), ["a path"] = s.string { what = "a path (absolute)" },
      ["a whole number from 1 to 8; `2`"] = s.optional(s.integer { min = 1, max = 8 }, 2),
      ['a size up to 64KiB; `"1MiB"`'] = s.optional(s.size { max = 65536 }, 1048576),
      ['a duration from 1m; `"1h"`'] = s.optional(duration.field { min = 60 }, 3600),
      ['`"a"`, `"b"` or `"c"`; `"b"`'] = s.optional(s.one_of { "a", "b", "c" }, "b"),
      ['true or false, or a list'] = s.list(s.boolean(), { single = true }),
      ['a list, each a string; `{ "x", "y" }`'] = s.optional(s.list(s.string()), { "x", "y" }),
      ["a list of words"] = s.list(s.one_of { "a", "b" }),
      ["a string for each name"] = s.optional(s.map(s.string()), {}),
      ["true or false; `false`"] = s.optional(s.boolean(), false),
    } do
      local default = words.default(shape)
      assert.equal(told, words.type(shape) .. (default and "; " .. default or ""))
    end
    assert.equal('`"a"`, `"b"`', words.words(s.optional(s.list(s.one_of { "a", "b" }))))
    local fields = { x = s.string() }
    assert.equal(fields, words.fields(s.optional(s.map(s.record(fields)))))
    assert.is_nil(words.fields(s.string()))
  end)
end)

describe("annotations", function()
  local found = annotations.read [[
--- A head.
local M = {}

---@class a.b what
---@field one? fun(x: { y: integer }, z?: "a b"|string): boolean[], string? its text
--- goes on
---@field [1] table<string, { k: any }> second
local Owner = {}

--- Does it.
---   code()
---@param what string|integer "10s", or seconds
---@param more? { a?: string,
--- b: integer } those
---@return true?, lest.error?
function Owner:go(what, more)
end

---@return string? text what was read
---@return lest.error? err code io
function M.read()
end]]

  it("are read with types that have blanks", function()
    assert.equal(" A head.", " " .. found.head)
    local class = found.classes["a.b"]
    assert.same({ { name = "one", optional = true, text = "its text goes on",
      type = 'fun(x: { y: integer }, z?: "a b"|string): boolean[], string?' },
      { name = "[1]", optional = false, type = "table<string, { k: any }>", text = "second" } },
      class.fields)
    local go = class.methods[1]
    assert.equal("Does it.\n  code()", go.text)
    assert.same({ { name = "what", optional = false, type = "string|integer",
      text = '"10s", or seconds' }, { name = "more", optional = true,
      type = "{ a?: string, b: integer }", text = "those" } }, go.parameters)
    assert.equal(2, #go.returns)
    assert.same({ { name = "text", optional = true, type = "string", text = "what was read" },
      { name = "err", optional = true, type = "lest.error", text = "code io" } },
      found.functions.read.returns)
  end)
end)

describe("completion for bash", function()
  --- What Tab offers behind these words.
  local function offers(...)
    local words = process.line { ... }
    local script = ([[cd %s && . %s && COMP_WORDS=(lest %s) && COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      _lest; printf '%%s\n' "${COMPREPLY[@]}"]]):format(process.quote(LEST_PREFIX),
      SHARE .. "/bash-completion/completions/lest", words)
    return table.concat(lines_of(process.must { "bash", "-c", script }), " ")
  end

  it("offers commands, their options, and what an option takes", function()
    assert.equal("ca check credential cert cacerts csrattrs", offers "c")
    assert.equal("list show revoke issuers import", offers("cert", ""))
    assert.equal("--reason", offers("cert", "revoke", "--re"))
    assert.equal("keyCompromise", offers("cert", "revoke", "--reason", "key"))
    assert.equal("keyCompromise", offers("cert", "revoke", "--reason", "=", "key"))
    assert.equal("server-cert", offers("ca", "s"))
    assert.equal("--new-key", offers("ca", "server-cert", "--new"))
    assert.equal("ed25519 ed448", offers("enroll", "--new-key", "ed"))
    assert.equal("", offers("pending", "approve", "--as", ""))
  end)

  it("offers the pages of help, and the subcommands of a command", function()
    assert.equal("policy", offers("help", "po"))
    assert.equal("server.lua serve serverkeygen", offers("help", "serv"))
    assert.equal("list", offers("help", "cert", "l"))
    assert.equal("init server-cert rollover", offers("help", "ca", ""))
    assert.equal("check", offers("help", "policy", "ch"))
    assert.equal("", offers("help", "lua", ""))
    assert.equal("", offers("help", "cert", "list", ""))
  end)

  it("offers a choice of several words as one, as the shell quotes it", function()
    assert.equal([[not\ yet\ valid]], offers("cert", "list", "--state", "n"))
    assert.equal([[not\ yet\ valid]], offers("cert", "list", "--state", [[not\ y]]))
    assert.equal("not yet valid", offers("cert", "list", "--state", "'not y"))
  end)

  it("offers the rest of a word that the shell takes apart", function()
    assert.equal("P-256 P-384 P-521", offers("enroll", "--new-key", "ec", ":"))
    assert.equal("P-256", offers("enroll", "--new-key", "ec", ":", "P-2"))
    assert.equal("P-256", offers("enroll", "--new-key", "=", "ec", ":", "P-2"))
    assert.equal("rsa:2048 rsa:3072 rsa:4096", offers("reenroll", "--new-key", "=", "rsa"))
  end)

  it("offers files and folders where one is taken", function()
    assert.equal("build.ninja", offers("serve", "build.n"))
    assert.equal("build.ninja", offers("enroll", "--trust", "build.n"))
    assert.equal("", offers("ca", "init", "build.n"))
    assert.equal("share", offers("ca", "init", "shar"))
  end)

  it("pleases shellcheck", function()
    process.must { "shellcheck", "-s", "bash", SHARE .. "/bash-completion/completions/lest" }
  end)
end)

describe("completion for zsh", function()
  -- Lines are typed in a terminal, with Tab behind each; what comes is read until it is as wanted.
  local SCRIPT <const> = [[
    zmodload zsh/zpty
    cd $2; zpty z zsh -f -i
    zpty -w z "PS1=; fpath=($1 \$fpath); autoload -U compinit; compinit -D -u"
    zpty -w z "bindkey '^I' complete-word; zstyle ':completion:*' list-colors ''; print re''ady"
    zpty -r z out '*ready*'
    shift 2
    for line wanted; do
      zpty -w -n z $'\x15'"$line"$'\t'
      zpty -r z out "*$wanted*" && print -r -- "$line"
    done]]

  it("offers commands, options, words and files", function()
    local lines = { { "lest cert rev", "oke" }, { "lest cert ", "Show a certificate and how it" },
      { "lest cert revoke --reas", "on" }, { "lest cert revoke --reason key", "Compromise" },
      { "lest serve build.n", "inja" }, { "lest ca s", "erver-cert" },
      { "lest ca server-cert --new", "-key" }, { "lest enroll --new-key ec:P-2", "56" },
      { "lest cert list --state n", [[ot\\ yet\\ valid]] }, { "lest help cert l", "ist" },
      { "lest help serve", "r.lua" } }
    local words, expected = {}, {}
    for i, line in ipairs(lines) do
      table.move(line, 1, 2, #words + 1, words)
      expected[i] = line[1]
    end
    local out = process.must { "timeout", "30", "zsh", "-f", "-c", SCRIPT, "zsh",
      SHARE .. "/zsh/site-functions", LEST_PREFIX, table.unpack(words) }
    assert.same(expected, lines_of(out))
  end)
end)
