-- A step of the build: `lest run lua/manual.lua FOLDER` writes the manual pages
-- (lua/lest/tool/manual), for man and as HTML, and the completions of shells below FOLDER, as share
-- has them.
local core = require "lest.core"
local manual = require "lest.tool.manual"
local parser = require "lest.tool.manual.parser"
local roff = require "lest.tool.manual.roff"

local folder = arg[1]

local function write(path, text)
  assert(core.file.write(folder .. "/" .. path, text))
end

local pages = manual.pages()
for _, page in ipairs(pages) do
  write(("man/man%d/%s.%d"):format(page.section, page.name, page.section), roff.page(page))
end
for name, text in pairs(require "lest.tool.manual.html".files(pages)) do
  write("html/" .. name, text)
end

local commands = parser.completed()
write("bash-completion/completions/lest", require "lest.tool.manual.bash".script(commands))
write("zsh/site-functions/_lest", require "lest.tool.manual.zsh".script(commands))
