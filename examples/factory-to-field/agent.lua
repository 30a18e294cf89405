-- A device that has a certificate of its maker (IDevID, IEEE 802.1AR) gets its owner's, and lives
-- with that (LDevID): `lest agent` shows the maker's once and renews with the owner's, by a new key
-- each time. Where the device was away for longer than its certificate lasts, the maker's is shown
-- again. The owner's server is server.lua, beside this file.
return {
  state = "state",
  identities = {
    device = {
      url = "https://est.example.com:8443",
      trust = "ca.pem", -- the owner's CA, which whoever installs the device brings along
      cert = "idevid.pem",
      cert_key = "idevid.key", -- or a URI, as "tpm2:idevid.key" or "handle:0x81000001"
      subject = "CN=device", -- the owner's server chooses the name
      server_names = true,
      key = "ec:P-256", -- "tpm2:ec:P-256" where the device has a TPM
      fallbacks = { "bootstrap", "operator" },
    },
  },
}
