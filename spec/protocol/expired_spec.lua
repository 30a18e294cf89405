-- Certificates of our own that have expired renew at a label with `expired_grace`, by
-- simplereenroll or by a message of CMC, and reach nothing else.
local cmc = require "support.cmc"
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local DAY <const> = 86400
-- An ASan build wants its runtime first; then this clock is one among several.
local CAN_BE_SET <const> = not LEST_PREFIX:find "asan"

local PROFILES <const> = [[profiles = {
    week = { lifetime = "7d", keys = { "ec:P-256" }, names = "policy", subject = { "CN" } },
    ra = { lifetime = "7d", keys = { "ec:P-256" }, names = "policy", subject = { "CN" },
      eku = { "clientAuth", "cmcRA" } },]]

local LABELS <const> = [[labels = {
    late = { profile = "week", auth = { "certificate", "basic" }, renews = { "default", "late" },
      policies = { "strict-renewal.lua", "one-time-password.lua" }, expired_grace = "7d" },
    seen = { profile = "week", auth = { "certificate" }, policy = "seen.lua",
      renews = { "default" }, expired_grace = "9d" },
    both = { profile = "week", auth = { "certificate+basic" }, policy = "policy.lua",
      renews = { "default" }, expired_grace = "7d" },
    cmc = { profile = "week", auth = { "certificate" }, policy = "policy.lua",
      renews = { "default" }, expired_grace = "7d", fullcmc = true },
    other = { profile = "week", auth = { "certificate" }, policy = "other.lua",
      renews = { "default" }, expired_grace = "7d" },
    strict = { profile = "week", auth = { "certificate" }, policy = "policy.lua",
      renews = { "default" } },
    alien = { profile = "week", auth = { "certificate" }, policy = "policy.lua",
      expired_grace = "7d" },
    ra = { profile = "ra", auth = { "certificate", "basic" }, expired_grace = "7d",
      policy = "policy.lua" },]]

local FILES <const> = {
  ["strict-renewal.lua"] = process.read "policies/strict-renewal.lua",
  ["one-time-password.lua"] = process.read "policies/one-time-password.lua",
  ["seen.lua"] = [[
    local policy = require "lest.policy"
    return {
      enroll = policy.own_name(),
      reenroll = function(request)
        return policy.reject("expired for " .. tostring(request.previous.expired_for))
      end,
      csrattrs = function(request)
        return { request.principal and "unstructuredName" or "challengePassword" }
      end,
    }]],
  ["other.lua"] = [[
    local policy = require "lest.policy"
    return { reenroll = function()
      return policy.approve { subject = { { "CN", "admin" } } }
    end }]],
}

describe("a certificate that has expired", function()
  local server, factory, offset, before

  local function set(seconds)
    process.write(offset, tostring(seconds))
    process.must { "chmod", "644", offset }
  end

  local function enroll(name, label)
    local status, body = server:post((label or "") .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name))
    assert.equal(200, status, body)
    return { name = name, path = server:save(body, name), key = server.folder .. "/" .. name
      .. ".key" }
  end

  --- Ask as the holder of a certificate, with a new key.
  local function ask(it, path, options, ...)
    local words = { "--cert", it.path, "--key", it.key, ... }
    if not path:find "enroll" then return server:curl(path, table.unpack(words)) end
    options = options or {}
    options.subject = options.subject or "/CN=" .. it.name
    local csr = options.base64 and server:file("base64", options.base64)
      or server:csr("new-" .. it.name, options)
    return server:post(path, csr, table.unpack(words))
  end

  --- How many rows of decisions and certificates the ledger has.
  local function rows()
    return server:sql "SELECT (SELECT count(*) FROM certificates), (SELECT count(*) FROM requests)"
  end

  local function refuses(status, why, ...)
    local got, body, headers = ask(...)
    assert.equal(status, got, body)
    assert.matches(why, headers["x-reason"] or body)
  end

  --- What was enrolled days ago has ended by now, and so many days ago: 10 after a life of 7 are 3.
  local function start(strictness)
    local folder = process.folder()
    process.must { "chmod", "755", folder }
    offset = folder .. "/offset"
    local lest = folder .. "/lest"
    process.write(lest, ("#!/bin/sh\nexport CLOCK_OFFSET=%s LD_PRELOAD=%s/fixture/clock.so\n"
      .. "exec %s \"$@\"\n"):format(offset, LEST_PREFIX, support.lest))
    process.must { "chmod", "755", lest }
    set(-30 * DAY)
    before = pki.new()
    factory = before:root "factory"
    server = support.start { lest = lest, files = FILES, config = function(text)
      return (text:gsub("labels = {", function() return LABELS end, 1)
        :gsub("profiles = {", function() return PROFILES end, 1)
        :gsub('profile = "device"', 'profile = "week"')
        :gsub('anchors = { own = "ca.pem" }', function()
          return ('anchors = { own = "ca.pem", factory = %q }'):format(factory.path)
        end)
        :gsub('key = "server.key"', '%0, client_certificate = "' .. strictness .. '"', 1))
    end }
  end

  if not CAN_BE_SET then return pending "needs a build without sanitizers" end

  for _, strictness in ipairs { "strict", "lenient" } do
    describe(strictness == "strict" and "where the handshake is strict"
      or "where the server is lenient", function()
      local late, older, gone, ra, revoked, of_late

      setup(function()
        start(strictness)
        set(-16 * DAY)
        gone = enroll "gone" -- ended 9 days ago, and some seconds
        set(-15 * DAY)
        older = enroll "older"
        set(-10 * DAY)
        late, revoked, ra = enroll "late", enroll "revoked", enroll("ra", "/ra")
        of_late = enroll("of-late", "/late")
        set(0)
        process.must { server.lest, "cert", "revoke", "--device", "revoked", "--reason",
          "keyCompromise", "--config", server.dir .. "/server.lua" }
      end)
      teardown(function()
        server:stop()
        pki.__close(before)
      end)

      it("7030-4.2.2-g is renewed by `lest reenroll`, which says so, and by strict-renewal.lua",
        function()
          local folder = server.folder
          local code, out, err = process.run { support.lest, "reenroll", server.url
            .. "/.well-known/est/late", "--trust", server.root, "--cert", of_late.path,
            "--key", of_late.key, "--new-key", "ec:P-256", "--key-out", folder .. "/renewed.key",
            "--out", folder .. "/renewed.pem" }
          assert.equal(0, code, out .. err)
          assert.matches("the certificate of CN=of%-late expired at", err)
          local cert = assert(core.cert.load(folder .. "/renewed.pem"))
          assert.equal("CN=of-late", tostring(cert.subject))
          assert.is_true(cert.not_after > os.time() + 6 * DAY)
          local told = server:logged "request"
          local line = told[#told]
          assert.equal("simplereenroll", line.operation)
          assert.is_true(line.expired_for >= 3 * DAY and line.expired_for < 3 * DAY + 600)
          assert.is_nil(line.certificate)
        end)

      it("tells the policy for how long, on TLS 1.2 and 1.3", function()
        for _, version in ipairs { "1.2", "1.3" } do
          local _, body = ask(late, "/seen/simplereenroll", nil, "--tls-max", version)
          local seconds = math.tointeger(tonumber(body:match "^expired for (%d+)\n$"))
          assert.is_true(seconds and seconds >= 3 * DAY and seconds < 3 * DAY + 600, body)
        end
      end)

      it("passes the handshake of openssl s_client, as nobody's", function()
        local _, said = process.run(("printf 'POST /.well-known/est/late/simpleenroll "
          .. "HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 0\\r\\n\\r\\n' | "
          .. "openssl s_client -quiet -ign_eof -connect localhost:%s -CAfile %s -cert %s -key %s "
          .. "2>&1"):format(server.port, server.root, late.path, late.key))
        assert.matches("HTTP/1.1 401 ", said, 1, true)
        assert.matches("X%-Reason: the client's certificate CN=late .*expired", said)
      end)

      it("7030-3.3.2-g enrolls nobody, here or elsewhere, and no hook sees it", function()
        local was = rows()
        refuses(401, "has expired", late, "/late/simpleenroll")
        refuses(401, "has expired", late, "/simpleenroll")
        refuses(403, "has expired", late, "/strict/simpleenroll")
        refuses(401, "has expired", late, "/both/simpleenroll")
        refuses(403, "a TLS client certificate is required", late, "/both/simpleenroll", nil,
          "--user", "late:" .. server:credential "late")
        assert.equal(was:match "^%d+", rows():match "^%d+")
        local _, with = ask(late, "/seen/csrattrs")
        local _, without = server:curl "/seen/csrattrs"
        assert.equal(without, with)
        assert.is_true(#with > 0)
        assert.equal(200, (ask(late, "/cacerts")))
      end)

      it("leaves a password what it is, and adds nothing to it", function()
        local password = server:credential "late"
        local status, body = ask(late, "/late/simpleenroll", nil, "--user", "late:" .. password)
        assert.equal(200, status, body)
        assert.equal("basic||",
          server:sql("SELECT principal_kind, previous, device FROM requests "
            .. "ORDER BY time_us DESC LIMIT 1"):gsub("|late$", "|"))
        -- A password renews nothing.
        refuses(403, "not accepted here", older, "/late/simplereenroll", nil, "--user",
          "older:" .. server:credential "older")
      end)

      it("7030-4.2.2-g is not renewed where the label has no grace, or less", function()
        refuses(403, "has expired", late, "/simplereenroll")
        refuses(403, "has expired", late, "/strict/simplereenroll")
        refuses(403, "not accepted here", older, "/late/simplereenroll")
        refuses(403, "issued at another label", late, "/alien/simplereenroll")
        refuses(401, "credentials are required", late, "/both/simplereenroll")
      end)

      it("is looked at no more past the longest grace of a label", function()
        local status, body, headers = ask(gone, "/seen/simplereenroll")
        if strictness == "strict" then
          assert.equal(0, status)
          assert.matches("expired", headers.curl_error)
        else
          assert.equal(403, status)
          assert.matches("has expired", body)
        end
      end)

      it("7030-4.2.2-g is refused once it is revoked", function()
        for _, label in ipairs { "/late", "/seen" } do
          refuses(403, "^the client certificate is revoked", revoked, label .. "/simplereenroll")
        end
        refuses(401, "has expired", revoked, "/late/simpleenroll")
      end)

      it("of another CA, or not in the ledger, is worth nothing", function()
        local foreign = before:issue("foreign", { by = factory, days = -1,
          ext = "extendedKeyUsage = clientAuth" })
        local unknown = before:issue("unknown", { days = -1,
          by = { path = server.dir .. "/ca.pem", key = server.dir .. "/ca.key" },
          ext = "extendedKeyUsage = clientAuth" })
        refuses(403, "not accepted here", unknown, "/late/simplereenroll")
        refuses(401, "has expired", unknown, "/late/simpleenroll")
        local status, body, headers = ask(foreign, "/late/simplereenroll")
        if strictness == "strict" then
          assert.equal(0, status)
          assert.matches("expired", headers.curl_error)
        else
          assert.equal(403, status)
          assert.matches("has expired", body)
        end
      end)

      it("of an RA renews itself, and nobody else", function()
        refuses(403, "the subject of the request is not that", ra, "/ra/simplereenroll",
          { subject = "/CN=device001" })
        refuses(401, "has expired", ra, "/ra/simpleenroll", { subject = "/CN=device001" })
        local status, body = ask(ra, "/ra/simplereenroll")
        assert.equal(200, status, body)
      end)

      it("gets no other names, of whatever policy", function()
        local status, body = ask(late, "/other/simplereenroll")
        assert.equal(500, status, body)
        assert.matches("is renewed with its own names",
          server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
        local csr = support.request("late", { change = { subject = "CN=admin" } })
        refuses(403, "names cannot be changed", late, "/other/simplereenroll", { base64 = csr })
      end)

      it("7030-4.2.2-g renews itself by a message of CMC, which asks for nothing else", function()
        local function post(it, subject, controls)
          local cert, key = core.cert.load(it.path), core.key.load(it.key)
          local csrs = subject and { assert(core.csr.build { subject = subject,
            key = core.key.generate "ec:P-256" }) }
          local path = server:file("late.cmc", core.est.body_encode(cmc.request { cert = cert,
            key = key, csrs = csrs, controls = controls }, 64))
          local status, body = server:curl("/cmc/fullcmc", "-H",
            "Content-Type: application/pkcs7-mime", "--data-binary", "@" .. path)
          return status, assert(core.cmc.parse(core.base64.decode(body)))
        end
        local status, message = post(late, "CN=late")
        assert.equal(200, status)
        assert.equal("CN=late", tostring(message.certificates[1].subject))
        local revoke = { { name = "revokeRequest", value = {
          issuer_der = core.cert.load(late.path).issuer_der,
          serial = core.cert.load(late.path).serial, reason = 4 } } }
        for _, asked in ipairs { { late, "CN=admin" }, { late, nil, revoke },
          { late, "CN=late", revoke }, { older, "CN=older" }, { revoked, "CN=revoked" },
          { ra, "CN=device001" } } do
          status = post(table.unpack(asked, 1, 3))
          assert.equal(403, status, asked[2])
        end
      end)

      it("is one while its connection lasts, from the second on", function()
        local fresh = enroll "fresh"
        local client <close> = raw_client.new()
        local function post(connection, path)
          local answer = assert(connection:request(raw_client.http("POST", path,
            { "Content-Type: application/pkcs10" }, (support.request "fresh"))))
          return answer.status, answer.headers["x-reason"] or answer.body
        end
        local connection <close> = assert(client:connect { port = server.port, cert = fresh.path,
          key = fresh.key })
        assert.equal(200, (post(connection, "/simplereenroll")))
        set(8 * DAY)
        for _, path in ipairs { "/simplereenroll", "/simpleenroll", "/late/simpleenroll",
          "/strict/simplereenroll" } do
          local status, reason = post(connection, path)
          assert.equal(403, status, path)
          assert.matches("not accepted here", reason, 1, true)
        end
        assert.equal(200, (post(connection, "/late/simplereenroll")))
        set(0)
        assert.equal(200, (post(connection, "/simpleenroll")))
      end)
    end)
  end
end)
