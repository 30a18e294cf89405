-- examples/kubernetes: a pod's agent gets its certificates by the tokens of a cluster, whose keys a
-- script fetches. The cluster is its API server's answers and what TokenRequest makes.
local core = require "lest.core"
local json = require "lest.json"
local jwt = require "support.jwt"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local EXAMPLE <const> = process.must("realpath examples/kubernetes"):gsub("\n", "")
local ISSUER <const> = "https://kubernetes.default.svc.cluster.local"

describe("examples/kubernetes", function()
  local server, api, pod, signer, running

  --- A token as the cluster makes it for a pod (authentication.k8s.io/v1 TokenRequest).
  local function token(key, change)
    local now = os.time()
    local claims = { iss = ISSUER, aud = { "lest" }, sub = "system:serviceaccount:plant:pump",
      iat = now, nbf = now, exp = now + 607, jti = "8c0f", ["kubernetes.io"] = {
        namespace = "plant", node = { name = "node-1", uid = "5d1e" },
        pod = { name = "pump", uid = "11ff" }, serviceaccount = { name = "pump", uid = "7b0c" } } }
    for name, value in pairs(change or {}) do claims[name] = value end
    return key:sign(claims)
  end

  --- Let the API server answer with these keys once, and fetch them.
  local function fetch(text, status)
    api:answer(raw_server.http(status or 200, { ["Content-Type"] = "application/jwk-set+json" },
      text))
    return process.run({ "env", "KUBE_API=" .. api.url, "KUBE_CA=" .. server.root, "KUBE_TOKEN="
      .. server.folder .. "/kube-token", EXAMPLE .. "/jwks", server.dir .. "/jwks.json" })
  end

  --- Mount a token as the kubelet does, which replaces it by the switch of a link.
  local made = 0
  local function mount(text)
    made = made + 1
    local place = pod .. "/token-" .. made
    process.must { "mkdir", place }
    process.write(place .. "/token", text .. "\n")
    process.must { "ln", "-s", place, pod .. "/next" }
    process.must { "mv", "-T", pod .. "/next", pod .. "/..data" }
  end

  --- What the pod's agent does once, with a token; "--renew" where there is a certificate.
  local function once(text, ...)
    mount(text)
    return process.run { support.lest, "agent", "--once", pod .. "/agent.lua", ... }
  end

  local function certificate()
    return assert(core.cert.load(pod .. "/run/tls/tls.crt"))
  end

  setup(function()
    signer = jwt.key("rsa:2048", "k1")
    -- Root's server has accounts and a place of the ledger, which `lest ca init` has chosen.
    server = support.make {
      files = { ["kubernetes.lua"] = process.read "policies/kubernetes.lua" },
      config = function(text)
        local chosen = {}
        for line in text:gmatch "[^\n]+" do
          if line:find "^  [%l_]*user = " or line:find "^  ledger = " then
            chosen[#chosen + 1] = line .. "\n"
          end
        end
        return (process.read(EXAMPLE .. "/server.lua"):gsub("  ledger = [^\n]*\n",
          (table.concat(chosen):gsub("%%", "%%%%")), 1))
      end,
    }
    process.write(server.folder .. "/kube-token", "kube\n")
    api = raw_server.start { cert = server.dir .. "/server.pem", key = server.dir .. "/server.key" }
    local code, _, err = fetch(jwt.set { signer })
    assert.equal(0, code, err)
    pod = server.folder .. "/pod"
    process.must { "mkdir", "-p", pod .. "/run", pod .. "/secrets" }
    process.must { "ln", "-s", "../..data/token", pod .. "/secrets/token" }
    server:run()
    local text = process.read(EXAMPLE .. "/agent.lua")
    for word, by in pairs { ["https://est.example.com:8443"] = server.url,
      ['"ca.pem"'] = ("%q"):format(server.root), ["/var/run/lest"] = pod .. "/run",
      ["/var/run/secrets/lest"] = pod .. "/secrets" } do
      assert(text:find(word, 1, true), word)
      text = text:gsub(word:gsub("%p", "%%%0"), (by:gsub("%%", "%%%%")))
    end
    process.write(pod .. "/agent.lua", text)
  end)
  teardown(function()
    if running then process.kill(running, "KILL") end
    api:stop()
    server:stop()
  end)

  it("fetches the keys with its own token, over TLS", function()
    local request = api:request()
    assert.same({ "GET", "/openid/v1/jwks", "Bearer kube" },
      { request.method, request.target, request.headers.authorization })
    assert.equal("644\n", process.must { "stat", "-c", "%a", server.dir .. "/jwks.json" })
  end)

  it("gets a pod its certificate once, and another by the token of that time", function()
    local code, _, err = once(token(signer))
    assert.equal(0, code, err)
    local first = certificate()
    assert.equal("CN=pump", tostring(first.subject))
    assert.same({ "URI:spiffe://cluster.local/ns/plant/sa/pump" }, first.san)
    local tls <const> = pod .. "/run/tls/"
    assert.equal("600\n", process.must { "stat", "-Lc", "%a", tls .. "tls.key" })
    assert.equal(process.must { "openssl", "pkey", "-pubout", "-in", tls .. "tls.key" },
      process.must { "openssl", "x509", "-noout", "-pubkey", "-in", tls .. "tls.crt" })
    process.must { "openssl", "verify", "-CAfile", tls .. "ca.crt", tls .. "tls.crt" }
    assert.equal(0, (once "no token is needed"))
    assert.equal(first.serial, certificate().serial)
    code, _, err = once(token(signer), "--renew")
    assert.equal(0, code, err)
    assert.not_equal(first.serial, certificate().serial)
    assert.not_equal(first.key_hash, certificate().key_hash)
    assert.equal("simpleenroll|bearer", server:sql(
      "SELECT operation, principal_kind FROM certificates ORDER BY seq DESC LIMIT 1"))
  end)

  it("reads the token that there is then, while it runs", function()
    -- The agent holds the one of its start; a minute of lifetime, of which half is over soon.
    server:edit_config(function(text)
      return (text:gsub('lifetime = "24h"', 'lifetime = "60s"'))
    end)
    process.must { server.lest, "policy", "reload", "--config", server.dir .. "/server.lua" }
    local text = process.read(pod .. "/agent.lua")
    process.write(pod .. "/agent.lua", (text:gsub("server_names",
      "renew_at = 0.52, spread = 0.0, %0")))
    local code, _, err = once(token(signer), "--renew")
    assert.equal(0, code, err)
    local serial = certificate().serial
    -- The account's token of then is no token of now.
    mount(token(signer, { sub = "system:serviceaccount:office:pump" }))
    local log = pod .. "/log"
    running = process.start({ support.lest, "agent", pod .. "/agent.lua" }, pod .. "/out", log)
    process.wait_for(function() return process.read(log):find "no certificate here" end,
      "a refusal", 120)
    assert.equal(serial, certificate().serial)
    for _ = 1, 2 do
      mount(token(signer))
      process.wait_for(function()
        local now = certificate().serial
        if now == serial then return false end
        serial = now
        return true
      end, "the next certificate", 120)
    end
    process.kill(running)
    process.wait_for(function() return not process.alive(running) end, "the agent's end", 60)
    running = nil
  end)

  it("is refused with another cluster's token, and leaves what there is", function()
    local before = certificate().serial
    for _, change in ipairs { { aud = { "vault" } }, { iss = "https://other" },
      { exp = os.time() - 600 }, { sub = "system:serviceaccount:office:pump" } } do
      local code, _, err = once(token(signer, change), "--renew")
      assert(code == 4 or code == 7, code .. err)
      assert.equal(before, certificate().serial)
    end
  end)

  it("follows the cluster's new keys, and keeps the old where there are none to be had", function()
    local next_signer = jwt.key("ec:P-256", "k2")
    local function may(key) return (once(token(key), "--renew")) == 0 end
    assert.is_false(may(next_signer))
    assert.equal(0, (fetch(jwt.set { signer, next_signer })))
    assert.is_true(may(signer))
    assert.is_true(may(next_signer))
    assert.equal(0, (fetch(jwt.set { next_signer })))
    assert.is_false(may(signer))
    local before = process.read(server.dir .. "/jwks.json")
    assert.not_equal(0, (fetch("no", 403)))
    assert.not_equal(0, (fetch "<html>"))
    assert.equal(before, process.read(server.dir .. "/jwks.json"))
    assert.equal("", (process.must { "find", server.dir, "-name", "jwks.json.*" }))
    assert.is_true(may(next_signer))
  end)

  it("has a manifest that says what the scripts and the server want", function()
    local pods = json.decode(process.must { "python3", "-c", [[
import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))]], EXAMPLE .. "/pod.yaml" })
    local agent = process.read(EXAMPLE .. "/agent.lua")
    local config = process.read(EXAMPLE .. "/server.lua")
    local account, it = table.unpack(pods)
    assert.same({ "ServiceAccount", "Pod" }, { account.kind, it.kind })
    assert.equal(account.metadata.name, it.spec.serviceAccountName)
    local projected = it.spec.volumes[1].projected.sources[1].serviceAccountToken
    assert(config:find(('audience = "%s"'):format(projected.audience), 1, true))
    local first, places = it.spec.initContainers[1], {}
    for _, mounted in ipairs(first.volumeMounts) do places[mounted.name] = mounted.mountPath end
    local file = places.lest .. "/agent.lua"
    assert.same({ "lest", "agent", "--once", file }, first.command)
    assert.same({ "lest", "agent", file }, it.spec.containers[1].command)
    assert.same(first.volumeMounts, it.spec.containers[1].volumeMounts)
    assert(agent:find(('"%s/%s"'):format(places.token, projected.path), 1, true))
    assert(agent:find(('folder = "%s/'):format(places.certificate), 1, true))
    assert(agent:find(('state = "%s/'):format(places.certificate), 1, true))
  end)
end)
