-- GET and POST /ocsp: what the server says of the revocation of its certificates, to openssl,
-- ocsptool and curl (RFC 6960, RFC 5019, RFC 9654).
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local function configure(text)
  return (text:gsub("labels = {", "workers = 2,\n  %0", 1))
end

describe("ocsp", function()
  local server, ca, responses

  setup(function()
    server = support.start { config = configure }
    ca = assert(core.cert.load(server.root))
    responses = process.folder()
  end)
  teardown(function()
    server:stop()
    os.execute("rm -r " .. responses)
  end)

  local function load(name)
    return assert(core.cert.load(server.folder .. "/" .. name .. ".pem"))
  end

  -- Names of headers in small letters.
  local function lowered(head) return (head:gsub("\n[%w-]+:", string.lower)) end

  local function post(der, ...)
    local file = responses .. "/request"
    process.write(file, der)
    local out, head = responses .. "/response", responses .. "/head"
    local _, code = process.run { "curl", "-sS", "--max-time", "20", "--cacert", server.root, "-o",
      out, "-D", head, "-w", "%{http_code}", server.url .. "/ocsp", "--data-binary", "@" .. file,
      "-H", "Content-Type: application/ocsp-request", ... }
    return math.tointeger(code), process.read(out), lowered(process.read(head))
  end

  local function get(der, ...)
    local text = core.base64.encode(der):gsub("[+/=]", function(c)
      return ("%%%02X"):format(c:byte())
    end)
    local out, head = responses .. "/response", responses .. "/head"
    local _, code = process.run { "curl", "-sS", "--max-time", "20", "--cacert", server.root, "-o",
      out, "-D", head, "-w", "%{http_code}", server.url .. "/ocsp/" .. text, ... }
    return math.tointeger(code), process.read(out), lowered(process.read(head))
  end

  --- What openssl asks the server, and makes of its answer: good, revoked, unknown or nothing, and
  --- all that it says.
  local function openssl(cert, options)
    local words = { "openssl", "ocsp", "-issuer", server.root }
    for word in options:gmatch "%S+" do table.insert(words, word) end
    for _, word in ipairs { "-cert", cert, "-url", server.url .. "/ocsp", "-CAfile",
      server.root } do
      table.insert(words, word)
    end
    local _, out, err = process.run(words)
    return out:match ": (%l+)\n", out .. err
  end

  local function revoke(serial, ...)
    process.must { server.lest, "cert", "revoke", serial, "--config", server.dir .. "/server.lua",
      ... }
  end

  local function state_of(der, how)
    local status, body = (how or post)(der)
    assert.equal(200, status)
    local response = assert(core.ocsp.parse_response(body))
    return response.responses and response.responses[1].state or response.status, response
  end

  --- Until every worker has heard of a revocation: connections fall to them as they come.
  local function await_revoked(der)
    local in_a_row = 0
    process.wait_for(function()
      in_a_row = state_of(der) == "revoked" and in_a_row + 1 or 0
      return in_a_row == 20
    end, "the revocation in all workers", 60)
  end

  it("tells openssl what is good, and what is revoked since when and why", function()
    local file = server:enroll "one"
    for _, options in ipairs { "", "-no_nonce", "-sha256", "-sha512 -no_nonce" } do
      local state, text = openssl(file, options)
      assert.equal("good", state, text)
      assert.matches("Response verify OK", text)
      assert.is_nil(text:find "WARNING: no nonce" , text)
    end
    revoke(load("one").serial, "--reason", "keyCompromise")
    await_revoked(core.ocsp.request(ca, load "one"))
    for _, options in ipairs { "", "-no_nonce", "-sha256", "-sha512 -no_nonce" } do
      local state, text = openssl(file, options)
      assert.equal("revoked", state, text)
      assert.matches("Reason: keyCompromise", text)
    end
  end)

  it("says good of nothing but what its ledger has, and nothing of other CAs", function()
    local other_key = assert(core.key.generate "ec:P-256")
    local twin = assert(core.issuer.root { key = other_key, subject = ca.subject,
      not_before = ca.not_before, not_after = ca.not_after })
    local own_file = server:enroll "known"
    local known = assert(core.cert.load(own_file))
    assert.equal("good", (state_of(core.ocsp.request(ca, known))))
    -- The same name, another key.
    assert.equal("unauthorized", (state_of(core.ocsp.request(twin, known))))
    assert.equal("unauthorized", (state_of(core.ocsp.request(twin, known), get)))
    -- Signed by the CA's key, and issued by nobody here.
    local issuer = assert(core.issuer.new { cert = ca,
      key = assert(core.key.load(server.dir .. "/ca.key")) })
    local stray = assert(core.cert.parse(assert(issuer:issue { public_key = other_key:public_der(),
      subject = "CN=stray", not_before = known.not_before, not_after = known.not_after })))
    assert.equal("unknown", (state_of(core.ocsp.request(ca, stray))))
  end)

  it("is signed by a key that the CA has certified for it, which is a row of the ledger", function()
    local _, response = state_of(core.ocsp.request(ca, load "known"))
    local cert = assert(core.cert.parse(response.certificates[1]))
    assert.same({ "OCSPSigning" }, cert.eku)
    assert.is_true(cert.not_after - os.time() <= 7 * 86400)
    local names = {}
    for _, extension in ipairs(cert.extensions) do names[extension.oid] = true end
    assert.is_true(names["1.3.6.1.5.5.7.48.1.5"])
    assert.equal("ocsp|server", server:sql(
      ("SELECT operation, principal_kind FROM certificates WHERE serial = '%s'"):format(
        cert.serial)))
    assert.equal("1", server:sql "SELECT count(*) FROM certificates WHERE operation = 'ocsp'")
    -- Its own state can be asked, too.
    assert.equal("good", (state_of(core.ocsp.request(ca, cert))))
  end)

  it("is signed by another key once that certificate is revoked", function()
    local der = core.ocsp.request(ca, load "known")
    local function signer()
      local _, response = state_of(der)
      return assert(core.cert.parse(response.certificates[1]))
    end
    local first = signer()
    revoke(first.serial, "--reason", "keyCompromise")
    -- What workers have kept goes, too.
    local in_a_row = 0
    process.wait_for(function()
      in_a_row = signer().serial ~= first.serial and in_a_row + 1 or 0
      return in_a_row == 20
    end, "another key in all workers", 60)
    assert.equal("revoked", (state_of(core.ocsp.request(ca, first))))
  end)

  it("may be kept by caches until it is over, without a nonce", function()
    local der = core.ocsp.request(ca, load "known")
    for _, how in ipairs { get, post } do
      local status, body, head = how(der)
      assert.equal(200, status)
      local single = assert(core.ocsp.parse_response(body)).responses[1]
      assert.equal(4 * 3600, single.next_update - single.this_update)
      assert.truthy(head:find("content-type: application/ocsp-response", 1, true))
      local fresh = tonumber(head:match
        "cache%-control: max%-age=(%d+), public, no%-transform, must%-revalidate")
      assert.is_true(fresh > 4 * 3600 - 600 and fresh <= 4 * 3600)
      assert.equal(single.next_update, core.http.date(head:match "expires: ([^\r]+)"))
      assert.equal(single.this_update, core.http.date(head:match "last%-modified: ([^\r]+)"))
      local tag = head:match 'etag: ("%x+")'
      if how == get then assert.equal(304, (get(der, "-H", "If-None-Match: " .. tag))) end
      -- The same bytes: they were kept.
      assert.equal(body, select(2, how(der)))
    end
    process.must { "openssl", "ocsp", "-issuer", server.root, "-cert", server.folder
      .. "/known.pem", "-reqout", responses .. "/nonce" }
    local _, first, head = post(process.read(responses .. "/nonce"))
    assert.truthy(head:find("cache-control: no-store", 1, true))
    assert.is_nil(head:find "etag")
    assert.are_not.equal(first, select(2, post(process.read(responses .. "/nonce"))))
  end)

  it("answers several certificates at once", function()
    server:enroll "second"
    local request = responses .. "/many"
    process.must(("openssl ocsp -issuer %s -cert %s -cert %s -serial 0x77 -reqout %s"):format(
      server.root, server.folder .. "/known.pem", server.folder .. "/second.pem", request))
    local _, body = post(process.read(request))
    local states = {}
    for i, each in ipairs(assert(core.ocsp.parse_response(body)).responses) do
      states[i] = each.state
    end
    assert.same({ "good", "good", "unknown" }, states)
  end)

  it("answers garbage with malformedRequest, and what is no question of OCSP in HTTP", function()
    local good = core.ocsp.request(ca, load "known")
    for _, bytes in ipairs { "", "garbage", good .. "\0", good:sub(1, -2),
      ("\x30"):rep(4000) } do
      assert.equal("malformedRequest", (state_of(bytes)))
    end
    local function status(path, ...)
      local _, code = process.run { "curl", "-sS", "--max-time", "20", "--cacert", server.root,
        "-o", responses .. "/body", "-w", "%{http_code}", server.url .. path, ... }
      return math.tointeger(code), process.read(responses .. "/body")
    end
    for _, path in ipairs { "%41%2", "AAA%20", "AAA-", "%3d%3d", ("A"):rep(3000) } do
      local code, body = status("/ocsp/" .. path)
      assert.is_true(code == 400 or code == 200
        and body == core.ocsp.failure "malformedRequest", path)
    end
    assert.equal(404, (status "/ocsp"))
    assert.equal(404, (status "/ocsp/"))
    assert.equal(404, (status("/ocsp/x", "--data-binary", "x", "-H",
      "Content-Type: application/ocsp-request")))
    assert.equal(415, (status("/ocsp", "--data-binary", "x")))
    assert.equal(413, (status("/ocsp", "--data-binary", ("x"):rep(5000), "-H",
      "Content-Type: application/ocsp-request")))
    assert.equal(405, (status("/ocsp", "-X", "DELETE")))
  end)

  it("takes the path as clients write it: with and without escapes", function()
    local der = core.ocsp.request(ca, load "known")
    local text = core.base64.encode(der)
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    for _, path in ipairs { text, (text:gsub("=", "%%3d")),
      (text:gsub("[^%w]", function(c) return ("%%%02x"):format(c:byte()) end)) } do
      local response = assert(connection:request("GET /ocsp/" .. path
        .. " HTTP/1.1\r\nHost: h\r\n\r\n"))
      assert.equal("good", assert(core.ocsp.parse_response(response.body)).responses[1].state)
    end
  end)

  it("is what ocsptool takes", function()
    local request, response = responses .. "/gnutls", responses .. "/gnutls-response"
    process.must { "ocsptool", "--generate-request", "--load-issuer", server.root, "--load-cert",
      server.folder .. "/known.pem", "--nonce", "--outfile", request }
    local _, body = post(process.read(request))
    process.write(response, body)
    local code, out, err = process.run { "ocsptool", "--verify-response", "--load-trust",
      server.root, "--load-response", response, "--inder" }
    assert.equal(0, code, out .. err)
    assert.matches("Verifying OCSP Response: Success", out .. err)
    assert.matches("Certificate Status: good", (select(2, process.run { "ocsptool",
      "--response-info", "--load-response", response, "--inder" })))
  end)

  it("forgets what a revocation makes wrong, in every worker", function()
    server:enroll "three"
    local der = core.ocsp.request(ca, load "three")
    for _ = 1, 20 do assert.equal("good", (state_of(der))) end
    revoke(load("three").serial, "--reason", "superseded")
    await_revoked(der)
  end)
end)

describe("ocsp over plain HTTP", function()
  it("is where certificates say, and tells openssl of them", function()
    local port = process.free_port()
    local server <close> = support.start { config = function(text)
      return (configure(text):gsub("labels = {", ('listen_http = "127.0.0.1:%d",\n  %%0'):format(
        port), 1))
    end }
    local file = server:enroll "device"
    local url = process.must { "openssl", "x509", "-noout", "-ocsp_uri", "-in", file }
    assert.equal(("http://localhost:%d/ocsp\n"):format(port), url)
    local function state()
      local _, out, err = process.run { "openssl", "ocsp", "-issuer", server.root, "-cert", file,
        "-CAfile", server.root, "-url", (url:gsub("%s", "")) }
      return out:match ": (%l+)\n", out .. err
    end
    local before, text = state()
    assert.equal("good", before, text)
    process.must { server.lest, "cert", "revoke", "--device", "device", "--config",
      server.dir .. "/server.lua" }
    process.wait_for(function() return state() == "revoked" end, "the revocation", 30)
  end)
end)
