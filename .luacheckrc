std = "lua54"
max_line_length = 100
globals = { "LEST_PREFIX" }
-- Bodies for editors only: what they declare is not used. The type in an annotation stands in one
-- line.
files["lua/lest/meta"] = {
  ignore = { "211", "212", "241", "431" },
  max_comment_line_length = 200,
}
files["spec"] = { std = "+busted" }
files["policies/*_spec.lua"] = { std = "+busted" }
-- Gives coroutines a hook of their own.
files["spec/support/busted.lua"] = { globals = { "coroutine" } }
exclude_files = { "build" }
