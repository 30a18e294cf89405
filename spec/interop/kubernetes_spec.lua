-- examples/kubernetes: a pod's script enrolls with the tokens of a cluster, whose keys another
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
  local server, api, pod, signer

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

  --- What a pod does at its start, with a token.
  local function enroll(text, left)
    process.write(pod .. "/token", text .. "\n")
    return process.run { "env", "PATH=" .. support.lest:match "^(.*)/" .. ":" .. os.getenv "PATH",
      "LEST_URL=" .. server.url, "LEST_TRUST=" .. server.root, "LEST_TOKEN=" .. pod .. "/token",
      "LEST_FOLDER=" .. pod .. "/run", left or "LEST_LEFT=28800", EXAMPLE .. "/enroll" }
  end

  local function certificate()
    return assert(core.cert.load(pod .. "/run/current/tls.crt"))
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
    process.must { "mkdir", pod }
    server:run()
  end)
  teardown(function()
    api:stop()
    server:stop()
  end)

  it("fetches the keys with its own token, over TLS", function()
    local request = api:request()
    assert.same({ "GET", "/openid/v1/jwks", "Bearer kube" },
      { request.method, request.target, request.headers.authorization })
    assert.equal("644\n", process.must { "stat", "-c", "%a", server.dir .. "/jwks.json" })
  end)

  it("enrolls a pod once, and again well before its certificate ends", function()
    local code, _, err = enroll(token(signer))
    assert.equal(0, code, err)
    local first = certificate()
    assert.equal("CN=pump", tostring(first.subject))
    assert.same({ "URI:spiffe://cluster.local/ns/plant/sa/pump" }, first.san)
    assert.equal("600\n", process.must { "stat", "-Lc", "%a", pod .. "/run/current/tls.key" })
    local current <const> = pod .. "/run/current/"
    assert.equal(process.must { "openssl", "pkey", "-pubout", "-in", current .. "tls.key" },
      process.must { "openssl", "x509", "-noout", "-pubkey", "-in", current .. "tls.crt" })
    assert.equal(0, (enroll "no token is needed"))
    assert.equal(first.serial, certificate().serial)
    code, _, err = enroll(token(signer), "LEST_LEFT=90000")
    assert.equal(0, code, err)
    assert.not_equal(first.serial, certificate().serial)
    assert.not_equal(first.key_hash, certificate().key_hash)
    assert.matches("^%d+%-%d+\ncurrent\n$", (process.must { "ls", pod .. "/run" }))
  end)

  it("goes on with the key of before where its answer was lost", function()
    process.must { "mkdir", "-p", pod .. "/run/next" }
    assert(assert(core.key.generate "ec:P-256"):save(pod .. "/run/next/tls.key"))
    local key = process.read(pod .. "/run/next/tls.key")
    local code, _, err = enroll(token(signer), "LEST_LEFT=90000")
    assert.equal(0, code, err)
    assert.equal(key, process.read(pod .. "/run/current/tls.key"))
  end)

  it("is refused with another cluster's token, and leaves what there is", function()
    local before = certificate().serial
    for _, change in ipairs { { aud = { "vault" } }, { iss = "https://other" },
      { exp = os.time() - 600 }, { sub = "system:serviceaccount:office:pump" } } do
      local code, _, err = enroll(token(signer, change), "LEST_LEFT=90000")
      assert(code == 4 or code == 7, err)
      assert.equal(before, certificate().serial)
    end
  end)

  it("follows the cluster's new keys, and keeps the old where there are none to be had", function()
    local next_signer = jwt.key("ec:P-256", "k2")
    local function may(key) return (enroll(token(key), "LEST_LEFT=90000")) == 0 end
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
    local script = process.read(EXAMPLE .. "/enroll")
    local config = process.read(EXAMPLE .. "/server.lua")
    local account, map, it = table.unpack(pods)
    assert.same({ "ServiceAccount", "ConfigMap", "Pod" }, { account.kind, map.kind, it.kind })
    assert.equal(account.metadata.name, it.spec.serviceAccountName)
    assert.is_string(map.data["ca.pem"])
    local projected = it.spec.volumes[1].projected.sources[1].serviceAccountToken
    assert(config:find(('audience = "%s"'):format(projected.audience), 1, true))
    local init = it.spec.initContainers[1]
    assert.same({ "enroll" }, init.command)
    assert.same({ "enroll", "--stay" }, it.spec.containers[1].command)
    local places = {}
    for _, mount in ipairs(init.volumeMounts) do places[mount.name] = mount.mountPath end
    assert(script:find("LEST_TOKEN:-" .. places.token .. "/" .. projected.path .. "}", 1, true))
    assert(script:find("LEST_FOLDER:-" .. places.certificate .. "}", 1, true))
    assert(script:find("LEST_TRUST:-" .. places.lest .. "/ca.pem}", 1, true))
    for _, variable in ipairs(init.env) do assert(script:find(variable.name, 1, true)) end
  end)
end)
