--- Several policies of one label, as the hooks of one: all must approve, and each may refuse or
--- hold.
local rule = require "lest.policy.rule"
local verdicts = require "lest.policy.verdicts"

local M = {}

local decide <const> = rule.decide -- a policy may put something else into a module

-- What an approval states once, whichever policy does so, and how several are called.
local ONCE <const> = { { "profile", "profiles" }, { "key", "kinds of keys" }, { "ca", "CAs" } }

--- The profile, the CA, the kind of key and the lifetime of an approval that others have bounded,
--- too.
local function bound(made, each)
  for _, row in ipairs(ONCE) do
    local name, plural = table.unpack(row)
    if each[name] and made[name] and each[name] ~= made[name] then
      error(("the policies state two %s, '%s' and '%s'"):format(plural, made[name], each[name]), 0)
    end
    made[name] = made[name] or each[name]
  end
  if each.lifetime then made.lifetime = math.min(made.lifetime or each.lifetime, each.lifetime) end
end

--- The one approval of several: the names, and what is kept with them, are those of the last that
--- states names, the lifetime is the shortest.
local function joined(approvals)
  local made = approvals[#approvals]
  for i = #approvals, 1, -1 do
    if verdicts.has_names(approvals[i]) then
      made = approvals[i]
      break
    end
  end
  for _, each in ipairs(approvals) do bound(made, each) end
  return made
end

--- A rule: ask all; the first that does not approve decides.
local function every(rules)
  return function(request)
    local approvals = {}
    for i, each in ipairs(rules) do
      local verdict = decide(each, request)
      if not verdict then
        error(("%s: the policy returned nil, not a verdict"):format(rule.name(each)), 0)
      elseif verdict.verdict ~= "approve" then
        return verdict
      end
      approvals[i] = verdict
    end
    return joined(approvals)
  end
end

--- Who says what a CSR should have is who states the names: the last.
local function last(hooks)
  return hooks[#hooks]
end

-- How the hooks of one name become one; `every` is for those that decide.
local JOIN <const> = { csrattrs = last }

--- The hooks of several policies as those of one. A policy that does not have a hook has no say
--- there.
---@param all { hooks: table<string, function> }[] in the order of the configuration
---@param name string what they are called together
---@return table<string, function> hooks
function M.hooks(all, name)
  local by_hook, hooks = {}, {}
  for _, policy in ipairs(all) do
    for hook, fn in pairs(policy.hooks) do
      by_hook[hook] = by_hook[hook] or {}
      table.insert(by_hook[hook], fn)
    end
  end
  for hook, fns in pairs(by_hook) do
    hooks[hook] = #fns == 1 and fns[1] or rule.named(name, (JOIN[hook] or every)(fns))
  end
  return hooks
end

return M
