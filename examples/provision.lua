#!/usr/bin/env -S lest run
--- Give a device its certificate, and renew it when its time has come: run it at every boot, or
--- daily.
---
---   lest run provision.lua https://est.example.com:8443 device001
---
--- Beside it lie ca.pem (who vouches for the server) and, for the first time, the file password.
--- What it makes lies there too: device.key, device.pem. It may be interrupted at any moment and
--- run again: a key is saved before it is used, so that the server, asked again with the same key,
--- gives the certificate whose answer was lost.
local lest = require "lest"

local url <const>, name <const> = arg[1], arg[2]
if not name then
  io.stderr:write "usage: lest run provision.lua URL NAME\n"
  os.exit(2)
end

local RENEW_IN <const> = 30 * 86400 -- seconds before the end
local WAIT <const> = "10m" -- for a request that an operator must approve

-- The key in a file, made at the first time.
local function key_in(file)
  local key, err = lest.key.load(file)
  if not key and err.code == "not_found" then
    key = assert(lest.key.generate "ec:P-256")
    assert(key:save(file))
  elseif not key then
    error(err)
  end
  return key
end

local function enroll()
  local secret = assert(lest.file.read "password"):match "^[^\r\n]*"
  local client = lest.client { url = url, trust = "ca.pem", username = name, password = secret }
  local cert = assert(client:enroll { key = key_in "device.key", subject = { { "CN", name } },
    wait = WAIT })
  assert(cert:save "device.pem")
  os.remove "password" -- it was for once
  return cert
end

-- With a new key. Both files are replaced, the key last: should that fail, next.key is still there
-- and the next run finds it.
local function renew(cert)
  local key = key_in "next.key"
  local client = lest.client { url = url, trust = "ca.pem", cert = cert, key = "device.key" }
  local renewed = assert(client:reenroll { key = key, wait = WAIT })
  assert(renewed:save "device.pem")
  assert(os.rename("next.key", "device.key"))
  return renewed
end

-- A run that was cut short between the two files of renew(): the certificate is for the next key.
local function finish_renewal(cert)
  local key = lest.key.load "next.key"
  if key and key:public_der() == cert.public_key.der then
    assert(os.rename("next.key", "device.key"))
  end
end

local cert, err = lest.cert.load "device.pem"
if cert then
  finish_renewal(cert)
  if cert.not_after - os.time() < RENEW_IN then cert = renew(cert) end
elseif err.code == "not_found" then
  cert = enroll()
else
  error(err)
end
print(("%s until %s"):format(cert.subject, os.date("!%Y-%m-%d %H:%M:%S UTC", cert.not_after)))
