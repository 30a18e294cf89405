--- What the policies of a label are called where each stands for itself: by its file, and one that
--- the label has twice, with other options, by which of them it is.
---
---   policy_names { { file = "/a.lua" }, { file = "/a.lua" } }   --> { "/a.lua", "/a.lua#2" }
---@param policies { file: string }[]
---@return string[] names in the same order
return function(policies)
  local names, times = {}, {}
  for i, policy in ipairs(policies) do
    local count = (times[policy.file] or 0) + 1
    times[policy.file] = count
    names[i] = count == 1 and policy.file or ("%s#%d"):format(policy.file, count)
  end
  return names
end
