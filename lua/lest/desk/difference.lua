--- Two decisions of one request beside each other, and many such in groups: what `lest policy
--- replay` and `lest policy shadow` print.
---
---   local tally = difference.new()
---   tally:add(request, before, after)
---   tally:plain().groups
---   --> { { change = "approve -> reject", rule =, reason =, count = 30, examples = {...} } }
---
--- A tally is bounded whatever the policies say. Of several processes each has one, which merge()
--- makes one of.
local list = require "lest.base.list"
local terminal = require "lest.base.terminal"

local M = {}

local GROUPS_MAX <const>, EXAMPLES_MAX <const> = 200, 3
local REASON_MAX <const>, RULE_MAX <const>, NAME_MAX <const> = 200, 120, 300
-- A shorter name may be a part of any word.
local OWN_NAME_MIN <const> = 4

--- One decision of a request.
---@class lest.desk.position
---@field verdict string
---@field rule? string which decided
---@field reason? string
---@field subject? string of an approval
---@field san? string likewise, the names in their order, between commas
---@field profile? string likewise
---@field ca? string likewise
---@field lifetime? integer likewise, in seconds
---@field key? string likewise, the kind of a key that is made

-- What an approval is compared by; what one side does not know says nothing.
local TERMS <const> = { "subject", "san", "profile", "ca", "lifetime", "key" }
local WORD_OF <const> = { subject = "names", san = "names", profile = "profile",
  ca = "CA", lifetime = "lifetime", key = "kind of key" }

--- What is another one about two decisions, in words; nil where nothing is.
---@param before lest.desk.position
---@param after lest.desk.position
---@return string|nil change "approve -> reject", "other names"
function M.change(before, after)
  if before.verdict ~= after.verdict then
    return ("%s -> %s"):format(before.verdict, after.verdict)
  end
  for _, term in ipairs(after.verdict == "approve" and TERMS or {}) do
    local was, is = before[term], after[term]
    if was ~= nil and is ~= nil and was ~= is then return "other " .. WORD_OF[term] end
  end
end

