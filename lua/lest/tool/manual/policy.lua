--- lest-policy(5): what a policy is given and what it returns, from the annotations.
local api = require "lest.tool.manual.api"
local list = require "lest.base.list"

local functions <const> = api.functions "lest.policy"

-- The functions in the order of the page; other ones follow.
local VERDICTS <const> = { "approve", "consent", "reject", "pending", "unavailable" }
local HOOKS <const> = { "own_name", "renew" }
local RULES <const> = { "first", "when", "unless", "names", "named" }
local TESTS <const> = { "principal", "asks_for", "key", "address", "time", "validity", "history",
  "revoked", "rate", "all", "any", "none" }
local INVENTORIES <const> = { "csv", "sqlite", "http", "listed" }

-- The parts of a request in the order of the page: class, heading, what it is called.
local PARTS <const> = {
  { "lest.request", "THE REQUEST", "request" },
  { "lest.request.principal", "request.principal", "principal" },
  { "lest.csr", "request.csr", "csr" },
  { "lest.cert", "Certificates", "cert" },
  { "lest.name", "Names", "name" },
  { "lest.request.previous", "request.previous", "previous" },
  { "lest.request.approval", "request.approvals", "approval" },
  { "lest.request.history", "request.history", "history" },
  { "lest.request.known", "A part of request.history", "known" },
  { "lest.request.tally", "A count of request.history", "tally" },
  { "lest.request.rate_question", "What request.rate is asked", "question" },
  { "lest.request.rate", "What request.rate answers", "rate" },
  { "lest.request.auth", "request.auth", "auth" },
  { "lest.request.auth.certificate", "request.auth.certificate", "auth.certificate" },
  { "lest.request.auth.basic", "request.auth.basic", "auth.basic" },
  { "lest.request.auth.digest", "request.auth.digest", "auth.digest" },
  { "lest.request.auth.bearer", "request.auth.bearer", "auth.bearer" },
  { "lest.request.auth.challenge", "request.auth.challenge", "auth.challenge" },
  { "lest.request.auth.psk", "request.auth.psk", "auth.psk" },
  { "lest.request.auth.srp", "request.auth.srp", "auth.srp" },
  { "lest.request.tls", "request.tls", "tls" },
}

local function calls(title, names, ...)
  local section = { title = title, ... }
  for _, name in ipairs(names) do
    table.insert(section, api.call("policy.", functions[name]))
  end
  return section
end

