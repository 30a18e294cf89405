-- A device shows the certificate of its maker (IDevID, IEEE 802.1AR), and gets one of ours if its
-- serial number is in our list: a CSV file, or a service that answers 200 with a JSON object, or
-- 404. Taken off the list, it renews no more. Without a list it is policies/factory.lua.
--
-- The configuration:
--   anchors  = { own = "ca.pem", factory = "makers.pem" },
--   profiles = { device = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
--                subject = { "CN", "serialNumber" } } },
--   labels   = { default = { profile = "device", auth = { "certificate" }, policy = {
--                file = "allow-list.lua", options = { devices = "devices.csv" } } } },
-- or, of a service:
--                options = { devices = "https://inventory/devices/${key}", trust = "ca.pem" }
local policy = require "lest.policy"

local options = policy.options {
  devices = { type = "source" }, -- of a file the first row: serial, and any other column
  trust = { type = "file", optional = true }, -- the service's CA; absent: the system's
  cache = { type = "duration", default = "30s", max = "1h" },
  anchors = { type = "string", default = "factory" }, -- the makers' name in the configuration
  prefix = { type = "string", default = "device-" },
  window = { type = "duration", default = "30d" },
}

local is_service = options.devices:find "^https?://"
local devices = is_service
  and policy.http { url = options.devices, trust = options.trust, cache = options.cache }
  or policy.csv(options.devices, { key = "serial" })

-- The certificate that the device came with, and the one that it has from us.
local SERIAL <const> = "${principal.certificate.subject.serialNumber}"
local OF_OURS <const> = "${previous.certificate.subject.serialNumber}"

---@type lest.policy.hooks
return {
  enroll = policy.first {
    policy.unless(policy.principal { kind = "certificate", anchors = options.anchors },
      policy.reject "a factory certificate is required"),
    policy.unless(policy.listed(devices, SERIAL), policy.reject "the device is not in the list"),
    policy.names { CN = options.prefix .. SERIAL, serialNumber = SERIAL },
  },
  reenroll = policy.first {
    policy.unless(policy.listed(devices, OF_OURS), policy.reject "the device is not in the list"),
    policy.renew { window = options.window },
  },
}
