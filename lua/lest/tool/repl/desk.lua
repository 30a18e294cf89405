--- The words of `lest repl --request`: a recorded decision is on the desk, to be looked at, made
--- again by the policy of now or an edited one, and stepped through. Nothing is issued, written or
--- asked outside; the record answers, and says what it has no answer to.
---
---   local words, err = desk.open(config, row, { policy = "edited.lua", write = io.write })
local account = require "lest.desk.account"
local core = require "lest.core"
local desk = require "lest.desk.policy"
local difference = require "lest.desk.difference"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local journals = require "lest.policy.journal"
local list = require "lest.base.list"
local records = require "lest.desk.record"
local row_module = require "lest.desk.row"
local schema = require "lest.base.schema"
local specs = require "lest.tool.policy.specs"
local steppings = require "lest.desk.stepping"
local stops = require "lest.tool.repl.stops"
local traces = require "lest.tool.inspect.traces"

local M = {}

--- What `:help` says of the words.
M.HELP = [[
A recorded decision is on the desk:
  request            as the policy saw it      recorded   what was decided, with its steps
  outside            what was answered then    verdict    what was decided here last, likewise
  decide()           again, by the policy as it is on disk now and with the answers of then
  step() resume()    to the next rule or question, with what was said so far; to the end
  policy.load "x.lua"   decide by this file from now on; policy.load() by the label's own
]]

-- There is one desk in a process: a person types its words.
---@class lest.repl.desk
---@field config table
---@field label table of the request
---@field record lest.desk.record
---@field files table<string, string> texts of policies, by their paths
---@field file? string the policy in place of the label's own
---@field env table the globals of what is typed
---@field write fun(text: string)
---@field stepping? lest.desk.stepping
---@field policy? lest.desk.policy that decided last
local self <const> = {}

-- Loading

--- What policies have required beside lest's own is read anew.
local function forget_modules()
  for name in pairs(package.loaded) do
    if not self.loaded[name] and not name:find "^lest%.?" then package.loaded[name] = nil end
  end
end

local function policies()
  return desk.in_place(self.label, self.file)
end

-- The texts as they are now. One that only root may read stays as it was at the beginning.
local function read_texts()
  for _, each in ipairs(policies()) do
    local read = {}
    local ok, err = desk.read({ each }, read)
    if ok then
      self.files[each.file] = read[each.file]
    elseif self.files[each.file] then
      self.write(stops.safe(each.file) .. ": cannot be read anew; as it was at the beginning\n")
    else
      return nil, err
    end
  end
  return true
end

local function load_read()
  local err
  self.policy, err = desk.load(self.file, { config = self.config, label = self.record.row.label,
    files = self.files, options = policies()[1].options })
  return self.policy, err
end

-- As it is on disk now.
local function load_policy()
  forget_modules()
  local ok, err = read_texts()
  if not ok then return nil, err end
  return load_read()
end

-- Showing

