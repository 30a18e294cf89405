-- `lest probe` of another's server: nginx, whose HTTP is right but for one rule, and which is no
-- EST server but for a static /cacerts; and GnuTLS's, which answers a page to whatever it is asked.
local lest_client = require "lest.client"
local process = require "support.process"
local support = require "support.server"

local CONFIG <const> = [[
daemon off;
pid @FOLDER@/nginx.pid;
error_log @FOLDER@/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path @FOLDER@/body;
  proxy_temp_path @FOLDER@/proxy;
  fastcgi_temp_path @FOLDER@/fastcgi;
  uwsgi_temp_path @FOLDER@/uwsgi;
  scgi_temp_path @FOLDER@/scgi;
  server {
    listen 127.0.0.1:@PORT@ ssl;
    ssl_certificate @DIR@/server.pem;
    ssl_certificate_key @DIR@/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    root @FOLDER@/root;
    location = /.well-known/est/cacerts { default_type application/pkcs7-mime; }
    location = /.well-known/est/simpleenroll {
      auth_basic "est";
      auth_basic_user_file /dev/null;
    }
  }
}
]]

describe("a probe of nginx", function()
  local made, pid

  teardown(function()
    if pid then process.kill(pid) end
    made:stop()
  end)

  it("finds what nginx does, and no more", function()
    made = support.make()
    local folder = made.folder .. "/nginx"
    local words = { FOLDER = folder, DIR = made.dir, PORT = process.free_port() }
    process.must { "mkdir", "-p", folder .. "/root/.well-known/est" }
    process.write(folder .. "/nginx.conf", (CONFIG:gsub("@(%u+)@", words)))
    process.write(folder .. "/root/.well-known/est/cacerts", process.must(
      ("openssl crl2pkcs7 -nocrl -certfile %s/ca.pem -outform DER | openssl base64"):format(
        made.dir)))
    process.must { "chmod", "-R", "a+rX", made.folder }
    pid = process.start({ "/usr/sbin/nginx", "-c", folder .. "/nginx.conf" }, folder .. "/out",
      folder .. "/err")
    local client <close> = lest_client { url = "https://localhost:" .. words.PORT,
      trust = made.root }
    process.wait_for(function() return client:connect() end, "nginx")
    local report = assert(client:probe { rate = 1000 })
    local failed = {}
    for _, check in ipairs(report.checks) do
      if check.verdict == "fail" then failed[check.id] = check.seen end
    end
    assert.same({
      ["7030-3.2.2-d"] = "404",
      ["7030-3.3-g"] = "it asked for no certificate",
      ["9110-15.5.6-a"] = "GET /simpleenroll: 401; POST /cacerts: 405 without Allow",
      ["9110-9.1-b"] = "405",
    }, failed)
    assert.equal(2, report.must_failed)
    assert.is_nil(report.err)
  end)
end)

describe("a probe of GnuTLS's server", function()
  local made, pid

  teardown(function()
    if pid then process.kill(pid, "KILL") end
    made:stop()
  end)

  it("finds that it is none of EST, and speaks TLS 1.0 and 1.1", function()
    made = support.make()
    local port = process.free_port()
    pid = process.start({ "gnutls-serv", "--http", "--quiet", "--x509certfile",
      made.dir .. "/server.pem", "--x509keyfile", made.dir .. "/server.key", "--port", port },
      made.folder .. "/out", made.folder .. "/err")
    local client <close> = lest_client { url = "https://localhost:" .. port, trust = made.root }
    process.wait_for(function() return client:connect() end, "gnutls-serv")
    local report = assert(client:probe { rate = 1000 })
    assert.is_nil(report.err)
    local seen = {}
    for _, check in ipairs(report.checks) do seen[check.id] = check.verdict end
    for id, verdict in pairs { ["7030-4.1.3-a"] = "pass", ["7030-4.1.3-c"] = "fail",
      ["7030-3.2.2-b"] = "fail", ["7030-3.2.2-m"] = "fail", ["8951-3-a"] = "fail",
      ["7030-4.5.2-d"] = "fail", ["9112-3.2-a"] = "fail", ["9112-5.2-a"] = "skip",
      ["9908-3.4-a"] = "skip", ["7030-3.3.1-c"] = "pass", ["7030-3.2.3-c"] = "pass",
      ["7030-6-e"] = "pass", ["7030-3.5-e"] = "pass", ["8446-4.1-a"] = "pass",
      ["8996-4-a"] = "fail", ["8996-5-a"] = "fail" } do
      assert.same({ id, verdict }, { id, seen[id] })
    end
  end)
end)
