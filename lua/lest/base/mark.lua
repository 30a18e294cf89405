--- The byte order mark that editors put at the start of a text file: it says nothing, and is no
--- part of the text.
---
---   mark.strip "\xef\xbb\xbfreturn {}"   --> "return {}"
local M = {}

---@param text string
---@return string
function M.strip(text)
  return (text:gsub("^\xef\xbb\xbf", ""))
end

return M
