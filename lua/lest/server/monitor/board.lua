--- What all processes of the server have counted, at one moment. A process that was taken over may
--- have written anything into its own section: a row that stands for nothing is left out, and
--- values are added as numbers that may be of any size.
---
---   local board = board_module.read(config)
---   board:sum("handshakes", 3, board.workers)
local core = require "lest.core"
local meters = require "lest.server.wire.meters"

local M = {}

local SECTIONS <const> = meters.SECTIONS

local Board = {}
Board.__index = Board

local text_of <const> = {}
for text, name in pairs(core.meter.names) do text_of[name] = text end

local function name_of(section)
  for name, number in pairs(SECTIONS) do
    if number == section and name ~= "worker" then return name end
  end
  return ("worker %d"):format(section - SECTIONS.worker + 1)
end

---@return table board by_section: name, lost, and rows, by the name of what they count; workers and
--- all are lists of sections
function M.read()
  local self = setmetatable({ by_section = {}, workers = {}, all = {} }, Board)
  local section = 0
  while true do
    local rows, lost = core.meter.read(section)
    if not rows then return self end
    local by_name = {}
    for _, row in ipairs(rows) do
      local text = text_of[row[1]]
      by_name[text] = by_name[text] or {}
      table.insert(by_name[text], row)
    end
    self.by_section[section] = { name = name_of(section), rows = by_name, lost = lost }
    table.insert(self.all, section)
    if section >= SECTIONS.worker then table.insert(self.workers, section) end
    section = section + 1
  end
end

--- Of one section: the rows of what it counts.
---@param section integer
---@param name string
---@return integer[][]
function Board:rows(section, name)
  local found = self.by_section[section]
  return found and found.rows[name] or {}
end

--- Of one section: a value without places.
---@return integer
function Board:value(section, name)
  for _, row in ipairs(self:rows(section, name)) do
    if row[2] | row[3] | row[4] | row[5] == 0 then return row[6] end
  end
  return 0
end

return M
