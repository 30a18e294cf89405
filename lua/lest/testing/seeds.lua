--- The requests that a spec has decided, as plans: a search goes on from them, since who wrote the
--- spec knows what the policy lets in.
local M = {}

local PLANS_MAX <const> = 100

-- By the policy's file.
local noted <const> = {}

local function plain(value, depth)
  if type(value) == "userdata" or type(value) == "function" or depth > 6 then error "no plan" end
  if type(value) ~= "table" then return value end
  local result = {}
  for key, each in next, value do result[key] = plain(each, depth + 1) end
  return result
end

local function options_of(principal)
  local options = {}
  for key, value in next, principal do
    if key ~= "kind" then options[key] = plain(value, 1) end
  end
  return options
end

local function csr_of(csr)
  if type(csr) == "userdata" then return { pem = csr:pem() } end
  return csr and plain(csr, 1)
end

local function plan_of(request)
  local principal, previous = request.principal, request.previous
  local is_user = principal.kind ~= "certificate"
  local has_credential = is_user and next(principal.credential) ~= nil
  return {
    principal = is_user and { principal.kind, { name = principal.name,
      credential = has_credential and plain(principal.credential, 1) or nil } }
      or { "cert", options_of(principal) },
    -- That of a renewal by its own certificate follows from the principal.
    previous = previous and previous ~= principal and previous.kind == "certificate"
      and options_of(previous) or nil,
    csr = csr_of(request.csr), operation = request.operation, address = request.address,
    approvals = request.approvals and plain(request.approvals, 1), time = request.time, world = 8,
  }
end

--- Take note of a request that a spec has decided. One that is made of a spec's own keys is none.
---@param file string the policy's
---@param request lest.testing.request
function M.note(file, request)
  noted[file] = noted[file] or {}
  if #noted[file] >= PLANS_MAX then return end
  local ok, plan = pcall(plan_of, request)
  if ok then table.insert(noted[file], plan) end
end

--- The requests of a policy.
---@param file string
---@return lest.testing.plan[]
function M.of(file)
  return table.move(noted[file] or {}, 1, #(noted[file] or {}), 1, {})
end

return M
