--- The mutants, from the tables in spec/mutate/mutants: one table an area, in it one group a file.
---
---   { file = "lua/lest/client/trust.lua", specs = { "spec/unit/lua/client/trust_spec.lua" },
---     { "a link need be no CA", "and cert.is_ca", "" },
---     { "...", TEXT, REPLACEMENT, specs = { ... }, reason = "why no spec can see it" },
---   }
---
--- A mutant is what is wrong then, the text (which stands once in the file) and its replacement.
--- Keep texts short, so that they outlive changes around them. `specs` of a mutant replace those of
--- its group.
local process = require "support.process"

local M = {}

local AREAS <const> = { "client", "probe", "authority", "ledger", "worker", "console", "control",
  "pki", "http", "wire", "digest", "bearer", "jwt", "handshake", "proxy",
  "backend", "keygen", "host", "deploy", "agent" }

--- All mutants, or those with one of some words in their title.
---@param words string[]
---@return table[] each with title, file, text, by (its replacement), specs and perhaps reason
function M.select(words)
  local list = {}
  for _, area in ipairs(AREAS) do
    for _, group in ipairs(require("mutate.mutants." .. area)) do
      for _, row in ipairs(group) do
        local title = ("%s: %s"):format(group.file, row[1])
        local wanted = #words == 0
        for _, word in ipairs(words) do wanted = wanted or title:find(word, 1, true) ~= nil end
        if wanted then
          table.insert(list, { title = title, file = group.file, text = row[2], by = row[3],
            specs = row.specs or group.specs, reason = row.reason })
        end
      end
    end
  end
  return list
end

--- The file's text with the mutant in it.
---@param mutant table
---@param source string
---@return string|nil
---@return string|nil problem
function M.plant(mutant, source)
  local first, last = source:find(mutant.text, 1, true)
  if not first then return nil, "its text does not occur" end
  if source:find(mutant.text, last + 1, true) then return nil, "its text occurs more than once" end
  return source:sub(1, first - 1) .. mutant.by .. source:sub(last + 1)
end

--- Why a mutant cannot be planted in the tree, or nil.
---@param mutant table
---@return string|nil
function M.problem(mutant)
  for _, path in ipairs { mutant.file, table.unpack(mutant.specs) } do
    if not process.exists(path) then return "there is no " .. path end
  end
  return (select(2, M.plant(mutant, process.read(mutant.file))))
end

return M
