--- What the client's calls may be given, and where the server's operations are.
local core = require "lest.core"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"
local psk = require "lest.base.psk"
local url = require "lest.url"

local M = {}

local PREFIX <const> = "/.well-known/est"

M.client = {
  url = "string", label = "string", trust = "string|table|lest.store|lest.cert",
  fingerprint = "string", trust_cacerts = "boolean", username = "string", password = "string",
  cert = "string|lest.cert",
  key = "string|lest.key", passphrase = "string", timeout = "string|integer",
  require_name = "boolean", preemptive = "boolean", digest = "boolean", bearer = "string",
  bearer_file = "string",
  challenge = "string", challenge_file = "string", channel_binding = "boolean",
  redirects = "table", proxy = "string", proxy_username = "string", proxy_password = "string",
  psk_identity = "string", psk = "string", psk_file = "string",
  srp_user = "string", srp_password = "string", srp_password_file = "string",
  allow_password_with_system_trust = "boolean", notify = "function", trace = "boolean|function",
}

M.enroll = {
  key = "lest.key", subject = "string|table", san = "table", key_usage = "table", eku = "table",
  extensions = "table", attributes = "table", challenge_password = "string", digest = "string",
  otp_challenge = "string", revocation_challenge = "string", identity_linking = "string",
  wait = "string|integer", csrattrs = "boolean", change = "table",
}
M.reenroll = { key = "lest.key", digest = "string", wait = "string|integer",
  csrattrs = "boolean", change = "table", revocation_challenge = "string" }
M.serverkeygen = {
  key = "string", csr_key = "lest.key", subject = "string|table", san = "table",
  key_usage = "table", eku = "table", extensions = "table", attributes = "table",
  challenge_password = "string", revocation_challenge = "string", digest = "string",
  wait = "string|integer", csrattrs = "boolean",
  decrypt = "lest.key", decrypt_cert = "lest.cert", shared_key = "string",
  shared_key_id = "string",
}
M.fullcmc = { requests = "table", sign = "table", controls = "table", identity = "table",
  wait = "string|integer", csrattrs = "boolean" }
M.send = { operation = "string", method = "string", path = "string", body = "string|lest.csr",
  headers = "table", password = "boolean", raw = "string", timeout = "string|integer" }
M.record = { secrets = "boolean" }
M.probe = { enroll = "boolean", subject = "string", checks = "table", rate = "number|integer",
  progress = "function" }
M.receive = { timeout = "string|integer" }
M.wait = { wait = "string|integer" }

--- The name of a class of ours, or Lua's type.
---@param value any
---@return string
function M.kind(value)
  if type(value) == "userdata" then return (tostring(value):match "^lest%.%w+") or "userdata" end
  return math.type(value) == "integer" and "integer" or type(value)
end

--- Raise for a wrong option: it is the programmer's mistake. known is one of the tables above.
---@param what string
---@param options table
---@param known table<string, string>
function M.check(what, options, known)
  if type(options) ~= "table" then error(what .. " takes a table of options", 3) end
  for name, value in pairs(options) do
    local types = known[name]
    if not types then
      local hint = require "lest.base.schema".hint(name, known)
      error(("%s has no option '%s'%s"):format(what, tostring(name), hint), 3)
    end
    local kind, fits = M.kind(value), false
    for expected in types:gmatch "[^|]+" do fits = fits or kind == expected end
    if not fits then
      error(("%s: the option '%s' has the type %s, not %s"):format(what, name, kind,
        types:gsub("|", " or ")), 3)
    end
    if (name == "wait" or name == "timeout") and not duration.parse(value) then
      error(select(2, duration.parse(value)), 3)
    end
  end
end

--- The folder of the operations (RFC 7030 3.2.2), in three forms of configuration: the whole
--- folder, authority and label, authority alone.
---@param options lest.client.options
---@return lest.url?
---@return string|lest.error|nil label or the error
function M.base(options)
  local text, label = options.url, options.label
  if text:find "^[hH][tT][tT][pP]:" then
    return fail("usage", "EST is never spoken over http://; write https://")
  end
  if not text:find("://", 1, true) then text = "https://" .. text end
  local base, problem = url.parse(text)
  if not base then return fail("usage", problem) end
  if base.query then return fail("usage", "the URL of an EST server has no query") end
  local path = base.path:gsub("/+$", "")
  if path ~= "" then
    local rest = path == PREFIX and "" or path:match "^/%.well%-known/est/([^/]+)$"
    if not rest then
      local message = ("the path of an EST server is %s[/LABEL], not '%s'"):format(PREFIX, path)
      return fail("usage", message)
    end
    if rest ~= "" and label and label ~= rest then
      return fail("usage", ("the URL has the label '%s', the option '%s'"):format(rest, label))
    end
    label = rest ~= "" and rest or label
  end
  if label then
    local ok, err = core.est.label_check(label)
    if not ok then return nil, err end
  end
  base.path = PREFIX .. (label and "/" .. label or "")
  return base, label
