--- `lest run SCRIPT [ARG...]`: run a Lua script with lest at hand.
local M = {}

---@param args string[]
---@return integer exit_code
function M.main(args)
  local path = args[1]
  if not path then
    io.stderr:write("usage: lest run SCRIPT [ARG...]\n")
    return 2
  end
  local chunk, err = loadfile(path)
  if not chunk then
    io.stderr:write("lest run: ", err, "\n")
    return 2
  end
  arg = table.move(args, 1, #args, 0, {}) -- luacheck: ignore 111
  chunk(table.unpack(args, 2))
  return 0
end

return M
