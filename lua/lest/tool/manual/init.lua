--- The manual: every page as a table, which lest.tool.manual.roff writes for man,
--- lest.tool.manual.html for a browser, and lest.tool.manual.text for `lest help`. What a page says
--- of keys, fields, functions and options comes from the configuration's shape, the annotations and
--- the parsers of the commands.
---
---   manual.page "policy"
local M = {}

--- A paragraph, in which `code` is bold; or an item (a term and what stands below it), code, or a
--- heading.
---@alias lest.manual.block string|{ term?: string, code?: string, heading?: string }

---@class lest.manual.section
---@field title string
---@field [integer] lest.manual.block

---@class lest.manual.page
---@field name string "lest-policy"
---@field section integer of the manual
---@field manual string "File Formats"
---@field summary string
---@field [integer] lest.manual.section

--- The page of a topic.
---@param topic string "policy", "server.lua"
---@return lest.manual.page
function M.page(topic)
  return (require("lest.tool.manual." .. topic:gsub("%.lua$", "")))
end

--- Every page.
---@return lest.manual.page[]
function M.pages()
  local command = require "lest.tool.command"
  local pages = { M.page "lest" }
  for _, row in ipairs(command.topics) do table.insert(pages, M.page(row[1])) end
  for _, described in ipairs(require "lest.tool.manual.parser".all()) do
    table.insert(pages, require "lest.tool.manual.command".page(described))
  end
  return pages
end

local WIDTH_MAX <const> = 100
local PAGER <const> = "LESS=${LESS-FRX} "
  .. "exec ${PAGER:-$(command -v less || command -v more || echo cat)}"

--- Print a page: plain on a pipe, through a pager on a terminal.
---@param topic string
---@return integer exit_code
function M.show(topic)
  local core = require "lest.core"
  local text = require "lest.tool.manual.text"
  local page = M.page(topic)
  if not core.system.is_terminal(1) then
    io.write(text.page(page, 80))
    return 0
  end
  local width = math.min(tonumber(os.getenv "COLUMNS") or 80, WIDTH_MAX)
  local pager <close> = assert(io.popen(PAGER, "w"))
  pager:write(text.page(page, width))
  return 0
end

return M