end

--- A proxy in place of the environment's: its password is none of its address, which is shown.
---@param options lest.client.options
---@return true?
---@return lest.error? err
function M.check_proxy(options)
  local proxy = options.proxy
  if not proxy or proxy == "" then
    if not options.proxy_username and not options.proxy_password then return true end
    return fail("usage", "a proxy's user name and password need the proxy")
  end
  if not (proxy:find "^http://[%w%.%-]+:%d+$" or proxy:find "^http://%[[%x:%.]+%]:%d+$"
    or proxy:find "^socks5h?://[%w%.%-]+:%d+$" or proxy:find "^socks5h?://%[[%x:%.]+%]:%d+$") then
    return fail("usage", "a proxy is http://HOST:PORT, socks5h://HOST:PORT or socks5://HOST:PORT; "
      .. "its user name and password are given apart")
  end
  if options.proxy_password and not options.proxy_username then
    return fail("usage", "a proxy's password needs its user name")
  end
  return true
end

--- The origins that a redirect may lead to: the server's own, and those that the caller allows.
---@param options lest.client.options
---@param base lest.url
---@return table<string, true>?
---@return lest.error? err
function M.origins(options, base)
  local origins = { [base:origin()] = true }
  for _, text in ipairs(options.redirects or {}) do
    text = tostring(text)
    if not text:find("://", 1, true) then text = "https://" .. text end
    local to, problem = url.parse(text)
    if not to or to.scheme ~= "https" or to.query or to.path ~= "/" then
      return fail("usage", ("redirects: '%s' is no origin, as https://HOST[:PORT]%s"):format(text,
        problem and ": " .. problem or ""))
    end
    origins[to:origin()] = true
  end
  return origins
end

local SECRET_FILE_MAX <const> = 4096

--- The secret in the text of a file: its first line.
---@param text string
---@param path string for the error
---@return string? secret
---@return lest.error? err
function M.secret_in(text, path)
  local secret = mark.strip(text):match "^([^\r\n]*)"
  local problem = secret == "" and "is empty" or secret:find("\0", 1, true) and "has a NUL byte"
  if not problem then return secret end
  return fail("usage", ("%s: its first line, the secret, %s"):format(path, problem))
end

--- The secret in a file.
---@param path string
---@param max integer bytes of the file
---@return string? secret
---@return lest.error? err
function M.secret_of_file(path, max)
  local text, err = core.file.read(path, max)
  if not text then return nil, err end
  return M.secret_in(text, path)
end

--- The secret for a CSR ("challenge"), for SRP ("srp_password") or of both sides ("psk"), as it is
--- or the first line of a file.
---@param options lest.client.options
---@param name string
---@return string? secret nil without an error: there is none
---@return lest.error? err
function M.secret(options, name)
  local path = options[name .. "_file"]
  if not path then return options[name] end
  if options[name] then
    return fail("usage", ("%s and %s_file exclude each other"):format(name, name))
  end
  return M.secret_of_file(path, SECRET_FILE_MAX)
end

---@param options lest.client.options
---@return true?
---@return lest.error? err
function M.check_credentials(options)
  local username, password = options.username, options.password
  local srp_user, srp_password = options.srp_user, options.srp_password
  if username and username:find "[:%c]" or password and password:find "%c"
    or srp_user and srp_user:find "[:%c]" or srp_password and srp_password:find "%c" then
    return fail("usage", "user names have no colon, nor control characters; nor have passwords")
  end
  if username and not password then return fail("usage", "a user name needs its password") end
  if options.digest and not password then return fail("usage", "Digest needs a password") end
  if options.digest and options.preemptive then
    return fail("usage", "Digest answers what a server asks, and nothing can be sent unasked")
  end
  if (options.bearer or options.bearer_file) and (username or password) then
    return fail("usage", "a Bearer token and a password exclude each other")
  end
  local has_psk = (options.psk or options.psk_file) ~= nil
  if (options.psk_identity ~= nil) ~= has_psk then
    return fail("usage", "a pre-shared key needs its identity, and an identity its key")
  end
  if options.psk and not psk.parse(options.psk) then return fail("usage", psk.PROBLEM) end
  local has_password = options.srp_password or options.srp_password_file
  if (options.srp_user ~= nil) ~= (has_password ~= nil) then
    return fail("usage", "a user of SRP needs a password, and a password of SRP its user")
  end
  if options.srp_user and has_psk then
    return fail("usage", "a pre-shared key and a password of SRP exclude each other")
  end
  if (has_psk or options.srp_user)
    and (options.cert or options.fingerprint or options.trust == "system") then
    return fail("usage", ("where a %s proves both sides, there is no certificate to show or to "
      .. "know the server by"):format(has_psk and "pre-shared key" or "password of SRP"))
  end
  return true
end

return M
