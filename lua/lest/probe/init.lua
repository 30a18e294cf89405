--- Holds any EST server against the RFCs from outside: each check is one requirement, and says what
--- was seen. Without more it reads, and sends requests that every server refuses.
---
--- A check is { id, level, requirement, needs, run = function(target) return ok, seen end }: ok is
--- true, false, or nil where it cannot be told; needs names what the client must have
--- (`credentials`, or `enroll`: the permission to enroll, too).
local core = require "lest.core"
local list = require "lest.base.list"
local schema = require "lest.base.schema"
local target_module = require "lest.probe.target"
local terminal = require "lest.base.terminal"
local wire_module = require "lest.probe.wire"

local M = {}

-- In the order in which they run: what asks for certificates comes last.
local SECTIONS <const> = { "uris", "tls", "http", "media", "authentication", "digest", "cacerts",
  "csrattrs", "templates", "optional", "refusals", "enroll", "keygen", "cmc", "certs",
  "revocation" }

--- What a check came to.
---@class lest.probe.verdict
---@field id string of the requirement: its RFC, section and a letter
---@field level string the RFC's word, "MUST NOT"; "INTEROP": needed to work with others
---@field requirement string what it is that a server must do: "offer /cacerts"
---@field verdict "pass"|"fail"|"skip" skip: it does not apply, or could not be told
---@field seen string what the server did, or why it was skipped

--- What a probe has found.
---@class lest.probe.report
---@field url string of the operations
---@field label string?
---@field tls string? "TLSv1.3 TLS_AES_256_GCM_SHA384"
---@field requests integer how many were sent
---@field checks lest.probe.verdict[]
---@field counts { pass: integer, fail: integer, skip: integer }
---@field must_failed integer checks of MUST and MUST NOT that failed
---@field err lest.error? the server was lost on the way: the checks after that are skipped

---@class lest.probe.options
---@field enroll? boolean certificates may be asked for: one, and some renewals of it
---@field subject? string whom to enroll; by default the user name, or the certificate's names
---@field checks? string[] the ids of those to run; all if absent
---@field rate? number requests a second, at most; 5 if absent
---@field progress? fun(done: integer, all: integer, check: lest.probe.verdict) is told each

local RATE <const> = 5
local SEEN_MAX <const> = 200

--- Every check, in order.
---@return table[]
function M.checks()
  local all = {}
  for _, section in ipairs(SECTIONS) do
    for _, check in ipairs(require("lest.probe." .. section)) do all[#all + 1] = check end
  end
  return all
end

--- The checks of these ids, in their order; all without any.
---@param ids? string[]
---@return table[]?
---@return string? problem
function M.choose(ids)
  local all = M.checks()
  if not ids then return all end
  local known, picked = {}, {}
  for _, check in ipairs(all) do
    known[check.id] = true
    if list.has(ids, check.id) then picked[#picked + 1] = check end
  end
  for _, id in ipairs(ids) do
    if not known[id] then
      return nil, ("there is no check '%s'%s"):format(id, schema.hint(id, known))
    end
  end
  return picked
end

local NEEDS <const> = {
  credentials = function(target)
    return not target:has_credentials() and "needs a password, a token or a client certificate"
  end,
  enroll = function(target)
    if not target.options.enroll then return "needs the permission to enroll" end
    return not target:has_credentials() and "needs a password, a token or a client certificate"
  end,
}

local WORDS <const> = { [true] = "pass", [false] = "fail" }

-- Errors that end the probe are thrown as tables; a mistake of ours is no finding.
local function run_one(check, target)
  local missing = check.needs and NEEDS[check.needs](target)
  if missing then return "skip", missing end
  local ok, seen = check.run(target)
  return WORDS[ok] or "skip", terminal.line(seen or "", SEEN_MAX)
end

local function run_all(checks, target, report, progress)
  for i, check in ipairs(checks) do
    local verdict, seen = "skip", "the server was lost before"
    if not report.err then
      local called, one, two = pcall(run_one, check, target)
      if called then
        verdict, seen = one, two
      elseif core.error.is(one) then
        report.err, seen = one, terminal.line(tostring(one), SEEN_MAX)
      else
        error(one, 0)
      end
    end
    local found = { id = check.id, level = check.level, requirement = check.requirement,
      verdict = verdict, seen = seen }
    report.checks[i] = found
    report.counts[verdict] = report.counts[verdict] + 1
    if verdict == "fail" and check.level:find "^MUST" then
      report.must_failed = report.must_failed + 1
    end
    if progress then progress(i, #checks, found) end
  end
end

--- Run the checks on the server of a client that is open.
---@param client lest.client
---@param nobody lest.client the same with nothing to show or tell
---@param options lest.probe.options
---@return lest.probe.report?
---@return string? problem of the options
function M.run(client, nobody, options)
  local checks, problem = M.choose(options.checks)
  if not checks then return nil, problem end
  local wire = wire_module.new(client, nobody, options.rate or RATE)
  local target <close> = target_module.new(wire, options)
  local report = { url = tostring(client.base), label = client.label, checks = {},
    counts = { pass = 0, fail = 0, skip = 0 }, must_failed = 0 }
  run_all(checks, target, report, options.progress)
  report.requests = wire.count
  report.tls = wire.tls and wire.tls.version and wire.tls.version .. " " .. wire.tls.cipher or nil
  return report
end

return M
