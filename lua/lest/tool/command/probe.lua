--- `lest probe`: hold an EST server against the RFCs from outside.
local est_options = require "lest.tool.command.est_options"
local json = require "lest.json"
local probe = require "lest.probe"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest probe"

local function rate(text)
  local number = tonumber(text, 10)
  if number and number > 0 and number <= 1000 then return math.tointeger(number) end
  return nil, ("'%s' is no number of requests from 1 to 1000"):format(support.clean(text))
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Hold a server against the RFCs from outside: a row for each requirement, with what "
      .. "was seen. It reads, and sends requests that every server refuses, so that it may be used "
      .. "on a server in production; with a password, a token or a certificate it tries more, and "
      .. "with --enroll it asks for certificates. A row of level INTEROP is no rule of an RFC, but "
      .. "needed to work with others. Exit code 1: a MUST is not kept.",
    example = "lest probe https://est.example.com --trust ca.pem\nlest probe est.example.com "
      .. "--trust ca.pem --username device001 \\\n  --password-file secret --enroll",
  }
  est_options.add(parser, true)
  parser:flag "--enroll"
    :description("Enroll, and renew what is issued: some certificates, of a key that is kept "
      .. "nowhere. A password that is good for one enrollment is used up.")
  parser:option "--subject":argname "NAME"
    :description("Whom to enroll: CN=device001. By default the user name, or the names of --cert.")
  parser:option "--check":argname "ID":count "*"
    :description "Only this requirement, by its id; may be given several times."
  parser:option "--rate":argname "NUMBER":convert(rate)
    :description "Requests a second, at most; 5 by default."
  parser:flag "--failed":description "Show only the rows that failed."
  parser:flag "--json"
    :description("Print the report as JSON, { \"checks\": [ { \"id\", \"verdict\", \"seen\", ... } "
      .. "], ... }; or an error, with its status and the request's id.")
  return parser
end

local function print_rows(report, failed_only)
  local rows = {}
  for _, check in ipairs(report.checks) do
    if not failed_only or check.verdict == "fail" then
      rows[#rows + 1] = { check.verdict, check.id, check.level .. " " .. check.requirement,
        check.seen }
    end
  end
  if #rows > 0 then
    support.print_columns({ "VERDICT", "ID", "REQUIREMENT", "SEEN" }, rows)
  end
  local counts = report.counts
  print(("%d passed, %d failed (%d of MUST), %d were skipped; %s, %d requests"):format(counts.pass,
    counts.fail, report.must_failed, counts.skip, report.url, report.requests))
end

local function print_report(report, options)
  if not options.json then return print_rows(report, options.failed) end
  local all = {}
  for name, value in pairs(report) do all[name] = value end
  all.err = nil
  all.error = report.err and tostring(report.err)
  all.counts = json.object(report.counts)
  support.print_json(all)
end

local function run(options)
  local checks = #options.check > 0 and options.check or nil
  local known, problem = probe.choose(checks)
  if not known then support.usage(problem) end
  if options.subject and not options.enroll then support.usage "--subject needs --enroll" end
  local progress <close> = support.progress "asking the server"
  local client <close> = est_options.client(NAME, options, progress)
  local report, err = client:probe { enroll = options.enroll, subject = options.subject,
    checks = checks, rate = options.rate,
    progress = function(done, all, check)
      progress:update(("%d of %d: %s"):format(done, all, check.id))
    end }
  progress:close()
  if not report then return nil, err end
  print_report(report, options)
  if report.err then
    support.complain(NAME, report.err)
    if report.must_failed == 0 then return support.exit_code(report.err) end
  end
  return report.must_failed > 0 and 1 or 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return est_options.run(M.parser(), args, run)
end

return M
