--- Writes the manual as static pages: one for each page of man, one for each module of Lua, and an
--- index; plain CSS, no scripts.
---
---   for name, text in pairs(html.files(manual.pages())) do ... end
local api = require "lest.tool.manual.api"
local core = require "lest.core"

local M = {}

local STYLE <const> = [[
:root { color-scheme: light dark; --line: #8885; --quiet: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 0 auto; padding: 1rem; }
header { display: flex; justify-content: space-between; font-size: .9rem; opacity: .8; }
h1 { font-size: 1.7rem; margin: 1rem 0 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
code, pre { font: .92em/1.45 ui-monospace, monospace; }
pre { background: var(--quiet); padding: .7rem; overflow-x: auto; border-radius: .3rem; }
dt { margin-top: .6rem; }
dt code:first-child { font-weight: 600; }
dd { margin: 0 0 0 1.5rem; }
dd > p, dd > dl { margin: .2rem 0; }
nav ul { columns: 14rem; list-style: none; padding: 0; font-size: .92rem; }
a { text-decoration: none; }
a:hover { text-decoration: underline; }
:target { background: var(--quiet); }
]]

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;" }

local function escape(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

local function slug(text)
  return (text:lower():gsub("[^%w_.-]+", "-"))
end

---@class lest.manual.leaf
---@field file string "lest.key.html"
---@field name string its heading
---@field kind string what it belongs to in the index
---@field summary string
---@field [integer] lest.manual.section

local MODULES <const> = "Lua"
local KINDS <const> = { "Commands", "Files", MODULES }
local KIND_OF <const> = { [1] = "Commands", [3] = MODULES, [5] = "Files" }

local function first_text(section)
  for _, block in ipairs(section) do
    if type(block) == "string" then return block:match "^.-%f[.:;\0]" end
  end
  return ""
end

-- The sections that describe a module are pages, and those that are left get a list of them.
local function split(page, leaves)
  local leaf = { file = ("%s.%d.html"):format(page.name, page.section),
    kind = KIND_OF[page.section], name = ("%s(%d)"):format(page.name, page.section),
    summary = page.summary }
  table.insert(leaves, leaf)
  local fields = {}
  for _, field in ipairs(api.class "lest".fields) do fields["lest." .. field.name] = field.text end
  local modules = { title = "MODULES" }
  for _, section in ipairs(page) do
    if page.section == 3 and section.title:find "^lest" then
      local summary = fields[section.title] or first_text(section)
      table.insert(leaves, { file = section.title .. ".html", kind = MODULES, name = section.title,
        summary = summary, { title = "", table.unpack(section) } })
      if not modules[1] then table.insert(leaf, modules) end
      table.insert(modules, { term = ("`%s`"):format(section.title),
        summary ~= "" and summary or nil })
    else
      table.insert(leaf, section)
    end
  end
end

local function word_of(term)
  return term:match "^`([^`]+)`"
end

--- Where each name is described: file, or file#id; and which id each block has.
local function places_of(leaves)
  local places, ids = {}, {}
  for _, leaf in ipairs(leaves) do
    local taken = {}
    places[leaf.name] = leaf.file
    local function take(block, name)
      local id = slug(name)
      if taken[id] then return end
      taken[id], ids[block] = true, id
      -- A field's name alone says nothing about whose field it is.
      if not name:find "^%l+[.:]" then return end
      local place = leaf.file .. "#" .. id
      places[name] = places[name] or place
      -- "http.get" in the page of lest.http
      local full = "lest." .. name
      if full:sub(1, #leaf.name + 1) == leaf.name .. "." then places[full] = place end
    end
    for _, section in ipairs(leaf) do
      if section.title ~= "" then ids[section] = "section-" .. slug(section.title) end
      for _, block in ipairs(section) do
        local name = type(block) == "table"
          and (block.heading or block.term and word_of(block.term))
        if name then take(block, name) end
      end
    end
  end
  return places, ids
end

--- Writes the blocks of one page.
local Writer <const> = {}
Writer.__index = Writer

function Writer:link(name, text)
  local place = self.places[name]
  if not place or place == self.file then return text end
  return ('<a href="%s">%s</a>'):format(escape(place), text)
end

-- The names of our classes and functions, as in "Returns lest.cert."
function Writer:linked(text)
  return (escape(text):gsub("%f[%w_.]lest%.[%w_.]+", function(name)
    local bare = name:gsub("%.+$", "")
    return self:link(bare, bare) .. name:sub(#bare + 1)
  end))
end

--- A text whose `code` is code, and `lest-run`(1) a link.
function Writer:inline(text)
  text = text .. "``"
  local parts, at = {}, 1
  while true do
    local from, to, plain, code = text:find("([^`]*)`([^`]*)`", at)
    if not from then break end
    parts[#parts + 1] = self:linked(plain)
    local section = text:match("^%(%d%)", to + 1)
    if code ~= "" and section and self.places[code .. section] then
      parts[#parts + 1] = self:link(code .. section, ("<code>%s</code>%s"):format(escape(code),
        section))
      to = to + #section
    elseif code ~= "" then
      -- `lest cert list` is told in lest-cert(1)
      local command = code:match "^lest (%l+)"
      local name = command and ("lest-%s(1)"):format(command) or code
      parts[#parts + 1] = self:link(name, "<code>" .. escape(code) .. "</code>")
    end
    at = to + 1
  end
  return table.concat(parts)
end

local function with_id(tag, id)
  return id and ('<%s id="%s">'):format(tag, escape(id)) or "<" .. tag .. ">"
end

function Writer:item(block)
  local out = self.out
  out[#out + 1] = with_id("dt", self.ids[block]) .. self:inline(block.term) .. "</dt>"
  if block[1] then
    out[#out + 1] = "<dd>"
    self:blocks(block)
    out[#out + 1] = "</dd>"
  end
end

function Writer:block(block)
  local out = self.out
  if type(block) == "string" then
    out[#out + 1] = "<p>" .. self:inline(block) .. "</p>"
  elseif block.code then
    out[#out + 1] = "<pre>" .. escape(block.code) .. "</pre>"
  else
    out[#out + 1] = with_id("h3", self.ids[block]) .. escape(block.heading) .. "</h3>"
  end
end

--- Blocks in a row; items that follow each other are one list.
function Writer:blocks(blocks)
  local out, in_list = self.out, false
  for _, block in ipairs(blocks) do
    local is_item = type(block) == "table" and block.term ~= nil
    if is_item ~= in_list then out[#out + 1] = is_item and "<dl>" or "</dl>" end
    in_list = is_item
    if is_item then self:item(block) else self:block(block) end
  end
  if in_list then out[#out + 1] = "</dl>" end
end

local function frame(title, body)
  local version = escape("lest " .. core.version)
  return table.concat({ '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>" .. escape(title) .. "</title>",
    '<link rel="stylesheet" href="style.css">\n</head>\n<body>',
    '<header><a href="index.html">lest</a><span>' .. version .. "</span></header>", body,
    "</body>\n</html>", "" }, "\n")
end

local function contents(leaf, ids)
  local list = {}
  for _, section in ipairs(leaf) do
    if ids[section] then
      list[#list + 1] = ('<li><a href="#%s">%s</a></li>'):format(escape(ids[section]),
        escape(section.title))
    end
  end
  return #list > 4 and "<nav><ul>\n" .. table.concat(list, "\n") .. "\n</ul></nav>" or ""
end

local function page(leaf, places, ids)
  local writer = setmetatable({ places = places, ids = ids, file = leaf.file, out = {} }, Writer)
  local out = writer.out
  out[1] = ("<main>\n<h1>%s</h1>\n<p>%s</p>\n%s"):format(escape(leaf.name),
    writer:inline(leaf.summary), contents(leaf, ids))
  for _, section in ipairs(leaf) do
    if ids[section] then
      out[#out + 1] = with_id("h2", ids[section]) .. escape(section.title) .. "</h2>"
    end
    writer:blocks(section)
  end
  out[#out + 1] = "</main>"
  return frame(leaf.name, table.concat(out, "\n"))
end

local function index(leaves, places)
  local writer = setmetatable({ places = places, ids = {}, file = "index.html" }, Writer)
  local out = { "<main>\n<h1>lest</h1>\n<p>" .. escape(leaves[1].summary) .. ".</p>" }
  for _, kind in ipairs(KINDS) do
    out[#out + 1] = "<h2>" .. kind .. "</h2>\n<dl>"
    for _, leaf in ipairs(leaves) do
      if leaf.kind == kind then
        out[#out + 1] = ('<dt><a href="%s"><code>%s</code></a></dt>\n<dd>%s</dd>'):format(
          escape(leaf.file), escape(leaf.name), writer:inline(leaf.summary))
      end
    end
    out[#out + 1] = "</dl>"
  end
  out[#out + 1] = "</main>"
  return frame("lest", table.concat(out, "\n"))
end

--- Every file, by its name.
---@param pages lest.manual.page[]
---@return table<string, string>
function M.files(pages)
  local leaves = {}
  for _, each in ipairs(pages) do split(each, leaves) end
  local places, ids = places_of(leaves)
  local files = { ["style.css"] = STYLE, ["index.html"] = index(leaves, places) }
  for _, leaf in ipairs(leaves) do files[leaf.file] = page(leaf, places, ids) end
  return files
end

return M
