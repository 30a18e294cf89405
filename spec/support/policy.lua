--- Runs a policy file's hooks on requests that a spec describes.
---   local ask = policies.load "policies/own-name.lua"
---   local verdict = ask.enroll { principal = { kind = "basic", name = "x" },
---     csr = policies.csr "CN=x" }
local core = require "lest.core"
local hooks_module = require "lest.server.worker.hooks"
local policy = require "lest.policy"
local request = require "lest.server.worker.view"

local M = {}

local key

--- A parsed request for these names.
function M.csr(subject, san)
  key = key or assert(core.key.generate "ec:P-256")
  local built = assert(core.csr.build { key = key, subject = subject, san = san })
  return assert(core.csr.parse(built:der()))
end

--- The policy's hooks; each takes the facts of a request, as lest.server.worker.view does.
---@return table<string, fun(facts: table): table>
function M.load(path)
  local loaded = assert(hooks_module.load(path))
  local hooks = {}
  for name, hook in pairs(loaded.hooks) do
    hooks[name] = function(facts)
      local all = { id = "r1", time = os.time(), operation = name, label = "default",
        tls = { version = "TLSv1.3" }, address = "127.0.0.1" }
      for field, value in pairs(facts) do all[field] = value end
      local verdict = hook(request.new(all))
      assert(policy.is_verdict(verdict), "the policy returned no verdict")
      return verdict
    end
  end
  return hooks
end

return M
