std = "lua54"
max_line_length = 100
globals = { "LEST_PREFIX" }
files["lua/lest/meta.lua"] = { ignore = { "212", "241", "211" } }
files["spec"] = { std = "+busted" }
files["lua/lest/meta.lua"] = { ignore = { "211", "212", "241" } }
exclude_files = { "build" }