local function others()
  local known, names = {}, {}
  for _, section in ipairs { VERDICTS, HOOKS, RULES, TESTS, INVENTORIES } do
    for _, name in ipairs(section) do known[name] = true end
  end
  for _, name in ipairs(list.sorted_keys(functions)) do
    if not known[name] then names[#names + 1] = name end
  end
  return names
end

local LISTED <const> = [[
local devices = policy.csv("devices.csv", { key = "serial" })
local listed = policy.listed(devices,
  "${principal.certificate.subject.serialNumber}", { state = "sold" })

enroll = policy.first {
  policy.unless(listed, policy.reject "not in the list"),
  policy.names { row = listed, CN = "${row.host}" },
}]]

local function hooks()
  local section = { title = "HOOKS" }
  api.add_class(section, "lest.policy.hooks", "hooks")
  return section
end

local function inventories()
  local section = calls("INVENTORIES", INVENTORIES,
    "What others know of a device. Each inventory answers a key with a row of facts, which is "
      .. "read-only, or with none. Where it cannot be asked, the request gets 503, whatever is "
      .. "made of the answer: a list to refuse is as safe as one to allow.",
    { code = LISTED })
  table.insert(section, { heading = "An inventory" })
  api.add_class(section, "lest.policy.inventory", "inventory")
  return section
end

local function request()
  local section
  for _, part in ipairs(PARTS) do
    local class, heading, called = table.unpack(part)
    if not section then
      section = { title = heading }
    else
      table.insert(section, { heading = heading })
    end
    api.add_class(section, class, called)
  end
  return section
end

local NOTIFY <const> = [[
issued = function(event)
  local res, err = lest.http.request { method = "POST",
    url = "https://inventory/certificates",
    json = { id = event.id, device = event.device,
      serial = event.certificate.serial } }
  if not res or res.status ~= 200 then
    return nil, err or res.status
  end
end]]

local function events()
  local section = { title = "WHAT HAPPENED",
    "`issued` and `revoked` are told of a certificate after the fact, and decide nothing. The "
      .. "ledger has each event from the moment at which the certificate is in it, until the hook "
      .. "has heard, whichever process dies meanwhile; so a hook may hear of one again, with the "
      .. "same `event.id`. A label without such hooks writes no events.",
    { code = NOTIFY },
    "A hook that fails is called again after a second, then less and less often, for as long as "
      .. "`outbox` (`lest-server.lua`(5)) says; `lest outbox`(1) shows what waits. That a "
      .. "certificate was revoked is told once its issue was heard of, or given up. No answer "
      .. "waits for a hook. `lest policy replay`, `fuzz` and a shadow call none.",
    { heading = "An event" } }
  api.add_class(section, "lest.event", "event")
  table.insert(section, { heading = "event.principal" })
  api.add_class(section, "lest.event.principal", "principal")
  return section
end

local KIT <const> = [[
enroll = policy.first {
  policy.unless(policy.address "10.0.0.0/8",
    policy.reject "enroll at the factory"),
  policy.when(policy.principal { anchors = "factory" }, policy.names {
    CN = "device-${principal.certificate.subject.serialNumber}" }),
  policy.when(policy.principal { kind = "basic" }, policy.own_name()),
},
reenroll = policy.first {
  policy.when(policy.key { reuse = true },
    policy.reject "make a new key"),
  policy.renew { window = "30d" },
}]]

local OPTIONS <const> = [[
labels = {
  default = { profile = "device", policies = {
    "working-hours.lua",
    { file = "names.lua", options = { prefix = "pump-" } },
  } },
}]]

local EXAMPLE <const> = [[
local lest, policy = require "lest", require "lest.policy"

---@type lest.policy.hooks
return {
  enroll = function(request)
    local who = request.principal
    if who.anchors ~= "factory" then
      return policy.reject "a factory certificate is required"
    end
    local serial = assert(who.certificate.subject.serialNumber,
      "the certificate has no serialNumber")
    local res, err = lest.http.get("https://inventory/devices/"
      .. lest.url.escape(serial))
    if not res or res.status >= 500 then
      return policy.unavailable { detail = err or res.status,
        retry_after = "2m" }
    elseif res.status ~= 200 then
      return policy.reject { "not in the inventory", detail = serial }
    elseif #request.approvals < 1 then
      return policy.pending { "awaiting an operator",
        retry_after = "1h" }
    end
    return policy.approve { subject = { { "CN", "device-" .. serial } },
      lifetime = "90d" }
  end,
  reenroll = policy.renew { window = "30d" },
}]]

local EDITOR <const> = [[
{ "runtime.version": "Lua 5.4",
  "workspace.library": ["/usr/share/lua/5.4"] }]]

return {
  name = "lest-policy", section = 5, manual = "File Formats",
  summary = "who gets which certificate, in Lua",
  { title = "DESCRIPTION",
    "A policy is a Lua file that a label of the configuration names (`lest-server.lua`(5)). It "
      .. "returns a table of hooks. A hook is called with a request, of which the principal is "
      .. "proven and the CSR only claims, and returns a verdict. An error, a hook that takes too "
      .. "long or too much memory (`limits.decision`, `limits.decision_memory`), and anything "
      .. "that is no verdict issue nothing: the client gets 500, and the log says why.",
    "A hook runs as a task of its worker: what waits in it, as `lest.http.get` does, keeps no "
      .. "other request waiting. It may use the modules of `lest-lua`(3) but for the CA's key, "
      .. "and `require` files beside it. No global can be assigned. Whatever a policy says, the "
      .. "authority process enforces the profile.",
    "Policies are read at a start and at a reload. `lest serve --check` reads them too, but runs "
      .. "no hook. `lest policy check` finds words that are wrong within one (`policy.aprove`, "
      .. "`request.principle`), also where no request has come to yet. `lest policy new` writes a "
      .. "policy with its spec, `lest policy test` runs specs (`lest.testing` in `lest-lua`(3)). "
      .. "`lest policy replay` decides what was recorded again with another policy and says what "
      .. "differs; a label's `shadow` (`lest-server.lua`(5)) does so with live requests.",
  },
  hooks(),
  calls("VERDICTS", VERDICTS,
    "Of `local policy = require \"lest.policy\"`. Times are seconds, or texts as `\"90d\"`, "
      .. "`\"10m\"`."),
  calls("READY-MADE HOOKS", HOOKS, "They are rules, too."),
  calls("RULES", RULES,
    "A rule is a function of the request that returns a verdict, or nil where it is not for this "
      .. "request; each hook may be one. Write it as any other function, or have it made of others "
      .. "by what follows. A mistake in such a call is told when the policy is loaded, with its "
      .. "line.",
    { code = KIT },
    "The log names the rule that decided, in the line of the request: `rule`. What is neither a "
      .. "verdict nor nil, as a true, is an error: nothing is issued."),
  calls("TESTS", TESTS,
    "A test is a function of the request that returns true or false: one of these, or any other. "
      .. "One that returns nil and an error, as `lest.http.get` does, is neither: nothing is "
      .. "issued."),
  inventories(),
  { title = "OPTIONS AND SEVERAL POLICIES",
    "A policy that declares options (`policy.options`) is a file for many labels. Those that the "
      .. "configuration gives are checked when the policy is loaded, by `lest serve --check` too:",
    { code = OPTIONS },
    "Of several policies of a label (`policies`) each hook is asked in their order. The first that "
      .. "does not approve decides. Where all approve, the names are those of the last that states "
      .. "some, and the shortest of the lifetimes counts; who only guards, as by a quota, answers "
      .. "`policy.consent()`. A policy that does not have a hook has no say there. `csrattrs` is "
      .. "the last one's.",
  },
  calls("OTHER FUNCTIONS", others()),
  request(),
  events(),
  { title = "EXAMPLE",
    "Devices come with a certificate of their maker, are looked up in an inventory, and wait for "
      .. "one operator. The configuration has `anchors = { own = \"ca.pem\", factory = "
      .. "\"makers.pem\" }` and a profile with `names = \"policy\"`.",
    { code = EXAMPLE },
  },
  { title = "EDITORS",
    "An editor with the Lua language server completes `request.` and `policy.` below the line "
      .. "`---@type lest.policy.hooks`, with a file `.luarc.json` beside the policy, as "
      .. "`share/lest/policies` has one:",
    { code = EDITOR },
  },
  { title = "FILES",
    { term = "`share/lest/policies`", "Below the place where lest is installed, `/usr` or "
      .. "`/usr/local`: ready-made policies, each with what it needs of the configuration, and its "
      .. "spec: `lest policy new NAME --from allow-list` copies both." } },
  { title = "SEE ALSO", "`lest-policy`(1), `lest-serve`(1), `lest-pending`(1), "
    .. "`lest-server.lua`(5), `lest-lua`(3)" },
}
