--- Writes a page as man(7) macros, for man and mandoc.
local core = require "lest.core"

local M = {}

-- What roff would turn into something else.
local SPECIAL <const> = { ["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["^"] = "\\(ha",
  ["~"] = "\\(ti", ["`"] = "\\(ga" }

local function escape(text)
  return (text:gsub("[\\%-'^~`]", SPECIAL))
end

-- A line that begins with a dot would be a macro. (An apostrophe is escaped.)
local function guard(line)
  return (line:gsub("^%.", "\\&."))
end

--- A text whose `code` is bold. In prose an apostrophe is one.
local function inline(text)
  local parts = {}
  for plain, code in (text .. "``"):gmatch "([^`]*)`([^`]*)`" do
    parts[#parts + 1] = escape(plain):gsub("\\%(aq", "'")
    if code ~= "" then parts[#parts + 1] = "\\fB" .. escape(code) .. "\\fR" end
  end
  return (table.concat(parts):gsub("^'", "\\&'"))
end

local write

local kinds <const> = {}

function kinds.text(out, block)
  out[#out + 1] = guard(inline(block))
end

function kinds.code(out, block)
  out[#out + 1] = ".nf"
  for line in (block.code .. "\n"):gmatch "([^\n]*)\n" do out[#out + 1] = guard(escape(line)) end
  out[#out + 1] = ".fi"
end

function kinds.term(out, block)
  out[#out + 1] = ".TP\n" .. guard(inline(block.term))
  local rest = 1
  if type(block[1]) == "string" then
    out[#out + 1] = guard(inline(block[1]))
    rest = 2
  end
  if not block[rest] then return end
  out[#out + 1] = ".RS"
  write(out, table.move(block, rest, #block, 1, {}), rest == 2)
  out[#out + 1] = ".RE"
end

function kinds.heading(out, block)
  out[#out + 1] = ".SS " .. escape(block.heading)
end

local function kind_of(block)
  if type(block) == "string" then return "text" end
  return block.code and "code" or block.term and "term" or "heading"
end

--- Blocks in a row; `goes_on`: behind a paragraph.
function write(out, blocks, goes_on)
  for _, block in ipairs(blocks) do
    local kind = kind_of(block)
    if goes_on and (kind == "text" or kind == "code") then out[#out + 1] = ".PP" end
    kinds[kind](out, block)
    goes_on = kind ~= "heading"
  end
end

--- The text of a page.
---@param page lest.manual.page
---@return string
function M.page(page)
  local out = {
    ('.TH %s %d "%s" "lest %s" "%s"'):format(escape(page.name:upper()), page.section,
      os.date("!%Y-%m-%d", core.built), escape(core.version), page.manual),
    ".nh\n.ad l", -- names are not to be cut in two
    ".SH NAME", escape(page.name) .. " \\- " .. inline(page.summary),
  }
  for _, section in ipairs(page) do
    out[#out + 1] = ".SH " .. section.title
    write(out, section)
  end
  return table.concat(out, "\n") .. "\n"
end

return M