local function names_of(outcome)
  local names = { outcome.subject and tostring(outcome.subject) or nil }
  for _, name in ipairs(outcome.san or {}) do names[#names + 1] = name end
  return names[1] and table.concat(names, ", ") or "no names"
end

-- What the profile makes of an approval.
local function granted(outcome)
  if outcome.problem then
    return ("  the profile %s: %s: %s\n"):format(stops.safe(outcome.profile or "?"),
      stops.safe(outcome.verdict), stops.safe(outcome.problem))
  end
  return ("  %s; profile %s%s%s\n"):format(stops.safe(names_of(outcome)),
    stops.safe(outcome.profile or "?"),
    outcome.lifetime and ", " .. duration.format(outcome.lifetime) or "",
    outcome.key and ", a key of type " .. stops.safe(outcome.key) or "")
end

local function verdict_text(verdict, rule, outcome)
  local detail = verdict.verdict == "error" and verdict.detail -- which begins with the place
  local text = stops.verdict { verdict = verdict.verdict, rule = not detail and rule or nil,
    reason = detail and tostring(detail):match "^[^\n]*" or verdict.reason } .. "\n"
  return verdict.verdict == "approve" and text .. granted(outcome) or text
end

-- A decision beside what was recorded, in words.
local function compared(policy, decision)
  local ok, before = pcall(self.record.before, self.record, policy)
  if not ok then return "what was recorded cannot be read, and is not compared\n" end
  local change, was = difference.change(before, decision.position), stops.verdict(before)
  if change then
    return ("otherwise than recorded: %s; it was: %s\n"):format(stops.safe(change), was)
  elseif was ~= stops.verdict(decision.position) then
    return ("the same verdict as recorded; it was: %s\n"):format(was)
  end
  return "as recorded\n"
end

--- A decision on the desk: `recorded` is that of then, `verdict` the last one that was made here.
---@class lest.repl.decision
---@field verdict string of the policy
---@field rule? string which decided
---@field reason? string
---@field detail? string
---@field outcome? table what the client would get, once the profile has seen it: verdict, reason,
--- subject, san, profile, lifetime, key, problem
---@field steps lest.trace.step[] what each rule and test said: kind, name, outcome, saw, depth, us
---@field outside lest.trace.call[] as `outside`
local Decision <const> = { __name = "lest.repl.decision" }

--- What was answered to the policy from outside then: `outside[1].question`, `.kind`, and
--- `.answer`, `.err` or `.is_nothing`; `.sha256` alone where no more was kept.
---@class lest.repl.outside
---@field [integer] lest.trace.call
local Outside <const> = { __name = "lest.repl.outside" }

-- A decision as the prompt has it.
local function plain(verdict, outcome, steps, calls, rule)
  return setmetatable({ verdict = verdict.verdict, rule = rule, reason = verdict.reason,
    detail = verdict.detail, outcome = outcome, steps = steps, outside = calls }, Decision)
end

local function conclude(policy, decision, steps_text)
  local verdict, journal, rule = decision.verdict, decision.journal, decision.position.rule
  self.env.verdict = plain(verdict, decision.outcome, (journals.steps(journal)),
    setmetatable((journals.calls(journal)), Outside), rule)
  self.write(verdict_text(verdict, rule, decision.outcome) .. steps_text)
  if decision.missing then return fail("not_found", "not decidable: " .. decision.missing) end
  self.write(compared(policy, decision))
end

-- Words

local function give_up()
  if self.stepping then self.stepping:close() end
  self.stepping = nil
end

--- Decide the request again, by the policy as it is on disk now, with the answers of the record;
--- `verdict` has it then. What the record has no answer to is an error that names it.
---@return nil
---@return lest.error|nil err
local function decide()
  give_up()
  local policy, err = load_policy()
  if not policy then return nil, err end
  local decision = self.record:decide(policy)
  return conclude(policy, decision, traces.steps(journals.steps(decision.journal)))
end

local function on_event(event)
  if event.event == "parked" then
    self.write(("%sparked %s\n"):format(stops.steps(event), stops.place(event.request)))
  else
    self.write(stops.steps(event))
  end
end

-- Where it stands now; what it came to, where it is over.
local function stand()
  local stepping = self.stepping
  if not stepping:is_over() then return end
  self.stepping = nil
  return conclude(self.policy, stepping:result(), "")
end

local function go_on(name)
  if not self.stepping then
    local policy, err = load_policy()
    if not policy then return nil, err end
    self.stepping = steppings.start(self.record, policy, on_event, name == "step")
  else
    self.stepping[name](self.stepping)
  end
  return stand()
end

--- Go on to the next rule, question to the outside or verdict, and show what rules and tests said
--- until there and saw; the first time from the beginning, by the policy as it is on disk now.
---@return nil
---@return lest.error|nil err
local function step() return go_on "step" end

--- Go on to the end of the decision that is stepped through.
---@return nil
---@return lest.error|nil err
local function resume() return go_on "resume" end

--- Decide by another file from now on, with the options of the policy whose place it takes; a
--- decision that is stepped through begins anew. Without a file: by the label's own again.
---@param file? string
---@return nil
---@return lest.error|nil err
local function load_other(file)
  if file ~= nil and type(file) ~= "string" then
    error("policy.load takes the name of a file, as policy.load \"x.lua\"", 2)
  end
  local before = self.file
  self.file = file and core.file.absolute(file)
  local policy, err = load_policy()
  if not policy then
    self.file = before
    return nil, err
  end
  if not self.stepping then return end
  self.stepping:try(policy)
  return stand()
end

-- What the policy saw; what it learned of the past and of rates is in the record.
local function request_of(record)
  local facts = {}
  for key, value in pairs(record.facts) do facts[key] = value end
  local source = select(2, row_module.read(record.row))
  function facts.history(about) return source("history", about) end
  function facts.rate() error("it is counted while the policy decides: see outside", 0) end
  return desk.request(facts)
end

local function set_words(env, record, policy)
  local ok, position, outcome = pcall(record.before, record, policy)
  local calls = setmetatable(record:calls() or {}, Outside)
  env.request, env.outside = request_of(record), calls
  env.recorded = plain(record.stated, ok and outcome or nil, record:steps() or {}, calls,
    ok and position.rule or nil)
  env.decide, env.step, env.resume = decide, step, resume
  env.policy = setmetatable({ load = load_other }, { __index = require "lest.policy" })
end

--- Put a recorded decision on the desk. Where root started this process, it is `user` from then on,
--- and its globals are those of a worker: what is typed has its own.
---@param config table
---@param row table of server/ledger/recorded
---@param options { policy?: string, write: fun(text: string) }
---@return table|nil env the globals of what is typed
---@return lest.error|nil err
function M.open(config, row, options)
  self.config, self.label, self.write = config, config.labels[row.label], options.write
  if not self.label then
    return fail("config", ("the configuration has no label '%s'%s"):format(row.label,
      schema.hint(tostring(row.label), config.labels)))
  end
  local record, kind, why = records.open(row)
  if not record then
    return fail("not_found", ("the request %s: %s: %s"):format(row.id, kind, why))
  end
  self.record, self.files = record, {}
  self.file = options.policy and core.file.absolute(options.policy)
  self.loaded, self.env = list.set(list.sorted_keys(package.loaded)), {}
  for key, value in pairs(_G) do self.env[key] = value end
  self.env._G = self.env
  self.env.os = setmetatable({ exit = os.exit }, { __index = os }) -- of who types
  specs.refuse_exit()
  local ok, err = desk.read(policies(), self.files)
  if ok then ok, err = account.settle(config) end
  local policy
  if ok then policy, err = load_read() end
  if not policy then return nil, err end
  set_words(self.env, record, policy)
  return self.env
end

--- What is on the desk, in a line.
---@return string
function M.title()
  local row = self.record.row
  return stops.safe(("the request %s of %s (label %s): %s"):format(row.id,
    row.principal_name or "nobody", row.label, row.verdict))
end

--- Give up what is stepped through.
M.close = give_up

return M
