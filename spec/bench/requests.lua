--- Files of requests, as load_bench takes them (load.c): made anew from others.
local M = {}

--- The requests of a file once more, each changed.
---@param from string
---@param to string
---@param change fun(request: string, i: integer): string
---@return string to
function M.rewrite(from, to, change)
  local input <close> = assert(io.open(from, "rb"))
  local output <close> = assert(io.open(to, "wb"))
  local i = 0
  for line in function() return input:read "L" end do
    i = i + 1
    local request = change(input:read(math.tointeger(tonumber(line))), i)
    output:write(#request, "\n", request)
  end
  return to
end

return M
