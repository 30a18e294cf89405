std = "lua54"
max_line_length = 100
globals = { "LEST_PREFIX" }
files["spec"] = { std = "+busted" }
exclude_files = { "build" }
