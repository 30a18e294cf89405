--- `lest explain`: why a request ended as it did.
local core = require "lest.core"
local decisions = require "lest.tool.command.decisions"
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"
local terminal = require "lest.base.terminal"
local traces = require "lest.tool.inspect.traces"

local M = {}

-- Characters of a line of an error.
local DETAIL_MAX <const> = 400
local LIMIT_MAX <const> = 100

local function limit(text)
  local number = math.tointeger(tonumber(text, 10))
  if number and number >= 1 and number <= LIMIT_MAX then return number end
  return nil, ("'%s' is no count from 1 to %d"):format(text, LIMIT_MAX)
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest explain", summary = "Say why a request ended as it did: what was asked and "
      .. "proven, each rule and test of the policy with what it saw, what was answered from "
      .. "outside, the verdict, and what became of it.",
    example = "lest explain device001 --config pki/server.lua",
  }
  parser:argument "what"
    :description("A request's id, as in the log and in X-Request-Id; the serial number of the "
      .. "certificate that it was given; how only one of these begins; or a name, of which the "
      .. "last refusals are explained.")
  operate.common(parser)
  operate.reads(parser)
  parser:option "--limit":argname "N":convert(limit):default "5"
    :description "Of a name, so many refusals."
  return parser
end

local field <const> = operate.print_field

