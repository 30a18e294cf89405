--- lest-lua(3): the modules and classes for scripts and policies, from their annotations.
local annotations = require "lest.tool.manual.annotations"
local api = require "lest.tool.manual.api"
local list = require "lest.base.list"

--- The modules in the order of the page. lest.policy has a page of its own.
local MODULES <const> = { "lest.http", "lest.task", "lest.all", "lest.retry", "lest.json",
  "lest.url", "lest.duration", "lest.log", "lest.testing" }

--- Classes of objects, in the sections where they are made: what they are called, their class.
local OBJECTS <const> = {
  ["lest.http"] = { { "response", "lest.http.response" } },
  ["lest.all"] = { { "failures", "lest.failures" } },
  ["lest.task"] = { { "task", "lest.task" } },
  ["lest.url"] = { { "url", "lest.url" } },
}

--- The tables of the core that `lest` has, and the objects that they make.
local CORE <const> = {
  { "key", "key", "lest.key" }, { "csr", "csr", "lest.csr", "lest.csr_plan",
    "lest.csr_raw" },
  { "cert", "cert", "lest.cert", "lest.explanation.options", "lest.explanation",
    "lest.explanation.path", "lest.explanation.fault", "lest.explanation.miss" },
  { "crl", "crl", "lest.crl", "lest.crl_entry" },
  { "store", "store", "lest.store", "lest.store_verify", "lest.store_try" },
  { "csrattrs", nil, "lest.csrattr", "lest.csrattr_wish", "lest.wishes" },
  { "pkcs7", nil, "lest.cms" },
  { "issuer", "issuer", "lest.issuer", "lest.issue_plan", "lest.root_plan" },
  { "name", "name", "lest.name" }, { "san" }, { "file" }, { "error", nil, "lest.error" },
  { "base64" }, { "clock" },
}

local function add_calls(section, prefix, functions)
  local seen = {}
  for _, fn in ipairs(functions) do table.insert(section, api.call(prefix, fn, seen)) end
end

local function in_order(functions)
  local all = {}
  for i, name in ipairs(list.sorted_keys(functions)) do all[i] = functions[name] end
  return all
end

local function add_objects(section, objects)
  for _, object in ipairs(objects or {}) do
    local called, class = table.unpack(object)
    table.insert(section, { heading = class })
    api.add_class(section, class, called)
  end
end

local function module_section(name)
  local section = { title = name }
  local found = annotations.of(name)
  for _, block in ipairs(api.blocks(found.head)) do table.insert(section, block) end
  if found.module then api.add_fields(section, found.module) end
  add_calls(section, name:match "[%w]+$" .. ".", in_order(found.functions))
  if found.result then
    found.result.name = name:match "[%w]+$"
    add_calls(section, "lest.", { found.result })
  end
  add_objects(section, OBJECTS[name])
  return section
end

local function client_section()
  local found = annotations.of "lest.client"
  local section = { title = "lest.client", table.unpack(api.blocks(found.head)) }
  local make = { name = "client", text = "Make a client.", returns = {},
    parameters = { { name = "options", type = "lest.client.options", text = "" } } }
  table.insert(section, api.call("lest.", make))
  api.add_class(section, "lest.client", "client")
  for _, object in ipairs { { "lest.client.connection", "connection" },
    { "lest.client.sending", "what" }, { "lest.client.event", "event" },
    { "lest.client.tls", "tls" }, { "lest.probe.options", "options" },
    { "lest.probe.report", "report" }, { "lest.probe.verdict", "check" } } do
    local class, called = table.unpack(object)
    table.insert(section, { heading = class })
    api.add_class(section, class, called)
  end
  return section
end

local function core_section(row)
  local name, called = row[1], row[2]
  local section = { title = "lest." .. name }
  local class = api.class("lest.core." .. name)
  for _, block in ipairs(api.blocks(class.text)) do table.insert(section, block) end
  add_calls(section, section.title .. ".", class.functions)
  for i = 3, #row do
    table.insert(section, { heading = row[i] })
    api.add_class(section, row[i], called or name)
  end
  return section
end

local function lest_section()
  local section = { title = "lest" }
  api.add_class(section, "lest", "lest")
  return section
end

local EXAMPLE <const> = [[
local lest = require "lest"
local client = lest.client { url = "https://est.example.com",
  trust = "ca.pem", username = "device001",
  password = os.getenv "BOOTSTRAP" }
local key = assert(lest.key.generate "ec:P-256")
assert(key:save("device.key", { new = true }))
local cert, err = client:enroll { key = key,
  subject = "CN=device001", wait = "10m" }
if not cert then
  io.stderr:write(tostring(err), "\n")
  os.exit(err.exit_code)
end
assert(cert:save "device.pem")]]

local page <const> = {
  name = "lest-lua", section = 3, manual = "Library Functions",
  summary = "Enrollment over Secure Transport in Lua",
  { title = "DESCRIPTION",
    "`require \"lest\"` is for scripts (`lest run`, or `lua5.4`), for the prompt of `lest repl`, "
      .. "and for policies (`lest-policy`(5)). What a peer, a file or the network causes is "
      .. "returned as `nil` and an error, a table with `code` and `message`; a programmer's "
      .. "mistake raises. Times are seconds, or texts as `\"90d\"`, `\"10m\"`, `\"1h30m\"`.",
  },
  { title = "EXAMPLE", { code = EXAMPLE } },
  lest_section(), client_section(),
}
for _, name in ipairs(MODULES) do table.insert(page, module_section(name)) end
for _, row in ipairs(CORE) do table.insert(page, core_section(row)) end
table.insert(page, { title = "SEE ALSO", "`lest-run`(1), `lest-repl`(1), `lest-policy`(5)" })

return page
