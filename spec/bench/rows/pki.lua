--- Row: the PKI path of an enrollment against a raw verification and signature (spec/bench/pki.c).
local cjson = require "cjson"
local process = require "support.process"

---@param context bench.context
return function(context)
  local data, lines = {}, { ("  %-10s %8s %8s %8s %8s %8s %8s %8s"):format("", "ratio", "raw us",
    "path us", "parse", "verify", "issue", "encode") }
  for _, build in ipairs(context.builds) do
    local tool = build.prefix .. "/bench/pki_bench"
    if process.exists(tool) then
      local found = cjson.decode(process.must { tool })
      data[build.name] = found
      table.insert(lines, ("  %-10s %8.2f %8.0f %8.0f %8.0f %8.0f %8.0f %8.0f"):format(build.name,
        found.ratio, found.raw_us, found.path_us, found.parse_us, found.verify_us, found.issue_us,
        found.encode_us))
    end
  end
  return data, lines
end
