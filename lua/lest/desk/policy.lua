--- A policy that is decided without a server, by a person's command or a spec: loaded and asked as
--- in a worker, and its approval seen by the profile as in the authority. Nothing is issued and
--- nothing is written.
---
---   local policy = desk.load("policy.lua", { config = "server.lua" })
---   local verdict, _, outcome = policy:decide { operation = "simpleenroll", csr = csr,
---     principal = { kind = "basic", name = "device001" } }
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local events = require "lest.server.worker.events"
local fail = require "lest.base.fail"
local hooks = require "lest.server.worker.hooks"
local journals = require "lest.policy.journal"
local load_config = require "lest.server.config.load"
local operations = require "lest.server.wire.operations"
local profiles = require "lest.server.authority.profile"
local schema = require "lest.base.schema"
local shape = require "lest.server.config.shape"
local view = require "lest.server.worker.view"

local M = {}

-- Of a profile that no configuration has.
local PROFILE <const> = "profile"
-- When the CA's certificate ends is no matter of the policy.
local CA <const> = { not_before = 0, not_after = math.maxinteger }

---@class lest.desk.policy
---@field hooks table<string, function>
---@field listeners lest.worker.listener[]
---@field file string
---@field hash string SHA-256 of its text, in hex
---@field label? table the options of its label
---@field profiles? table<string, table> those of the configuration
---@field name string the label's
---@field has_one_profile boolean whether what is approved is by the only profile
local Policy = { __name = "lest.desk.policy" }
Policy.__index = Policy

local function checked(key, value)
  local result, problems = schema.check(shape.fields[key].inner or shape.fields[key], value)
  if result then return result end
  local first = problems[1]
  return fail("config", ("%s: %s"):format(first.path ~= "" and first.path or key, first.problem))
end

