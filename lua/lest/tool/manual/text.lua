--- Writes a page as plain text, for a terminal and for a pipe.
local M = {}

local INDENT <const>, STEP <const> = 7, 7

--- Lines of at most `width` columns, each with this indentation.
local function wrap(out, text, indent, width)
  local line = ""
  for word in text:gmatch "%S+" do
    if line ~= "" and utf8.len(line) + 1 + utf8.len(word) > width - indent then
      out[#out + 1] = (" "):rep(indent) .. line
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  out[#out + 1] = line ~= "" and (" "):rep(indent) .. line or nil
end

local function inline(text)
  return (text:gsub("`", ""))
end

local function write(out, blocks, indent, width)
  for _, block in ipairs(blocks) do
    if type(block) == "string" then
      wrap(out, inline(block), indent, width)
    elseif block.heading then
      out[#out + 1] = "   " .. block.heading
    elseif block.code then
      for line in (block.code .. "\n"):gmatch "([^\n]*)\n" do
        out[#out + 1] = line ~= "" and (" "):rep(indent + 4) .. line or ""
      end
    else
      wrap(out, inline(block.term), indent, width)
      if block[1] then
        write(out, block, indent + STEP, width)
        goto continue
      end
    end
    if not block.heading then out[#out + 1] = "" end
    ::continue::
  end
end

--- The text of blocks alone, as `help` of the REPL shows them.
---@param blocks lest.manual.block[]
---@param width integer columns
---@return string
function M.blocks(blocks, width)
  local out = {}
  write(out, blocks, 0, width)
  return (table.concat(out, "\n"):gsub("\n+$", ""))
end

--- The text of a page.
---@param page lest.manual.page
---@param width integer columns
---@return string
function M.page(page, width)
  local out = {}
  write(out, { page.name .. " - " .. page.summary }, 0, width)
  for _, section in ipairs(page) do
    out[#out + 1] = section.title
    write(out, section, INDENT, width)
  end
  return table.concat(out, "\n")
end

return M
