-- `lest ca rollover` under a server that runs: from a root to the next, with clients that have one
-- of them alone, both, or have been away (RFC 7030 4.1.3, RFC 4210 4.4).
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("a root that changes", function()
  local server, old_root, new_root
  setup(function()
    server = support.start { auto = true }
    old_root = server:file("old-root.pem", process.read(server.dir .. "/ca.pem"))
  end)
  teardown(function() server:stop() end)

  local function rollover(...)
    local code, out, err = process.run { server.lest, "ca", "rollover", server.dir, ... }
    return code, out, err
  end

  local function step(...)
    local code, out, err = rollover(...)
    assert.equal(0, code, err)
    assert.matches("the server has taken it up", out)
    return out
  end

  local function status()
    local code, out, err = rollover("status", "--json")
    assert.equal(0, code, err)
    return require("lest.json").decode(out)
  end

  local function path(name) return server.folder .. "/" .. name end

  -- By the client of lest, which knows nothing but this root.
  local function enroll(name, root, ...)
    local secret = server:file(name .. ".secret", server:credential(name))
    return process.run { server.lest, "enroll", server.url, "--trust", root, "--username", name,
      "--password-file", secret, "--subject", "CN=" .. name, "--new-key", "ec:P-256", "--key-out",
      path(name .. ".key"), "--out", path(name .. ".pem"), ... }
  end

  local function reenroll(name, root)
    return process.run { server.lest, "reenroll", server.url, "--trust", root, "--cert",
      path(name .. ".pem"), "--key", path(name .. ".key"), "--new-key", "ec:P-256", "--key-out",
      path(name .. ".key"), "--out", path(name .. ".pem") }
  end

  local function aki(name) return assert(core.cert.load(path(name .. ".pem"))).aki end
  local function ski(file) return assert(core.cert.load(file)).ski end

  local function done(code, _, err) assert.equal(0, code, err) end

  --- Whether curl, openssl and GnuTLS, with one root alone, verify the server, and curl the OCSP
  --- response that goes with the server's certificate, which comes some time after that.
  local function are_served(root)
    for _, name in ipairs { "localhost", "127.0.0.1" } do
      local url = ("https://%s:%s/.well-known/est/cacerts"):format(name, server.port)
      process.must { "curl", "-sS", "--fail", "-o", "/dev/null", "--cacert", root, url }
      process.wait_for(function()
        return process.run { "curl", "-sS", "--fail", "-o", "/dev/null", "--cacert", root,
          "--cert-status", url } == 0
      end, "the staple", 30)
    end
    process.must(("openssl s_client -connect 127.0.0.1:%s -verify_return_error -CAfile %s "
      .. "</dev/null 2>&1"):format(server.port, process.quote(root)))
    process.must(("gnutls-cli --x509cafile %s -p %s localhost </dev/null"):format(
      process.quote(root), server.port))
  end

  -- Requests without a pause, until a file is there; the lines of the second are what failed.
  local function hammer()
    local stop, failed = path "stop", path "failed"
    process.write(failed, "")
    local pid = process.start({ "sh", "-c", ([[while [ ! -e %s ]; do
      curl -sS --fail -o /dev/null --cacert %s %s/.well-known/est/cacerts 2>>%s || echo >>%s
      done]]):format(stop, old_root, server.url, failed, failed) }, path "out", path "err")
    return function()
      process.write(stop, "")
      process.wait_for(function() return not process.alive(pid) end, "the requests' end", 60)
      return process.read(failed)
    end
  end

  it("4210-4.4-a goes from one to the next while nothing fails", function()
    local finish = hammer()
    done(enroll("before", old_root))
    done(enroll("away", old_root))
    assert.equal("none", status().step)

    step "begin"
    local begun = status()
    assert.equal("begun", begun.step)
    assert.equal(2, begun.live_old)
    assert.equal(0, begun.live_new)
    new_root = server:file("new-root.pem", assert(core.cert.load_all(server.dir
      .. "/ca.pem"))[2]:pem())
    are_served(old_root)
    done(reenroll("before", old_root))
    assert.equal(ski(old_root), aki "before")
    local _, body = server:curl "/cacerts"
    assert.equal(4, #assert(core.pkcs7.decode(core.base64.decode(body))))

    local code, _, err = rollover "switch"
    assert.equal(2, code)
    assert.matches("have not been here since `begin`", err)
    step("switch", "--now")
    are_served(old_root)
    are_served(new_root)
    -- One that has the old root alone gets a certificate of the new key, and follows to its root.
    done(reenroll("before", old_root))
    assert.equal(ski(new_root), aki "before")
    done(enroll("new", new_root))
    assert.equal(ski(new_root), aki "new")
    done(reenroll("before", new_root))

    -- And back, and on again: what either has signed is renewed.
    step "abort"
    are_served(new_root)
    done(reenroll("new", new_root))
    assert.equal(ski(old_root), aki "new")
    code, _, err = rollover "abort"
    assert.equal(2, code)
    assert.matches("the new key has %d+ certificates? still good", err)
    step("switch", "--now")

    code, _, err = rollover "finish"
    assert.equal(2, code)
    assert.matches("the old key has %d+ certificates? still good, the last until", err)
    assert.equal("switched", status().step)
    done(reenroll("new", new_root))
    step("finish", "--force")
    assert.equal("", finish())
  end)

  it("lets those follow that have the old root alone, and refuses what the old key signed",
    function()
      assert.equal("none", status().step)
      are_served(old_root)
      are_served(new_root)
      local code, _, err = reenroll("away", old_root)
      assert.not_equal(0, code, err)
      done(reenroll("before", old_root))
      done(enroll("late", old_root))
      assert.equal(ski(new_root), aki "late")
      local out = process.must { server.lest, "cacerts", server.url, "--trust", old_root }
      assert.matches("BEGIN CERTIFICATE", out)
    end)

  it("begins anew after that, and takes that back", function()
    step "begin"
    step "abort"
    local certs = assert(core.cert.load_all(server.dir .. "/ca.pem"))
    assert.equal(ski(new_root), certs[1].ski)
    assert.equal(1, #assert(core.key.load_all(server.dir .. "/ca.key")))
    local state = status()
    assert.equal("none", state.step)
  end)
end)
