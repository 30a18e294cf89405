-- The OCSP response that goes with the server's certificate (RFC 6066 8), as curl and openssl ask
-- for it.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("a staple", function()
  -- What openssl sees of a handshake.
  local function staple(server, ...)
    local _, out = process.run({ "openssl", "s_client", "-connect", "localhost:" .. server.port,
      "-servername", "localhost", "-CAfile", server.root, "-status", ... }, { stdin = "" })
    return out:match "OCSP Response Status: (%l+)", out:match "Cert Status: (%l+)", out
  end

  -- curl's exit code: 91 where there is no staple, or a bad one (CURLE_SSL_INVALIDCERTSTATUS).
  local function curl(server)
    return (process.run { "curl", "-sS", "--fail", "--cert-status", "--cacert", server.root, "-o",
      "/dev/null", server.url .. "/.well-known/est/cacerts" })
  end

  -- One handshake after the other meets each worker.
  local function everywhere(ask, what)
    local in_a_row = 0
    process.wait_for(function()
      in_a_row = ask() and in_a_row + 1 or 0
      return in_a_row == 12
    end, what, 60)
  end

  it("is there before anybody asks where the server certifies itself", function()
    local server <close> = support.start { auto = true, config = function(text)
      return (text:gsub("listen = {", 'workers = 2, listen_http = "[::1]:0", '
        .. 'public_url = "http://pki.example",\n%0', 1))
    end }
    everywhere(function() return curl(server) == 0 end, "the staple")
    local _, state, text = staple(server, "-verify_return_error")
    assert.equal("good", state, text)
    assert.matches("Verification: OK", text)
    local cert = process.must(("openssl s_client -connect 127.0.0.1:%s </dev/null 2>/dev/null "
      .. "| openssl x509 -noout -text"):format(server.port))
    assert.matches("URI:http://pki.example/crl/%x+.crl", cert)
    assert.matches("OCSP %- URI:http://pki.example/ocsp", cert)
    assert.matches("CA Issuers %- URI:http://pki.example/ca/%x+.cer", cert)
  end)

  it("follows a certificate that renews itself", function()
    local server <close> = support.start { auto = true, config = function(text)
      return (text:gsub('"127.0.0.1" }', '%0, lifetime = "12s"', 1)
        :gsub("listen = {", "workers = 1, %0", 1))
    end }
    local serials, count = {}, 0
    process.wait_for(function()
      local _, state, text = staple(server, "-verify_return_error")
      local serial = text:match "Serial Number: (%x+)"
      if state ~= "good" or serials[serial] then return false end
      serials[serial], count = true, count + 1
      return count == 3
    end, "staples of three certificates", 120)
  end)

  it("is there of a certificate in files once the ledger has it", function()
    local server <close> = support.start {
      config = function(text)
        -- Of several workers, each has one once it was asked.
        return (text:gsub("labels = {", "workers = 1,\n  %0", 1)
          :gsub('eku = { ', 'san = { "DNS" }, eku = { "serverAuth", '))
      end,
      policy = 'local policy = require "lest.policy"\nreturn { enroll = function(request)\n'
        .. '  return policy.approve { subject = request.csr.subject, san = request.csr.san }\n'
        .. 'end }',
    }
    -- That of `lest ca init` is in no ledger.
    assert.is_nil((staple(server)))
    local secret = server:credential "localhost"
    local status, body = server:post("/simpleenroll", server:csr("localhost",
      { san = "DNS:localhost" }), "--user", "localhost:" .. secret)
    assert.equal(200, status, body)
    -- curl 7.88 looks for the issuer in what the server sends, and nowhere else.
    process.write(server.dir .. "/server.pem", process.read(server:save(body, "localhost"))
      .. process.read(server.root))
    process.write(server.dir .. "/server.key", process.read(server.folder .. "/localhost.key"))
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > 1 end, "the reload", 60)
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      process.wait_for(function() return staple(server, version) == "successful" end,
        "the staple", 30)
      local _, state, text = staple(server, version)
      assert.equal("good", state, text)
    end
    assert.equal(0, curl(server))
    local cert = assert(core.cert.load_all(server.dir .. "/server.pem"))[1]
    process.must { server.lest, "cert", "revoke", cert.serial, "--config",
      server.dir .. "/server.lua" }
    process.wait_for(function() return select(2, staple(server)) == "revoked" end, "the end", 30)
    assert.equal(91, curl(server))
  end)
end)
