-- Passwords in handshakes (SRP) with GnuTLS at the other end: gnutls-cli enrolls at lest serve, and
-- lest cacerts meets gnutls-serv. (For curl: spec/protocol/srp_spec.lua.)
local process = require "support.process"
local support = require "support.server"

local SRP <const> = "NORMAL:-KX-ALL:+SRP:-VERS-ALL:+VERS-TLS1.2"

describe("GnuTLS with a password", function()
  it("7030-3.3.3-a enrolls, and is refused with another one", function()
    local server <close> = support.start { listen = { "127.0.0.2:0,srp" }, config = function(text)
      return (text:gsub('listen = { "%[::%]:8443" }',
        'listen = { { address = "[::]:8444", srp = true } }', 1)
        :gsub('auth = { "certificate", "basic" }', 'auth = { "srp" }', 1))
    end }
    local password = server:credential("gnutls", { "--kind", "srp" })
    local body = support.request "gnutls"
    local bytes = ("POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
      .. "Connection: close\r\nContent-Type: application/pkcs10\r\nContent-Length: %d\r\n\r\n%s")
      :format(#body, body)
    -- What it is given has no end before there is an answer: in TLS 1.2 that ends both directions.
    local script = ([[
      : >answer; : >ended
      { cat; for i in $(seq 150); do [ -s answer ] || [ -s ended ] && break; sleep 0.1; done; } | {
        timeout 20 gnutls-cli --logfile log --priority '%s' --srpusername gnutls --srppasswd "$1" \
          --port %s 127.0.0.2 >answer
        echo $? >ended; }
      cat answer]]):format(SRP, server.port)
    local function enroll(with)
      local _, out, err = process.run({ "sh", "-c", script, "sh", with },
        { stdin = bytes, dir = server.folder })
      return out, err .. process.read(server.folder .. "/log")
    end
    local out, err = enroll(password:reverse())
    assert.equal("", out)
    assert.matches("[Aa]lert", err)
    out, err = enroll(password)
    local answer = out:match "^HTTP/1.1 200 .-\r\n\r\n(.*)$"
    assert(answer, out .. err)
    assert.equal("CN=gnutls", tostring(support.issued(answer).subject))
  end)

  describe("as a server", function()
    local folder, pids

    setup(function() folder, pids = process.folder(), {} end)
    teardown(function()
      for _, pid in ipairs(pids) do process.kill(pid) end
    end)

    --- What the client says of a server that keeps the password in the group of so many bits.
    local function fetch(bits, password)
      local base = ("%s/%d"):format(folder, bits)
      process.must { "sh", "-c", ([[cd %s && srptool --create-conf %s.conf >/dev/null &&
        index=$(awk -F: -v bits=%d '{ n = length($2) * 6 }
          n >= bits && n < bits + 12 { print $1 }' %s.conf) && [ -n "$index" ] &&
        echo secret99 | setsid -w srptool --passwd-conf %s.conf --passwd %s.pwd --username device \
          --index $index >/dev/null]]):format(folder, base, bits, base, base, base) }
      local port = process.free_port()
      table.insert(pids, process.start({ "gnutls-serv", "--http", "--port", tostring(port),
        "--priority", SRP, "--srppasswd", base .. ".pwd", "--srppasswdconf", base .. ".conf" },
        base .. ".out", base .. ".log"))
      process.wait_for(function()
        return os.execute(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d' 2>/dev/null"):format(port))
      end, "gnutls-serv", 10)
      local code, out, err = process.run({ LEST_PREFIX .. "/bin/lest", "cacerts",
        "127.0.0.1:" .. port, "--srp-user", "device", "--srp-password-file", "-", "--trace" },
        { stdin = password .. "\n" })
      assert.not_equal(0, code, out) -- it is a server of HTTP, and none of EST
      return err
    end

    it("is believed where it has the password, in a group that is large enough", function()
      for _, bits in ipairs { 2048, 3072 } do
        local said = fetch(bits, "secret99")
        assert.matches("trusted: it has the client's password, or its verifier", said)
        assert.matches("Connected as user 'device'", said)
      end
      assert.matches("does not know the user, or the password is not his", fetch(4096, "wrong999"))
      assert.matches("less than 2048 bits", fetch(1536, "secret99"))
    end)
  end)
end)
