--- A bare nginx: one static file over TLS 1.3, or plain HTTP, the yardstick of bench.lua.
local process = require "support.process"
local processes = require "bench.processes"

local M = {}

-- NumTickets: without it OpenSSL would still make tickets, of the stateful kind.
local CONFIG <const> = [[
worker_processes @WORKERS@;
daemon off;
pid @FOLDER@/nginx.pid;
error_log @FOLDER@/nginx.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path @FOLDER@/body;
  proxy_temp_path @FOLDER@/proxy;
  fastcgi_temp_path @FOLDER@/fastcgi;
  uwsgi_temp_path @FOLDER@/uwsgi;
  scgi_temp_path @FOLDER@/scgi;
  default_type application/pkcs7-mime;
  keepalive_timeout 75s;
  server {
    listen 127.0.0.1:@PORT@ @SSL@ backlog=1024;
    @TLS@
    @VERIFY@
    root @FOLDER@/root;
  }
}
]]

local TLS <const> = [[ssl_certificate @DIR@/server.pem;
    ssl_certificate_key @DIR@/server.key;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_cache off;
    ssl_session_tickets off;
    ssl_conf_command NumTickets 0;]]

--- Start it with a server.pem and server.key.
---@param options table folder, dir (where the certificate is), port, workers, size (of the file),
--- clients (PEM file of the CA whose client certificates it requires, or nil), plain (without TLS)
---@return { pid: integer, port: integer, requests: string } requests: a file for load_bench
function M.start(options)
  local folder = options.folder
  process.must { "mkdir", "-p", folder .. "/root" }
  process.write(folder .. "/root/cert", ("x"):rep(options.size))
  process.must { "chmod", "-R", "a+rX", folder .. "/root" }
  local tls = options.plain and "" or TLS:gsub("@DIR@", options.dir)
  local words = { SSL = options.plain and "" or "ssl", TLS = tls, WORKERS = options.workers,
    FOLDER = folder,
    PORT = options.port, VERIFY = options.clients
      and ("ssl_client_certificate %s;\n    ssl_verify_client on;"):format(options.clients) or "" }
  process.write(folder .. "/nginx.conf", (CONFIG:gsub("@(%u+)@", words)))
  local request = "GET /cert HTTP/1.1\r\nHost: localhost\r\n\r\n"
  process.write(folder .. "/get", ("%d\n%s"):format(#request, request))
  local pid = process.start({ "/usr/sbin/nginx", "-c", folder .. "/nginx.conf" },
    folder .. "/nginx.out", folder .. "/nginx.err")
  process.wait_for(function()
    assert(process.alive(pid), process.read(folder .. "/nginx.err"))
    return #processes.tree(pid) == 1 + options.workers
  end, "nginx")
  return { pid = pid, port = options.port, requests = folder .. "/get" }
end

return M
