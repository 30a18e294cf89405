--- Commands of the binary under test, as a user types them.
---   local result = shell.lest("run", script)   --> { code = 0, out = "...", err = "..." }
---   shell.run("openssl verify -CAfile " .. shell.quote(file))
local M = {}

--- The binary under test.
M.binary = LEST_PREFIX .. "/bin/lest"

---@param word string
---@return string
function M.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function slurp(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Run a shell command; input is its standard input (default: empty).
---@param command string
---@param input? string
---@return { code: integer, out: string, err: string }
function M.run(command, input)
  local base = os.tmpname()
  local file <close> = assert(io.open(base, "wb"))
  file:write(input or "")
  file:close()
  local line = ("( %s ) <%s >%s.out 2>%s.err"):format(command, base, base, base)
  local _, kind, code = os.execute(line)
  local result = { code = kind == "exit" and code or 128 + code, out = slurp(base .. ".out"),
    err = slurp(base .. ".err") }
  for _, suffix in ipairs { "", ".out", ".err" } do os.remove(base .. suffix) end
  return result
end

--- The words of a lest command as one shell command.
function M.line(...)
  local words = { M.quote(M.binary) }
  for _, word in ipairs { ... } do words[#words + 1] = M.quote(word) end
  return table.concat(words, " ")
end

--- Run lest with these words.
---@param ... string
---@return { code: integer, out: string, err: string }
function M.lest(...)
  return M.run(M.line(...))
end

return M