--- A decision as it is compared, from what the profile made of it.
---@param outcome lest.desk.outcome
---@param rule? string
---@return lest.desk.position
function M.position(outcome, rule)
  local san = outcome.san and table.move(outcome.san, 1, #outcome.san, 1, {})
  if san then table.sort(san) end
  return { verdict = outcome.verdict, rule = rule,
    reason = outcome.problem or outcome.reason or outcome.detail,
    subject = outcome.subject and tostring(outcome.subject), san = san and table.concat(san, ","),
    profile = outcome.profile, ca = outcome.ca, lifetime = outcome.lifetime,
    key = outcome.key }
end

---@class lest.desk.tally
---@field same integer
---@field different integer
local Tally = { __name = "lest.desk.tally" }
Tally.__index = Tally

---@return lest.desk.tally
function M.new()
  return setmetatable({ same = 0, different = 0, by_key = {}, left_out = {}, kinds = 0 }, Tally)
end

local function without(text, name)
  if type(name) ~= "string" or #name < OWN_NAME_MIN then return text end
  return (text:gsub(name:gsub("%W", "%%%0"), "*"))
end

--- A reason without what only this request has: thousands of them are one.
local function reason_of(request, reason)
  if not reason then return "" end
  local text = reason:match "^[^\n]*"
  for _, key in ipairs { "id", "subject", "device", "name", "address" } do
    text = without(text, request[key])
  end
  return terminal.line(text, REASON_MAX)
end

local function short(text, most)
  return text and terminal.line(text, most)
end

local function shown(position)
  return { verdict = position.verdict, rule = short(position.rule, RULE_MAX),
    reason = short(position.reason, REASON_MAX), subject = short(position.subject, NAME_MAX),
    san = short(position.san, NAME_MAX), profile = position.profile, lifetime = position.lifetime,
    key = position.key }
end

-- The group of a difference. Where a policy says something else to each, they share one.
local function group_of(tally, change, rule, reason)
  for _, words in ipairs { { rule, reason }, { rule, "(other reasons)" },
    { "(other rules)", "" } } do
    local key = ("%s\0%s\0%s"):format(change, words[1], words[2])
    local group = tally.by_key[key]
    if group then return group end
    if tally.kinds < GROUPS_MAX or words[1] == "(other rules)" then
      tally.kinds = tally.kinds + 1
      group = { change = change, rule = words[1], reason = words[2], count = 0, examples = {} }
      tally.by_key[key] = group
      return group
    end
  end
end

--- The newest examples, and no more of them.
local function keep_newest(examples)
  table.sort(examples, function(a, b)
    if a.time ~= b.time then return a.time > b.time end
    return a.id > b.id
  end)
  for i = #examples, EXAMPLES_MAX + 1, -1 do examples[i] = nil end
end

--- Count a request that was decided again.
---@param request { id: string, time: integer, label: string, name: string?, device: string?,
--- subject: string?, address: string? }
---@param before lest.desk.position
---@param after lest.desk.position
function Tally:add(request, before, after)
  local change = M.change(before, after)
  if not change then
    self.same = self.same + 1
    return
  end
  self.different = self.different + 1
  local group = group_of(self, change, short(after.rule, RULE_MAX) or "",
    reason_of(request, after.reason))
  group.count = group.count + 1
  local oldest = group.examples[EXAMPLES_MAX]
  if oldest and oldest.time >= request.time then return end
  table.insert(group.examples, { id = short(request.id, NAME_MAX), time = request.time,
    label = request.label,
    device = short(request.device or request.name, NAME_MAX), before = shown(before),
    after = shown(after) })
  keep_newest(group.examples)
end

-- Why a request was not decided again: kind, and what is wrong, which may be of a stranger.
local function left_group(tally, kind, why)
  local key = kind .. "\0" .. why
  if not tally.left_out[key] and tally.kinds >= GROUPS_MAX then
    why, key = "(for other reasons)", kind .. "\0"
  end
  if not tally.left_out[key] then
    tally.kinds = tally.kinds + 1
    tally.left_out[key] = { kind = kind, why = why, count = 0, examples = {} }
  end
  return tally.left_out[key]
end

--- Count a request that was not decided again.
---@param kind "not decidable"|"corrupt"|"no policy was asked"
---@param why string
---@param request table as of add()
function Tally:leave_out(kind, why, request)
  local group = left_group(self, kind, reason_of(request, why))
  group.count = group.count + 1
  table.insert(group.examples, { id = short(tostring(request.id), NAME_MAX), time = request.time })
  keep_newest(group.examples)
end

--- Add what another process has counted, as plain() gives it.
---@param other table
function Tally:merge(other)
  self.same, self.different = self.same + other.same, self.different + other.different
  local function add(group, each)
    group.count = group.count + each.count
    table.move(each.examples, 1, #each.examples, #group.examples + 1, group.examples)
    keep_newest(group.examples)
  end
  for _, each in ipairs(other.groups) do
    add(group_of(self, each.change, each.rule, each.reason), each)
  end
  for _, each in ipairs(other.left_out) do add(left_group(self, each.kind, each.why), each) end
end

local function sorted(by_key)
  local groups = {}
  for i, key in ipairs(list.sorted_keys(by_key)) do groups[i] = by_key[key] end
  table.sort(groups, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return (a.change or a.kind) .. (a.rule or a.why) < (b.change or b.kind) .. (b.rule or b.why)
  end)
  return groups
end

--- What was counted, as JSON has it: the most frequent first.
---@return { same: integer, different: integer, groups: table[], left_out: table[] }
function Tally:plain()
  return { same = self.same, different = self.different, groups = sorted(self.by_key),
    left_out = sorted(self.left_out) }
end

return M
