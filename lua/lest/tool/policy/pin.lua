--- `lest policy pin`: a past decision as a test, with what it was made from.
local answers = require "lest.policy.recorded"
local core = require "lest.core"
local clock = require "lest.base.clock"
local decisions = require "lest.tool.command.decisions"
local fail = require "lest.base.fail"
local ledger_file = require "lest.server.ledger.file"
local operate = require "lest.tool.command.operate"
local plans = require "lest.testing.plan"
local recorded = require "lest.server.ledger.recorded"
local row_module = require "lest.desk.row"
local support = require "lest.tool.command.support"
local terminal = require "lest.base.terminal"
local trace = require "lest.base.trace"

local M = {}

local literal <const> = plans.literal
local COMMENT_MAX <const> = 300

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "pin",
    summary = "Print a past decision as a test: the request as the policy saw it, with its "
      .. "certificates and CSR, what it was told from outside, and the verdict. Append it to a "
      .. "spec: it fails as soon as the policy decides otherwise. It says what the ledger has of "
      .. "that request, answers from outside among it.",
    example = "lest policy pin 0f3c9a --config server.lua >> policy_spec.lua",
  })
  command:argument "what":argname "ID|SERIAL|NAME"
    :description "The request's id, the serial number of its certificate, or a name."
  command:option "--at":argname "TIME":convert(operate.moment(-1))
    :description("Of a name: its last decision until this time, '2026-01-31 12:00' in UTC or '2h' "
      .. "ago; without it, its last refusal.")
  command:option "--config":argname "FILE":default "./server.lua"
    :description "The server's configuration, of which the test loads the label's policies."
  command:option "--spec":argname "FILE"
    :description("The spec that the test is for: it names the policy as it is seen from there. "
      .. "Absent: one beside the policy.")
  command:option "--ledger":argname "FILE"
    :description "The ledger, as a copy that 'lest ledger backup' made, in place of the configured."
end

local function id_of(ledger, options)
  if options.at then return decisions.id_at(ledger, options.what, options.at) end
  return decisions.id(ledger, options.what)
end

local function pem(text)
  return "[[\n" .. text .. "]]"
end

