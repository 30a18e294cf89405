--- The test of what a CSR asks for: names by patterns and templates.
local glob = require "lest.policy.glob"
local shapes = require "lest.policy.shapes"
local template = require "lest.policy.template"

---@class lest.module.policy
local M = {}

---@class lest.policy.wish
---@field CN? string|string[] patterns of the values of that attribute of the subject, as those of
--- policy.principal, in which a part of the request may stand, as "pump-${principal.name}"
---@field O? string|string[] as `CN`
---@field OU? string|string[] as `CN`
---@field C? string|string[] as `CN`
---@field ST? string|string[] as `CN`
---@field L? string|string[] as `CN`
---@field street? string|string[] as `CN`
---@field title? string|string[] as `CN`
---@field DC? string|string[] as `CN`
---@field UID? string|string[] as `CN`
---@field serialNumber? string|string[] as `CN`
---@field emailAddress? string|string[] as `CN`
---@field san? string|string[] patterns of alternative names, "DNS:*.example.com"

--- The pattern of a template for a request: what is put in stands for itself.
local function filled(each, request)
  local texts, problem = template.texts(each.template, request, each.place)
  if not texts then return nil, problem end
  local pattern = {}
  for i, piece in ipairs(each.template) do
    if type(piece) == "string" then
      table.move(each.patterns[i], 1, #each.patterns[i], #pattern + 1, pattern)
    else
      pattern = glob.add_plain(pattern, each.fold and texts[i]:lower() or texts[i])
      if not pattern then return nil, "the pattern is too long" end
    end
  end
  return pattern
end

--- Whether a name is as one of the patterns.
---@return boolean
---@return string|nil saw why a template makes no pattern
local function is_wanted(patterns, name, request)
  local problem
  for _, each in ipairs(patterns) do
    local pattern, found = each, nil
    if each.template then pattern, found = filled(each, request) end
    if pattern and glob.matches(pattern, name) then return true end
    problem = problem or found
  end
  return false, problem
end

--- A test: whether the CSR asks for such names and no others. Every name in it must match a pattern
--- that is stated for its kind, and the subject must have each attribute that is stated. A CSR
--- without names, and one that asks for a change of names, does not pass. It proves nothing: what
--- is asked for is a claim.
---
---   policy.asks_for { CN = "pump-${principal.name}",
---     san = "DNS:*.pumps.example.com" }
---
--- What stands for a part is what policy.names takes for it, and is no pattern: with a part that is
--- missing, or has a character that means something there, no name matches.
---@param options lest.policy.wish
---@return fun(request: lest.request): boolean test
function M.asks_for(options)
  local wanted, problem = shapes.check("asks_for", options)
  if not wanted then return nil, problem end
  return function(request)
    local csr = request.csr
    if csr.change then return false, "a change of names" end
    local subject, san, seen = csr.subject, csr.san, {}
    for _, pair in ipairs(subject) do
      local patterns = wanted[pair[1]]
      local is_text = patterns and not pair.der
      local fits, why = false, nil
      if is_text then fits, why = is_wanted(patterns, pair[2], request) end
      if not fits then return false, why or pair[2] end
      seen[pair[1]] = true
    end
    for attribute in next, wanted do
      if attribute ~= "san" and not seen[attribute] then return false, "no " .. attribute end
    end
    for _, name in ipairs(san) do
      local fits, why = false, nil
      if wanted.san then fits, why = is_wanted(wanted.san, shapes.folded(name), request) end
      if not fits then return false, why or name end
    end
    return #subject + #san > 0, #subject + #san == 0 and "no name" or nil
  end
end

return M
