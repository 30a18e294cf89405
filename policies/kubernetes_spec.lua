-- Which pods get a certificate by kubernetes.lua. Run: lest policy test
local testing = require "lest.testing"

describe("kubernetes.lua", function()
  local policy = testing.policy("kubernetes.lua", { options = {
    accounts = { "plant/pump-*", "office/printer" }, trust_domain = "cluster.example" } })

  --- A pod's request; `change` is of what its token says of Kubernetes.
  local function request(namespace, account, change)
    local said = { namespace = namespace, serviceaccount = { name = account, uid = "7b0c" },
      pod = { name = account .. "-x2z", uid = "11ff" } }
    for key, value in pairs(change or {}) do said[key] = value or nil end
    return testing.request { csr = { subject = "CN=host" }, principal = testing.bearer {
      name = ("system:serviceaccount:%s:%s"):format(namespace, account),
      claims = { iss = "https://kubernetes.default.svc", ["kubernetes.io"] = said } } }
  end

  it("names a pod by its service account", function()
    assert.approves(policy, request("plant", "pump-7"), { subject = "CN=pump-7",
      san = { "URI:spiffe://cluster.example/ns/plant/sa/pump-7" } })
    assert.approves(policy, request("office", "printer"))
  end)

  it("refuses other accounts and other namespaces", function()
    local reason <const> = "this service account gets no certificate here"
    for _, each in ipairs { { "plant", "default" }, { "office", "pump-7" }, { "plant2", "pump-7" },
      { "office", "printer2" } } do
      assert.rejects(policy, request(each[1], each[2]), reason)
    end
    assert.rejects(policy, testing.request { principal = testing.basic "plant" }, reason)
  end)

  it("refuses a token that is bound to no pod, and one of the ledger", function()
    assert.rejects(policy, request("plant", "pump-7", { pod = false }), "bound to no pod")
    assert.rejects(policy, request("plant", "pump-7", { serviceaccount = false }),
      "bound to no pod")
    assert.rejects(policy, testing.request { csr = { subject = "CN=host" },
      principal = testing.bearer "system:serviceaccount:plant:pump-7" }, "of no service account")
  end)

  it("refuses a token that says two names, or odd ones", function()
    assert.rejects(policy, request("plant", "pump-7", { namespace = "office" }), "two names")
    assert.rejects(policy, request("plant", "pump-7", { serviceaccount = { name = "root" } }),
      "two names")
    assert.rejects(policy, request("plant", "pump-7/../x"), "not those of Kubernetes")
    assert.rejects(policy, request("plant", "pump-" .. ("x"):rep(63)), "not those of Kubernetes")
  end)

  it("renews nobody", function()
    assert.rejects(policy, testing.request { operation = "simplereenroll",
      principal = testing.cert() })
  end)

  it("does not load with accounts that are none", function()
    for _, account in ipairs { "pump", "plant/", "/pump", "plant:pump", "a/b/c" } do
      local ok, problem = pcall(function()
        local _ = testing.policy("kubernetes.lua", { options = { accounts = { account } } })
      end)
      assert.is_false(ok)
      assert.matches("write accounts as NAMESPACE/ACCOUNT", tostring(problem))
    end
  end)
end)
