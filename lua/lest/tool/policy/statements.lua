--- The statements of a policy's text and the lines by which each is known to have run. Those of the
--- file's own body are left out: they run when it is loaded.
local M = {}

-- Where a statement has blocks of others.
local BLOCKS <const> = {
  While = function(node) return { node[2] } end,
  Repeat = function(node) return { node[1] } end,
  Fornum = function(node) return { node[5] or node[4] } end,
  Forin = function(node) return { node[3] } end,
  If = function(node)
    local blocks = {}
    for i = 2, #node, 2 do blocks[#blocks + 1] = node[i] end
    if #node % 2 == 1 then blocks[#blocks + 1] = node[#node] end
    return blocks
  end,
  Do = function(node) return { node } end,
}

local CONSTANTS <const> = { Nil = true, True = true, False = true, Number = true, String = true }

-- What leaves nothing to run: a label, a local of constants.
local function runs(node)
  if node.tag == "Label" or node.tag == "Do" then return false end
  if node.tag ~= "Local" then return true end
  for _, value in ipairs(node[2] or {}) do
    if not CONSTANTS[value.tag] then return true end
  end
  return false
end

local visit_block

-- The lines of a node; functions in it are blocks of their own, and made in their last line.
local function add_lines(self, node, lines, skipped)
  if node.line then lines[node.line] = true end
  if node.tag == "Function" then
    lines[self.source.line_at(node.end_offset)] = true
    visit_block(self, node[2], true)
    return
  end
  for _, child in ipairs(node) do
    if type(child) == "table" and not skipped[child] then add_lines(self, child, lines, skipped) end
  end
end

function visit_block(self, block, is_inner)
  for _, node in ipairs(block) do
    local skipped, lines = {}, {}
    local blocks = BLOCKS[node.tag] and BLOCKS[node.tag](node) or {}
    for _, each in ipairs(blocks) do skipped[each] = true end
    if not skipped[node] then add_lines(self, node, lines, skipped) end
    if is_inner and runs(node) then table.insert(self, { line = node.line, lines = lines }) end
    for _, each in ipairs(blocks) do visit_block(self, each, true) end
  end
end

--- The statements of a policy.
---@param source lest.policy.source
---@return { line: integer, lines: table<integer, boolean> }[]
function M.of(source)
  local self = { source = source }
  visit_block(self, source.ast, false)
  self.source = nil
  table.sort(self, function(a, b) return a.line < b.line end)
  return self
end

return M