-- A table with the fields that are there, in this order.
local function fields_code(pairs_list)
  local parts = {}
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then parts[#parts + 1] = pair[1] .. " = " .. pair[2] end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function text(value)
  if value ~= nil then return literal(value) end
end

local function certificate_code(principal, previous)
  local of_previous = previous and { facts = previous.facts, profile = previous.profile } or {}
  if of_previous.facts and next(of_previous.facts) == nil then of_previous.facts = nil end
  return "testing.cert " .. fields_code {
    { "anchors", text(principal.anchors) }, { "is_own", text(principal.is_own) },
    { "name", text(principal.name) }, { "facts", text(of_previous.facts) },
    { "profile", text(of_previous.profile) }, { "pem", pem(principal.certificate:pem()) },
  }
end

local function principal_code(facts)
  local principal = facts.principal
  if principal.certificate then return certificate_code(principal, facts.previous) end
  local credential, who = principal.credential, literal(principal.name)
  if principal.claims then
    who = fields_code { { "name", who }, { "claims", literal(principal.claims) } }
  end
  if not credential or next(credential) == nil then
    return ("testing.%s(%s)"):format(principal.kind, who)
  end
  return ("testing.%s(%s, %s)"):format(principal.kind, who, literal(credential))
end

local function request_code(facts)
  local lines = { ("principal = %s,"):format(principal_code(facts)),
    ("operation = %s,"):format(literal(facts.operation)) }
  local function add(field, value)
    if value ~= nil then lines[#lines + 1] = ("%s = %s,"):format(field, value) end
  end
  if facts.operation == "simplereenroll" and not facts.previous then add("previous", "false")
  elseif facts.previous and facts.operation == "simpleenroll" then
    add("previous", certificate_code(facts.principal, facts.previous))
  end
  for _, field in ipairs { "id", "label", "device", "address" } do
    add(field, text(facts[field]))
  end
  local auth = facts.auth or {}
  if next(auth, (next(auth))) ~= nil then add("auth", literal(auth)) end
  for _, field in ipairs { "headers", "tls", "approvals" } do
    local value = facts[field]
    if value and next(value) ~= nil then add(field, literal(value)) end
  end
  add("time", tostring(facts.time))
  add("csr", ("{ pem = %s }"):format(pem(facts.csr:pem())))
  return "testing.request {\n      " .. table.concat(lines, "\n      ") .. "\n    }"
end

-- What it was told from outside as testing.policy takes it, and remarks about what was not kept.
local function outside_of(row)
  local given, remarks = {}, {}
  for _, call in ipairs((trace.read_calls(row.outside)) or {}) do
    local answer = call.answer
    if call.is_nothing then answer = false
    elseif call.err then answer = { err = call.err.message } end
    if answer == nil or not answers.is_whole(answer) then
      remarks[#remarks + 1] = ("no answer was kept to %s %s: give one"):format(call.kind,
        call.question)
    else
      given[call.kind] = given[call.kind] or {}
      given[call.kind][call.question] = answer
    end
  end
  if not row_module.says_all(row) then
    remarks[#remarks + 1] = "recorded by an older version: what it asked outside is not known"
  end
  return given, remarks
end

local function folder_of(path)
  return (path:match "^(.*/)[^/]*$")
end

-- A path as it is seen from a folder; as it is where they share nothing.
local function seen_from(folder, path)
  folder, path = core.file.resolve(folder .. "x"), core.file.resolve(path) or path
  folder = folder and folder_of(folder) or "/"
  local up = ""
  while folder ~= "/" and path:sub(1, #folder) ~= folder do
    folder, up = folder_of(folder:sub(1, -2)), up .. "../"
  end
  return folder == "/" and path or up .. path:sub(#folder + 1)
end

-- The label's policy, or the first of several beside the others, with the options it has there.
local function policy_code(options, config, row, given)
  local label = config.labels and config.labels[row.label]
  if not label then return nil end
  local first = label.policies[1].file
  local folder = folder_of(options.spec or first)
  local stated, with = { outside = next(given) and given or nil }, {}
  for i = 2, #label.policies do
    with[#with + 1] = { file = seen_from(folder, label.policies[i].file),
      options = label.policies[i].options }
  end
  stated.with = with[1] and with or nil
  stated.config, stated.label = seen_from(folder, options.config), row.label
  return ("testing.policy(%s, %s)"):format(literal(seen_from(folder, first)), literal(stated))
end

local ASSERTIONS <const> = { approve = "approves", reject = "rejects", pending = "holds",
  unavailable = "unavailable" }

local function expected_code(stated)
  local expected = { renewal = stated.renewal or nil, san = stated.san, profile = stated.profile,
    lifetime = stated.lifetime, key = stated.key, retry_after = stated.retry_after,
    needed = stated.needed, reason = stated.reason }
  for i, pair in ipairs(stated.subject or {}) do
    expected.subject = expected.subject or {}
    expected.subject[i] = { pair[1], pair[2], plus = pair.plus, der = pair.der }
  end
  return next(expected) and ", " .. literal(expected) or ""
end

local function assertion_code(stated, facts)
  local name = ASSERTIONS[stated.verdict]
  local request = request_code(facts)
  if name then
    return ("assert.%s(policy, %s%s)"):format(name, request, expected_code(stated))
  end
  return ("-- The policy failed: write what it is to say.\n    assert.rejects(policy, %s)"):format(
    request)
end

-- What is to come out: of an approval that the profile did not allow, which the test has too,
-- what the client got.
local function expected_of(row, stated, remarks)
  local is_refused = row.verdict == "reject" or row.verdict == "error"
  if stated.verdict ~= "approve" or not is_refused then return stated end
  remarks[#remarks + 1] = "the policy approved this, and the profile, or an operator meanwhile, "
    .. "did not allow it"
  return { verdict = row.verdict, reason = row.reason }
end

local function comments(remarks)
  local lines = {}
  for i, remark in ipairs(remarks) do
    lines[i] = "    -- " .. terminal.line(remark, COMMENT_MAX) .. "\n"
  end
  return table.concat(lines)
end

local function print_test(options, config, row, facts, stated)
  local given, remarks = outside_of(row)
  stated = expected_of(row, stated, remarks)
  local policy = policy_code(options, config, row, given)
  if not policy then
    return fail("config", ("the configuration has no label '%s'"):format(row.label))
  end
  io.write("\ndescribe(", literal("request " .. row.id), ", function()\n",
    "  local testing = require \"lest.testing\"\n",
    "  it(", literal(("is decided as on %s: %s"):format(clock.text(facts.time), stated.verdict)),
    ", function()\n", comments(remarks), "    local policy = ", policy, "\n    ",
    assertion_code(stated, facts), "\n  end)\nend)\n")
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  local config, err = require "lest.server.config.load".load(options.config)
  if not config then return nil, err end
  -- A ledger is opened from its own folder.
  options.config = core.file.absolute(options.config)
  options.spec = options.spec and core.file.absolute(options.spec)
  local ledger <close>, problem = ledger_file.open_to_read(options.ledger
    and { ledger = options.ledger } or config)
  if not ledger then return nil, problem end
  local id, row
  id, err = id_of(ledger, options)
  if not id then return nil, err end
  row, err = recorded.get(ledger, id)
  if not row then
    if err then return nil, err end
    return fail("not_found", ("no policy was asked about the request %s"):format(id))
  end
  local facts, what = row_module.read(row)
  if not facts then return fail("malformed", ("the request %s: %s"):format(id, what)) end
  local stated
  stated, what = row_module.stated(row)
  if not stated then
    return fail("not_found", ("the request %s: %s"):format(id,
      what or "no policy was asked about it"))
  end
  return print_test(options, config, row, facts, stated)
end

return M