--- A field of words, each made safe; nothing where there are none.
local function say(name, ...)
  local words = {}
  for _, word in ipairs { ... } do words[#words + 1] = support.clean(tostring(word)) end
  if words[1] then field(name, table.concat(words, " ")) end
end

--- A text with its word before it, where there is one.
local function given(text, format)
  return text ~= nil and text ~= "" and format:format(text) or ""
end

--- The stack of an error is in 'request show'.
local function first_line(text)
  return text and terminal.line(text:match "^[^\n]*", DETAIL_MAX)
end

local function names_of(subject, san)
  local names = { subject ~= "" and subject or nil }
  for _, name in ipairs(san or {}) do names[#names + 1] = name end
  return names[1] and table.concat(names, ", ") or "no name"
end

local function print_asked(found)
  local asked = found.asked
  local tls = asked.tls or {}
  say("asked", ("%s, label %s, from %s%s"):format(asked.operation, asked.label,
    asked.address or "?", given(tls.version, ", %s") .. given(tls.cipher, " %s")
      .. (tls.channel_bound and ", to which the CSR is linked" or "")))
  if asked.subject or asked.san then say("for", names_of(asked.subject, asked.san)) end
  if asked.key_type then say("key", asked.key_type) end
  if asked.renews then say("renews", asked.renews) end
  if asked.reg_info then
    say("regInfo", terminal.line(core.base64.decode(asked.reg_info), DETAIL_MAX))
  end
end

local function print_principal(found)
  local who, claimed = found.principal, found.claimed
  if claimed then
    say("claimed", given(claimed.name, "%s") .. given(claimed.certificate, " by certificate %s"))
    say("proven", claimed.principal or "nothing")
    return
  elseif not who then
    return
  end
  say("proven", ("%s %s%s%s"):format(who.kind, who.name, given(who.anchors, ", anchors %s"),
    given(who.credential_id, ", credential %s")))
  if who.claims then say("claims", json.line(who.claims)) end
  local cert = who.certificate
  if cert then
    say("", ("certificate %s of %s, serial %s, until %s"):format(cert.subject, cert.issuer,
      cert.serial, support.time(cert.not_after)))
  end
  if who.device and who.device ~= who.name then say("device", who.device) end
  for _, approval in ipairs(found.approvals or {}) do
    say("approved by", tostring(approval.operator) .. given(approval.note, ": %s"))
  end
end

local function print_steps(found)
  if not found.steps then
    return say("steps", "none were recorded")
  end
  io.write("steps\n", traces.steps(found.steps, found.steps_left_out))
end

local function print_outside(found)
  if not (found.outside and found.outside[1]) then return end
  io.write("outside\n", traces.calls(found.outside, found.outside_left_out))
end

--- What a verdict stated, in words.
local function stated_of(stated)
  if type(stated) ~= "table" then return "" end
  local words, subject = {}, {}
  for i, part in ipairs(type(stated.subject) == "table" and stated.subject or {}) do
    subject[i] = type(part) == "table" and ("%s=%s"):format(part[1], part[2]) or nil
  end
  if subject[1] then words[1] = table.concat(subject, ",") end
  for _, name in ipairs(type(stated.san) == "table" and stated.san or {}) do
    words[#words + 1] = tostring(name)
  end
  if stated.renewal then words[#words + 1] = "the names of the certificate being renewed" end
  for _, name in ipairs { "profile", "key", "ca", "lifetime", "retry_after" } do
    if stated[name] then words[#words + 1] = ("%s %s"):format(name, stated[name]) end
  end
  return words[1] and ": " .. table.concat(words, ", ") or ""
end

local function print_policy(found)
  local policy = found.policy
  if not policy then
    return say("policy", found.claimed and "was not asked" or "is not recorded")
  end
  say("policy", ("%s (%s)%s"):format(policy.file, (policy.hash or "?"):sub(1, 12),
    given(policy.duration_us and traces.duration(policy.duration_us), ", %s")))
  if policy.asked_at then say("its time", support.time(policy.asked_at)) end
  print_steps(found)
  print_outside(found)
  say("verdict", (policy.verdict or found.outcome.verdict) .. given(policy.rule, " by %s")
    .. stated_of(policy.stated))
end

--- What the authority made of an approval.
local function print_grant(found)
  local outcome, policy = found.outcome, found.policy
  if not (policy and policy.verdict == "approve") then return end
  local granted = outcome.verdict == "approve"
  say("profile", ("%s: %s"):format(outcome.profile or "?", granted and "granted"
    or outcome.verdict .. given(outcome.reason or first_line(outcome.detail), ", %s")))
end

local function print_certificate(row)
  if not row then return end
  say("certificate", ("%s, %s"):format(row.serial, row.state))
  say("", names_of(row.subject, row.san ~= "" and { row.san } or {}))
  say("", ("from %s until %s"):format(support.time(row.not_before), support.time(row.not_after)))
  if row.revoked_at then
    say("", ("revoked %s%s"):format(support.time(row.revoked_at),
      given(row.revocation_reason, ", %s")))
  end
end

local function print_events(found)
  for _, event in ipairs(found.events or {}) do
    local by = event.policy ~= "" and event.policy:match "[^/]*$" or "a hook"
    say("event", ("%s: %s for %s, tries %d"):format(event.id, event.state, by, event.tries)
      .. given(event.problem, ": %s"))
  end
end

-- What becomes of an order, for people.
local ORDERS <const> = {
  asked = "is asked, and has not answered", held = "is away: the request is held",
  later = "decides later", issued = "has issued", refused = "has refused",
  failed = "has given an answer that cannot be used", away = "was away", lost = "may have issued "
  .. "what is not known here, and is not asked again", expired = "was asked in vain",
  revoked = "was told that the certificate is revoked",
}

local function print_orders(found)
  for _, order in ipairs(found.orders or {}) do
    say("CA", ("%s %s, %s, tries %d"):format(order.ca == "" and "ca" or order.ca,
      ORDERS[order.state] or order.state, support.time(order.updated), order.tries)
      .. given(order.problem, ": %s"))
  end
end

local function print_request(found)
  local outcome = found.outcome
  say("request", found.id)
  say("time", support.time(found.time_us // 1000000))
  print_asked(found)
  print_principal(found)
  print_policy(found)
  print_grant(found)
  local waits = outcome.pending_id and (" (pending %s%s)"):format(outcome.pending_id,
    given(decisions.outcome(outcome), ", now %s")) or ""
  say("ended", given(outcome.status, "%s ") .. outcome.verdict .. waits)
  if outcome.reason then say("client was told", outcome.reason) end
  local detail = first_line(outcome.detail)
  if detail and detail ~= outcome.reason then say("detail", detail) end
  print_orders(found)
  print_certificate(found.certificate)
  print_events(found)
end

local function print_refusals(found)
  if #found.refusals == 0 then
    return io.write(support.clean(found.name), ": nothing was refused; its last decision is\n\n")
  end
  local rows = {}
  for i, each in ipairs(found.refusals) do
    rows[i] = { support.time(each.time_us // 1000000), each.verdict, each.name, each.id, each.rule,
      decisions.reason(each) }
  end
  support.print_columns({ "REFUSED", "VERDICT", "NAME", "ID", "RULE", "REASON" }, rows, nil,
    { line = support.line_columns(1) })
  io.write "\n"
end

local function show(options, config)
  local found, err = operator.ask(config, "request_explain",
    { what = options.what, limit = options.limit })
  if not found then return nil, err end
  local issued = found.request.certificate
  if issued then operate.certificate(issued) end
  if options.json then return support.print_json(found) end
  if found.refusals then print_refusals(found) end
  print_request(found.request)
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, show)
end

return M