--- What decides for a label: its policies, or another file in their place, which has the options of
--- the one whose place it takes.
---@param label table of the configuration
---@param file? string its absolute path
---@return { file: string, options?: table }[]
function M.in_place(label, file)
  if not file then return label.policies end
  return { { file = file, options = #label.policies == 1 and label.policies[1].options or nil } }
end

--- The texts of policies, for who gives up the rights to read them: as load() takes `files`.
M.read = hooks.read

--- What a hook is called with.
---@param facts table as of decide(), all of them
---@return lest.request
function M.request(facts)
  return view.new(facts)
end

-- What of a configuration a policy is decided by: limits, a label, profiles.
local function terms_of(options)
  local config, err = options.config, nil
  if type(config) == "string" then config, err = load_config.load(config) end
  if err then return nil, err end
  if config then
    local name = options.label or "default"
    if not config.labels[name] then
      return fail("config", ("there is no label '%s'%s"):format(name,
        schema.hint(name, config.labels)))
    end
    return { limits = config.limits, name = name, label = config.labels[name],
      profiles = config.profiles, folder = config.folder }
  end
  local terms = { limits = checked("limits", {}), name = options.label or "default" }
  if not options.profile then return terms end
  terms.profiles, err = checked("profiles", { [PROFILE] = options.profile })
  if not terms.profiles then return nil, err end
  terms.label = { profile = PROFILE, profiles = { PROFILE } }
  terms.has_one_profile = true
  return terms
end

-- What a label says of a file: its options.
local function options_of(label, path)
  for _, each in ipairs(label and label.policies or {}) do
    if core.file.resolve(each.file) == core.file.resolve(path) then return each.options end
  end
end

-- A policy as a configuration has it; a rule that stands for one is both hooks.
local function row_of(policy)
  if type(policy) == "function" then
    return { hooks = { enroll = policy, reenroll = policy }, file = "a rule", hash = "" }
  end
  if type(policy) == "string" then policy = { file = policy } end
  return { file = core.file.absolute(policy.file), options = policy.options }
end

--- Load a policy as a worker would.
---@param file? string absent: the policy of the configuration's label
---@param options? { config?: string|table, label?: string, profile?: table, options?: table,
--- files?: table<string, string>, with?: (string|function|{ file: string, options?: table })[] }
--- config: a server's configuration, or its file; label: which of its labels (absent: `default`);
--- profile: one to approve by where there is no configuration, whatever name the policy has for it;
--- options: the file's own, absent: those that the label gives it; files: texts that were read
--- already, by their paths; with: the label's further policies, which must all approve
---@return lest.desk.policy|nil
---@return lest.error|nil err codes config, policy
function M.load(file, options)
  options = options or {}
  local terms, err = terms_of(options)
  if not terms then return nil, err end
  local label = terms.label
  if file then
    label = { policies = { row_of { file = file,
      options = options.options or options_of(terms.label, file) } } }
    for i, each in ipairs(options.with or {}) do label.policies[i + 1] = row_of(each) end
  end
  local loaded
  loaded, err = hooks.of_label(label, terms.folder, options.files)
  if not loaded then return nil, err end
  return setmetatable({ hooks = loaded.hooks, listeners = loaded.listeners or {},
    file = loaded.file, hash = loaded.hash,
    name = terms.name, label = terms.label, profiles = terms.profiles,
    has_one_profile = terms.has_one_profile or false,
    seconds = terms.limits.decision, memory = terms.limits.decision_memory,
  }, Policy)
end

--- A label's profiles without a policy: for outcome() of what another process decided.
---@param config table
---@param name string the label's
---@return lest.desk.policy
function M.without_policy(config, name)
  return setmetatable({ hooks = {}, listeners = {}, name = name, label = config.labels[name],
    profiles = config.profiles, has_one_profile = false }, Policy)
end

--- What the client would get for an approval.
---@class lest.desk.outcome
---@field verdict "approve"|"reject"|"pending"|"unavailable"|"error"
---@field reason? string
---@field detail? string
---@field subject? lest.name
---@field san? string[]
---@field profile? string
---@field ca? string the name in cas of the one that issues; "" is `ca`, nil where that is not known
---@field lifetime? integer seconds
---@field key? string the kind of key that is made
---@field problem? string why the profile does not allow the approval

--- The CA of an approval; nil where no configuration says which there are.
local function ca_of(label, stated)
  if not label.cas then return nil end
  return profiles.ca_of(label, stated)
end

--- What the authority makes of what a policy stated.
---@param facts table as of decide()
---@param stated table as decision.fields has it
---@return lest.desk.outcome
function Policy:outcome(facts, stated)
  local principal, previous = facts.principal, facts.previous
  local outcome = { verdict = stated.verdict, reason = stated.reason, detail = stated.detail }
  if stated.verdict ~= "approve" or not self.profiles then return outcome end
  local makes_key = operations[facts.operation].makes_key
  local name = self.has_one_profile and PROFILE
    or profiles.of_approval(self.label, stated.profile, previous)
  local plan, problem, about = profiles.plan_by(self.profiles, self.label, name, {
    verdict = stated, principal = principal, previous = previous and previous.certificate,
    csr = facts.csr, own = principal.is_own and principal.certificate or nil, ca = CA,
    now = facts.time, makes_key = makes_key })
  local ca, unknown = ca_of(self.label, stated.ca)
  if unknown then plan, problem = nil, unknown end
  outcome.profile, outcome.ca, outcome.problem = name, ca, problem
  if not plan then
    outcome.verdict = profiles.verdict_of(self.profiles[name], principal, facts.csr, problem, about)
    outcome.reason = problem
    return outcome
  end
  outcome.subject = assert(core.name.decode(plan.subject_der))
  outcome.san = plan.san_der and assert(core.san.decode(plan.san_der)) or {}
  outcome.lifetime = plan.not_after - facts.time
  if makes_key then
    outcome.key = profiles.kind_to_make(self.profiles[name], stated.key, facts.csr)
  end
  return outcome
end

-- Answers by kind and question, or a function for a kind, as one function for all.
local function source_of(outside)
  if outside and type(outside) ~= "table" or getmetatable(outside) then return outside end
  return function(kind, question)
    local answers = outside and outside[kind]
    if type(answers) == "function" then return answers(question) end
    if answers and answers[question] ~= nil then return answers[question] end
    return journals.undecidable(kind, question)
  end
end

---@class lest.desk.decide
---@field now? integer what request.time says, in seconds since 1970; absent: the request's own, or
--- else the wall clock's
---@field outside? function|table what answers a question to the outside: fun(kind, question), or by
--- kind a function(question) or a table of answers. Nothing is ever asked outside: a question
--- without an answer is an error that says so
---@field watch? fun(event: lest.journal.event) see lest.policy.journal
---@field journal? lest.journal in place of one with `outside` and `watch`
---@field on_limit? fun(limit: lest.limit) gets the decision's limit, whose deadline it may defer

-- request.history and request.rate ask the journal, which has the answers.
local function unasked() error("nothing is asked outside of the desk", 0) end

--- Decide a request, given as the facts of server/worker/view: certificates are objects, and of
--- `previous` the profile it was issued by may be told as well.
---@param request table
---@param options? lest.desk.decide
---@return lest.verdict verdict as a worker has it; "error" with its detail where the policy failed
---@return lest.journal journal what it did
---@return lest.desk.outcome outcome as the client would have it, the label's profile known
function Policy:decide(request, options)
  options = options or {}
  local facts = { id = "desk", label = self.name, tls = {}, address = "127.0.0.1",
    operation = "simpleenroll", time = core.clock.wall_us() // 1000000, history = unasked,
    rate = unasked }
  for key, value in pairs(request) do facts[key] = value end
  facts.time = options.now or facts.time
  local row = operations[facts.operation]
  if not row or not row.hook or row.by_anybody then
    error(("no verdict is asked for '%s'"):format(tostring(facts.operation)), 2)
  end
  local journal = options.journal
    or journals.new { outside = source_of(options.outside), watch = options.watch }
  local verdict = decision.run(self.hooks[row.hook], view.new(facts), {
    seconds = self.seconds, memory = self.memory, journal = journal, on_limit = options.on_limit,
  }, self.label and not self.has_one_profile and self.label.profiles or nil)
  return verdict, journal, self:outcome(facts, decision.fields(verdict))
end

--- Tell what happened to each policy that has a hook for it, as a worker does.
---@param facts table as of server/worker/view: `kind` is the hook
---@param outside function|table as of decide()
---@return integer told how many
---@return string|nil problem of the first that is to be called again
function Policy:hear(facts, outside)
  local told, first = 0, nil
  for _, listener in ipairs(self.listeners) do
    local hook = listener[facts.kind]
    if hook then
      local heard, problem = events.call(hook, facts, { seconds = self.seconds,
        memory = self.memory, journal = journals.new { outside = source_of(outside) } })
      told, first = told + 1, first or not heard and problem or nil
    end
  end
  return told, first
end

return M
