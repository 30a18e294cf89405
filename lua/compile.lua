-- A step of the build: `lest run lua/compile.lua FOLDER FILE...` makes FOLDER/MODULE.luac of each
-- file of lua/ (lest/client.lua) and of argparse, the largest module that commands load.
local names = { "argparse" }
for i = 2, #arg do
  names[i] = arg[i]:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
end
require "lest.tool.compiled".write(arg[1], names)
