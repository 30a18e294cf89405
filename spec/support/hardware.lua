--- Keys in hardware, by software that stands in for it: a token of SoftHSM, a TPM of swtpm. Each
--- is in a folder of its own, and has `environment`, words of env(1) for programs that use it.
---
---     local token, missing = hardware.token "dev9"
---     if not token then return pending(missing) end
---     process.must { "env", token.environment[1], process.lest, ... }   -- key token.uri
---     token:stop()
local process = require "support.process"

local M = {}

local MODULE <const> = "/usr/lib/softhsm/libsofthsm2.so"
local PIN <const> = "1234"

local Hardware = {}
Hardware.__index = Hardware

function Hardware:stop()
  if self.pid then process.kill(self.pid, "KILL") end
  os.execute("rm -rf " .. process.quote(self.folder))
end

--- A command that finds it; as process.run.
function Hardware:run(words, options)
  return process.run({ "env", table.unpack(self.environment), table.unpack(words) }, options)
end

local function library(folder, name)
  local path = process.capture(("ls /usr/lib/*/%s/%s.so 2>/dev/null"):format(folder, name))
  return path ~= nil
end

--- A token with a key of P-256 in it, which has this name.
---@param name string
---@return table? token with uri (without a PIN), pin and pin_file
---@return string? missing
function M.token(name)
  if not (process.exists(MODULE) and library("engines-3", "pkcs11")
    and process.capture "command -v pkcs11-tool") then
    return nil, "needs softhsm2, libengine-pkcs11-openssl and opensc"
  end
  local folder = process.folder()
  local self = setmetatable({ folder = folder, pin = PIN, pin_file = folder .. "/pin",
    uri = "pkcs11:token=lest;object=" .. name }, Hardware)
  process.write(self.pin_file, PIN .. "\n")
  process.must { "mkdir", folder .. "/tokens" }
  process.write(folder .. "/softhsm2.conf",
    ("directories.tokendir = %s/tokens\nobjectstore.backend = file\n"):format(folder))
  self.environment = { ("SOFTHSM2_CONF=%s/softhsm2.conf"):format(folder),
    "PKCS11_MODULE_PATH=" .. MODULE }
  for _, words in ipairs {
    { "softhsm2-util", "--init-token", "--free", "--label", "lest", "--pin", PIN, "--so-pin",
      "5678" },
    { "pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "--token-label", "lest",
      "--keypairgen", "--key-type", "EC:prime256v1", "--label", name, "--id", "01" },
  } do
    local code, out, err = self:run(words)
    if code ~= 0 then error(out .. err, 2) end
  end
  return self
end

-- The TPM's ports are two that follow each other.
local function start_tpm(folder)
  for _ = 1, 20 do
    local port = tonumber(process.free_port())
    os.remove(folder .. "/log")
    local pid = process.start({ "swtpm", "socket", "--tpm2", "--tpmstate", "dir=" .. folder,
      "--server", ("type=tcp,port=%d,bindaddr=127.0.0.1,disconnect"):format(port), "--ctrl",
      ("type=tcp,port=%d,bindaddr=127.0.0.1"):format(port + 1), "--flags",
      "not-need-init,startup-clear" }, folder .. "/out", folder .. "/log")
    local ready = pcall(process.wait_for, function()
      return process.run { "env", ("TPM2OPENSSL_TCTI=swtpm:host=127.0.0.1,port=%d"):format(port),
        "openssl", "list", "-providers", "-provider", "tpm2" } == 0
    end, "a TPM", 30)
    if ready then return pid, port end
    process.kill(pid, "KILL")
  end
  error "no TPM has started"
end

--- A TPM 2.0 without a key.
---@return table? tpm
---@return string? missing
function M.tpm()
  if not (process.capture "command -v swtpm" and library("ossl-modules", "tpm2")
    and process.capture "ls /usr/lib/*/libtss2-tcti-swtpm.so.0 2>/dev/null") then
    return nil, "needs swtpm, tpm2-openssl and libtss2-tcti-swtpm0"
  end
  local folder = process.folder()
  local pid, port = start_tpm(folder)
  return setmetatable({ folder = folder, pid = pid,
    environment = { ("TPM2OPENSSL_TCTI=swtpm:host=127.0.0.1,port=%d"):format(port) } }, Hardware)
end

return M
