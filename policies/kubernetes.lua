-- A pod of Kubernetes gets a certificate for the service account that it runs as. It shows a token
-- that the cluster has made for this server (a projected volume with an audience of its own), so
-- that it needs no other secret:
--   URI:spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT, and CN=ACCOUNT
-- Its CSR chooses no name. It does not renew: it enrolls again with the token of that time, which
-- the cluster stops making when the account or the pod goes.
--
-- The configuration; examples/kubernetes has the rest:
--   labels = { default = { profile = "pod", auth = "bearer", bearer = { jwks = "jwks.json",
--              issuer = "https://kubernetes.default.svc.cluster.local", audience = "lest" },
--              policy = { file = "kubernetes.lua", options = { accounts = { "plant/pump-*" },
--              trust_domain = "cluster.example" } } } },
--   profiles = { pod = { lifetime = "24h", keys = { "ec:P-256" }, names = "policy",
--                subject = { "CN" }, san = { "URI" } } },
local policy = require "lest.policy"

local options = policy.options {
  accounts = { type = "strings" }, -- NAMESPACE/ACCOUNT, in which "*" stands for any characters
  trust_domain = { type = "string", default = "cluster.local" },
  lifetime = { type = "duration", optional = true }, -- absent: the profile's
}

-- Every account is written NAMESPACE:ACCOUNT in a token, and neither has a ":" or a "/".
local patterns <const> = {}
for i, account in ipairs(options.accounts) do
  local namespace, name = account:match "^([^/:]+)/([^/:]+)$"
  assert(namespace, account .. ": write accounts as NAMESPACE/ACCOUNT")
  patterns[i] = ("system:serviceaccount:%s:%s"):format(namespace, name)
end
local is_allowed <const> = policy.principal { kind = "bearer", name = patterns }

-- RFC 1123: what Kubernetes lets a namespace and an account be called.
local function is_name(text)
  return type(text) == "string" and #text <= 63 and text:find "^[%l%d][%l%d.-]*$" ~= nil
end

-- Whom the cluster says that it is. Tokens of a Secret, which never end, are of no pod.
local function account_of(request)
  local said = request.principal.claims["kubernetes.io"]
  if not said then return nil, "the token is of no service account" end
  local account, pod = said.serviceaccount, said.pod
  if not (account and pod) then return nil, "the token is bound to no pod" end
  if not (is_name(said.namespace) and is_name(account.name)) then
    return nil, "the names of the service account are not those of Kubernetes"
  end
  local sub = ("system:serviceaccount:%s:%s"):format(said.namespace, account.name)
  if request.principal.name ~= sub then return nil, "the token says two names" end
  return { namespace = said.namespace, name = account.name, pod = pod.name, uid = account.uid }
end

local function names_of_account(request)
  local account, problem = account_of(request)
  if not account then return policy.reject(problem) end
  return policy.approve {
    subject = { { "CN", account.name } },
    san = { ("URI:spiffe://%s/ns/%s/sa/%s"):format(options.trust_domain, account.namespace,
      account.name) },
    lifetime = options.lifetime,
    facts = { pod = account.pod, account_uid = account.uid },
  }
end

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(is_allowed, policy.reject "this service account gets no certificate here"),
    names_of_account,
  },
}
