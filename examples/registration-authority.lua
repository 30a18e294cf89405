#!/usr/bin/env -S lest run
--- A registration authority (RFC 7030 3.7): ask for devices that cannot reach the server, as on a
--- line that has no network, with requests that they have signed.
---
---   lest run registration-authority.lua https://est.example.com:8443 device001.csr device002.csr
---
--- Beside it lie ca.pem (who vouches for the server), ra.pem and ra.key: a certificate of the
--- server's own CA with id-kp-cmcRA, as policies/registration-authority.lua wants it. Who runs this
--- answers for what is asked for: that each file comes from the device that it names. What comes
--- back is device001.pem and so on. Where a request waits, or fails, run it again with the same
--- files: what was issued already is given again.
local lest = require "lest"

local url <const> = table.remove(arg, 1)
if not arg[1] then
  io.stderr:write "usage: lest run registration-authority.lua URL FILE.csr...\n"
  os.exit(2)
end

local client = lest.client { url = url, trust = "ca.pem", cert = "ra.pem", key = "ra.key" }

lest.all(arg, { limit = 8, each = function(file)
  local csr = assert(lest.csr.parse(assert(lest.file.read(file))))
  local cert = assert(client:enroll(csr))
  assert(cert:save((file:gsub("%.csr$", "") .. ".pem")))
  print(("%s: %s"):format(file, tostring(cert.subject)))
end })
